"""The weights of a language model, quantised layer by layer, each once, kept in files for every graph."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from transformers import LlamaConfig

from ..graphs.language import WeightSlot, weight_slots
from ..weights.reader import LanguageWeights
from .blockwise import Bits, BlockQuantized, quantize_blocks
from .four_bits import Method, quantize_with

__all__ = ["PackedWeights", "WeightsQuantized"]

Float32 = NDArray[np.float32]


class WeightsQuantized:
    """What a calibrated method made of a whole network: blocks, and norms that it changed."""

    def __init__(self, weights: Mapping[str, BlockQuantized | Float32]) -> None:
        self.weights = weights


class PackedWeights:
    """Quantised weights of one network, made when first asked for and kept in `folder`.

    A folder that an interrupted run left is gone on with: an entry is named by its weight, the method and
    `key`, which names the network, and appears whole or not at all. `errors` holds the lost share of energy
    of every weight that was asked for.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        config: LlamaConfig,
        weights: LanguageWeights,
        *,
        method: Method = "search",
        block: int = 32,
        head: str = "fp16",
        calibrated: Callable[[], WeightsQuantized] | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key, self._weights = folder, key, weights
        self._method, self._block, self._head = method, block, head
        self._calibrate = calibrated
        self._calibrated: WeightsQuantized | None = None
        self._progress = progress
        self._count = sum(slot.is_matrix for slot in weight_slots(config))
        self.errors: dict[str, float] = {}

    def at(self, bits: Bits) -> Callable[[WeightSlot], BlockQuantized | Float32]:
        """What stands for each weight in a graph of this many bits."""

        def packed(slot: WeightSlot) -> BlockQuantized | Float32:
            return self._packed(slot, bits)

        return packed

    def _packed(self, slot: WeightSlot, bits: Bits) -> BlockQuantized | Float32:
        is_head = slot.name == "head.weight"
        if is_head and self._head == "int8":
            bits = 8
        if slot.is_matrix and slot.shape[0] % self._block == 0 and (not is_head or self._head == "int8"):
            return self._block_of(slot, bits)
        if bits == 4 and self._calibrate is not None and slot.name in self._network().weights:
            return cast("Float32", self._network().weights[slot.name])
        return cast("Float32", slot.read(self._weights))

    def _block_of(self, slot: WeightSlot, bits: Bits) -> BlockQuantized:
        how = self._method if bits == 4 else "rtn"
        name = hashlib.sha256(f"{self._key}/{slot.name}/{how}/{bits}/{self._block}".encode()).hexdigest()
        path = self._folder / f"{name[:32]}.npz"
        if path.is_file():
            packed = _read(path, bits)
        else:
            packed = self._make(slot, bits)
            _write(path, packed)
            self._progress(f"quantised {slot.name}, {len(self.errors) + 1} of {self._count} weights")
        self.errors[slot.name] = packed.error
        return packed

    def _make(self, slot: WeightSlot, bits: Bits) -> BlockQuantized:
        if bits == 4 and self._calibrate is not None:
            entry = self._network().weights.get(slot.name)
            if isinstance(entry, BlockQuantized):
                return entry
        weight = slot.read(self._weights)
        return (
            quantize_blocks(weight, 8, self._block)
            if bits == 8
            else quantize_with(self._method, weight, self._block)
        )

    def _network(self) -> WeightsQuantized:
        if self._calibrated is None:
            assert self._calibrate is not None
            self._calibrated = self._calibrate()
        return self._calibrated


def _write(path: Path, packed: BlockQuantized) -> None:
    arrays = {"values": packed.values, "scales": packed.scales, "error": np.asarray(packed.error)}
    if packed.zeros is not None:
        arrays["zeros"] = packed.zeros
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    temporary.replace(path)


def _read(path: Path, bits: Bits) -> BlockQuantized:
    with np.load(path, allow_pickle=False) as content:
        zeros = content.get("zeros")
        return BlockQuantized(content["values"], content["scales"], float(content["error"]), zeros, bits=bits)
