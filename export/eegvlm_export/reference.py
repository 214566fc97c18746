"""The checkpoint behind the runtime's two protocols: what an exported graph is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from eegvlm_train.model import EegVlmForConditionalGeneration
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

from eegvlm_rt.backends import KVCache, TowerOutput

__all__ = ["TorchLanguageModel", "TorchTower"]

Float32 = NDArray[np.float32]


class TorchTower:
    """`eegvlm_rt.backends.VisionTower` of a torch model."""

    def __init__(self, model: EegVlmForConditionalGeneration) -> None:
        self._model = model

    def __call__(self, pixel_values: Float32) -> TowerOutput:
        with torch.no_grad():
            return TowerOutput(
                *(tensor.numpy() for tensor in self._model.visual(torch.from_numpy(pixel_values)))
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Cache:
    layers: tuple[tuple[Tensor, Tensor], ...]
    length: int


class TorchLanguageModel:
    """`eegvlm_rt.backends.LanguageModel` of a torch model, through the forward pass it was trained with."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self._model = model

    @property
    def hidden_size(self) -> int:
        return int(self._model.config.hidden_size)

    @property
    def vocab_size(self) -> int:
        return int(self._model.config.vocab_size)

    def embed(self, ids: Sequence[int]) -> Float32:
        """Embeddings (1, T, D)."""
        with torch.no_grad():
            embeds: Tensor = self._model.get_input_embeddings()(torch.tensor([list(ids)], dtype=torch.int64))
        return np.asarray(embeds.numpy())

    def step(self, inputs_embeds: Float32, cache: KVCache | None = None) -> tuple[Float32, KVCache]:
        """Logits (T, V) and the longer cache."""
        return self._run(inputs_embeds, cache, logits_to_keep=0)

    def extend(self, inputs_embeds: Float32, cache: KVCache | None = None) -> KVCache:
        """The longer cache."""
        return self._run(inputs_embeds, cache, logits_to_keep=1)[1]

    def _run(self, embeds: Float32, cache: KVCache | None, logits_to_keep: int) -> tuple[Float32, KVCache]:
        assert cache is None or isinstance(cache, _Cache)
        past = DynamicCache()
        for i, (key, value) in enumerate(cache.layers if cache else ()):
            past.update(key, value, i)
        with torch.no_grad():
            output = self._model(
                inputs_embeds=torch.from_numpy(embeds),
                past_key_values=past,
                use_cache=True,
                logits_to_keep=logits_to_keep,
            )
        layers = tuple((layer.keys, layer.values) for layer in past.layers)
        return output.logits[0].numpy(), _Cache(layers, int(layers[0][0].shape[2]))
