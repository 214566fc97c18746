"""The decoder of a bundle: language model, prompt and grammar in the tokens of its tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from ..backends.loading import load_language_model
from ..decoding.decoder import Decoder
from ..decoding.grammar_tokens import compile_grammar
from ..decoding.prompt_tokens import prompt_tokens
from ..errors import BundleError
from ..stages import STAGES

if TYPE_CHECKING:
    from ..backends.base import Accelerator
    from ..backends.ort_options import OrtOptions
    from ..bundle.opening import Bundle
    from ..prompt import PromptSpec

__all__ = ["decoder_of"]


def decoder_of(
    bundle: Bundle,
    prompt: PromptSpec,
    *,
    threads: int,
    precision: str | None,
    accelerator: Accelerator | None,
    ort_options: OrtOptions | None,
) -> Decoder:
    """The decoder of a bundle, its language model loaded.

    Raises:
        BundleError: a tokenizer that cannot be read, or other stage tokens than the manifest lists; and what
        `load_language_model` raises.
    """
    try:
        tokenizer = Tokenizer.from_buffer(bundle.read(bundle.component("tokenizer")))
    except ValueError as error:
        raise BundleError(
            "tokenizer", str(error), "give a tokenizer.json of the tokenizers library"
        ) from error
    stage_tokens = dict(zip(STAGES, prompt.stage_token_ids(tokenizer), strict=True))
    listed = {stage: bundle.manifest.stage_tokens[stage.name] for stage in STAGES}
    if stage_tokens != listed:
        raise BundleError("stage_tokens", listed, f"the tokenizer says {stage_tokens}")
    tokens = prompt_tokens(prompt, tokenizer)
    return Decoder(
        load_language_model(
            bundle,
            threads=threads,
            precision=precision,
            accelerator=accelerator,
            ort_options=ort_options,
        ),
        tokens,
        compile_grammar(
            lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
            tokens.eos,
            prompt.grammar,
        ),
        lambda ids: tokenizer.decode(ids, skip_special_tokens=False),
        stage_tokens,
    )
