"""Where a language model's weights are read from, one at a time: a network in memory, or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from .shards import TensorFiles

__all__ = ["LANGUAGE_PREFIX", "FileWeights", "JoinedWeights", "LanguageWeights", "ModelWeights"]

Float32 = NDArray[np.float32]

LANGUAGE_PREFIX: Final = "language_model."
"""What stands before the names of LlamaForCausalLM in a checkpoint of EEG-VLM."""


class LanguageWeights(Protocol):
    """Parameters by their name in LlamaForCausalLM."""

    def tensor(self, name: str) -> torch.Tensor:
        """One parameter; raises KeyError for a name there is not."""
        ...

    def joined(self, names: Sequence[str]) -> Float32:
        """Parameters side by side: matrices transposed to (inputs, outputs), vectors one after another."""
        ...


class JoinedWeights:
    """Joins what `tensor` gives."""

    def tensor(self, name: str) -> torch.Tensor:
        raise NotImplementedError

    def joined(self, names: Sequence[str]) -> Float32:
        parts = [self.tensor(name).detach() for name in names]
        parts = [part.T if part.ndim == 2 else part for part in parts]
        rows = parts[0].shape[:-1]
        out = torch.empty(*rows, sum(part.shape[-1] for part in parts), dtype=torch.float32)
        start = 0
        for part in parts:
            out[..., start : start + part.shape[-1]] = part
            start += part.shape[-1]
        return np.asarray(out.numpy())


class ModelWeights(JoinedWeights):
    """The parameters of a network in memory."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self._state: Mapping[str, Any] = model.state_dict()

    def tensor(self, name: str) -> torch.Tensor:
        values: torch.Tensor = self._state[name]
        return values


class FileWeights(JoinedWeights):
    """The language model of a checkpoint folder; only what is asked for is read."""

    def __init__(self, folder: Path) -> None:
        self._files = TensorFiles(folder)

    def tensor(self, name: str) -> torch.Tensor:
        return self._files.tensor(f"{LANGUAGE_PREFIX}{name}")
