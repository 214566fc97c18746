"""A training checkpoint as an answerer: torch for the network, the runtime's own decoder for the reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LlamaForCausalLM
from transformers.cache_utils import DynamicCache
from transformers.utils import logging

from eegvlm_rt.backends.base import KVCache
from eegvlm_rt.backends.embedding import joined
from eegvlm_rt.calibration import Scoring, tempered
from eegvlm_rt.calibration.temperature import temper
from eegvlm_rt.decoding import Decoder, compile_grammar, prompt_tokens
from eegvlm_rt.devices import DeviceArray
from eegvlm_rt.prompt import Mode
from eegvlm_rt.rendering.renderer import RenderSpec, render_batch
from eegvlm_rt.stages import STAGES

from ..model.cache import CACHE_ARGUMENT
from ..model.modeling import EegVlmForConditionalGeneration, TowerOutputs
from ..model.processing import EegVlmProcessor
from .answers import Answers, Reasoned, Reasons, reason_answers

__all__ = ["CheckpointAnswerer", "TorchLanguageModel", "read_scoring"]

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TorchCache:
    """Keys and values (1, heads, length, head_dim) of every layer."""

    layers: tuple[tuple[Tensor, Tensor], ...]

    @property
    def length(self) -> int:
        return int(self.layers[0][0].shape[2])


class TorchLanguageModel:
    """`eegvlm_rt.backends.base.LanguageModel` on a Llama of transformers."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    @property
    def hidden_size(self) -> int:
        return int(self._model.config.hidden_size)

    @property
    def vocab_size(self) -> int:
        return int(self._model.config.vocab_size)

    @torch.inference_mode()
    def embed(self, ids: Sequence[int]) -> Float32:
        table = self._model.get_input_embeddings()
        embedded = table(torch.tensor([list(ids)], dtype=torch.long, device=self._device))
        return np.asarray(embedded.float().cpu().numpy())

    @torch.inference_mode()
    def step(self, inputs_embeds: Float32, cache: KVCache | None = None) -> tuple[Float32, TorchCache]:
        assert cache is None or isinstance(cache, TorchCache)
        past = DynamicCache()
        for layer, (keys, values) in enumerate(cache.layers if cache else ()):
            past.update(keys, values, layer)
        embeds = torch.from_numpy(np.ascontiguousarray(inputs_embeds)).to(self._device)
        output = self._model(inputs_embeds=embeds, use_cache=True, **{CACHE_ARGUMENT: past})
        layers = tuple((layer.keys, layer.values) for layer in output.past_key_values.layers)
        return np.asarray(output.logits[0].float().cpu().numpy()), TorchCache(layers)

    def extend(self, inputs_embeds: Float32, cache: KVCache | None = None) -> TorchCache:
        return self.step(inputs_embeds, cache)[1]

    def read(self, pieces: Sequence[Float32 | DeviceArray], cache: KVCache | None = None) -> TorchCache:
        return self.extend(joined(pieces), cache)

    def next_logits(self, inputs_embeds: Float32, cache: KVCache | None = None) -> tuple[Float32, TorchCache]:
        logits, following = self.step(inputs_embeds, cache)
        return logits[-1], following


def read_scoring(folder: Path) -> Scoring:
    """`scoring.json` of a checkpoint folder, as `eegvlm_train calibrate` writes it; empty without one."""
    path = folder / "scoring.json"
    return Scoring.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Scoring()


class CheckpointAnswerer:
    """Answers from a folder written by `train-language` (or, head alone, by `train-vision`)."""

    def __init__(self, folder: Path, *, device: str | None = None, batch_size: int = 16) -> None:
        logging.disable_progress_bar()
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model = EegVlmForConditionalGeneration.from_pretrained(folder).float().to(where).eval()
        self._device = torch.device(where)
        self._folder = folder
        self._batch_size = batch_size
        self.scoring = read_scoring(folder)

    def _processor(self) -> EegVlmProcessor:
        return EegVlmProcessor.from_pretrained(self._folder)

    def _looks(self, x_uv: Float32) -> Iterator[TowerOutputs]:
        spec = RenderSpec.from_dict(self._model.config.render or {})
        for start in range(0, len(x_uv), self._batch_size):
            pictures = render_batch(x_uv[start : start + self._batch_size], spec, output="f32")
            with torch.inference_mode():
                yield self._model.visual(torch.from_numpy(pictures).to(self._device))

    def stage(self, x_uv: Float32, mode: Mode) -> Answers:
        if mode is Mode.HEAD:
            logits = [look.stage_logits for look in self._looks(x_uv)]
        else:
            logits = list(self._direct_logits(x_uv))
        probabilities = torch.cat(logits).double().softmax(-1).cpu().numpy()
        return Answers(
            probabilities.argmax(axis=1).astype(np.int64),
            temper(probabilities, self.scoring.temperature_of(mode)),
        )

    def _direct_logits(self, x_uv: Float32) -> Iterator[Tensor]:
        processor = self._processor()
        ids = processor.input_ids(Mode.DIRECT, self._model.config.num_visual_tokens).to(self._device)
        stages = list(processor.prompt.stage_token_ids(processor.tokenizer))
        for look in self._looks(x_uv):
            tokens = look.visual_tokens
            with torch.inference_mode():
                rows = ids.expand(len(tokens), -1)
                yield self._model(input_ids=rows, visual_tokens=tokens, logits_to_keep=1).logits[
                    :, -1, stages
                ]

    def reason(self, x_uv: Float32, *, constrained: bool) -> Reasons:
        processor = self._processor()
        tokenizer, prompt = processor.tokenizer, processor.prompt
        parts = prompt_tokens(prompt, tokenizer)
        decoder = Decoder(
            TorchLanguageModel(self._model.language_model),
            parts,
            compile_grammar(
                lambda text: tokenizer.encode(text, add_special_tokens=False).ids, parts.eos, prompt.grammar
            ),
            lambda ids: tokenizer.decode(ids, skip_special_tokens=False),
            dict(zip(STAGES, prompt.stage_token_ids(tokenizer), strict=True)),
        )
        decoded = []
        temperature = self.scoring.temperature_of(Mode.COT)
        for look in self._looks(x_uv):
            for tokens in look.visual_tokens.float().cpu().numpy():
                one = decoder.decode_rationale(decoder.prefix(tokens), constrained=constrained)
                shares = one.probabilities and tempered(one.probabilities, temperature)
                decoded.append(Reasoned(one.rationale, shares, one.tokens))
        return reason_answers(decoded)
