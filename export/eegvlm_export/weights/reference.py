"""The checkpoint itself, answering as a bundle does: what every exported file is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from eegvlm_train.evaluation.checkpoint import TorchLanguageModel
from numpy.typing import NDArray

from eegvlm_rt.backends import LanguageModel
from eegvlm_rt.decoding import Decoder, PromptTokens, compile_grammar, prompt_tokens
from eegvlm_rt.rendering.renderer import RenderSpec, render_batch

from .checkpoint import Checkpoint

__all__ = ["decoder_of", "decoder_with", "pictures", "reference_language_model"]

Float32 = NDArray[np.float32]

_BATCH: Final = 16


def pictures(epochs: Float32, spec: RenderSpec, batch: int = _BATCH) -> Iterator[Float32]:
    """Batches of `pixel_values` (n, 3, H, W) of conditioned epochs."""
    for start in range(0, len(epochs), batch):
        yield render_batch(epochs[start : start + batch], spec, output="f32")


def reference_language_model(checkpoint: Checkpoint) -> LanguageModel:
    """The checkpoint's own language model, as the runtime's decoder reads one."""
    return TorchLanguageModel(checkpoint.model.language_model)


def decoder_of(checkpoint: Checkpoint, lm: LanguageModel) -> Decoder:
    """The runtime's decoder with the checkpoint's prompt on a language model."""
    processor = checkpoint.processor
    return decoder_with(checkpoint, lm, prompt_tokens(processor.prompt, processor.tokenizer))


def decoder_with(checkpoint: Checkpoint, lm: LanguageModel, prompt: PromptTokens) -> Decoder:
    """`decoder_of` for a prompt that is tokenised already."""
    tokenizer = checkpoint.processor.tokenizer

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    grammar = compile_grammar(encode, prompt.eos, checkpoint.processor.prompt.grammar)
    return Decoder(
        lm,
        prompt,
        grammar,
        lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False)),
        checkpoint.stage_tokens,
    )
