"""Where each weight of an imported checkpoint comes from: names and shapes first, numbers one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from eegvlm_rt.errors import CheckpointError

from .adapters import PLAIN, Adapter
from .layouts import clip_name, llava_name
from .shards import TensorFiles

__all__ = ["EMBEDDING", "GROWING", "HEAD", "WeightSources"]

EMBEDDING: Final = "language_model.model.embed_tokens.weight"
HEAD: Final = "language_model.lm_head.weight"
TABLES: Final = (EMBEDDING, HEAD)
TRAINED: Final = ("enhancement.", "memory.")
"""What an enhancement module brings that was trained here."""

DRAWN: Final = ("enhancement.", "memory_token.")
GROWING: Final = (
    "enhancement.to_high.weight",
    "enhancement.to_high.bias",
    "enhancement.stage_head.weight",
)
"""Weights of a module with narrower features than the tower's: rows and columns of zeros are added, and it
says the same."""

_COUNTER: Final = "num_batches_tracked"
"""The one tensor of a network, a ResNet's, that counts."""

_WHOLE: Final = "give a whole LLaVA-1.5"


@dataclass(frozen=True, slots=True)
class _Source:
    """A stored tensor: its name in its files."""

    files: TensorFiles
    stored: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.files.shape(self.stored)


class WeightSources:
    """The weights of a base, with what lies apart from it and an adapter over all, under their names here.

    Nothing is read but names and shapes until `tensors`. Raises CheckpointError for a name that no weight of
    LLaVA-1.5 has, and for a weight that is there twice.
    """

    def __init__(self, base: TensorFiles, adapter: Adapter | None) -> None:
        self._sources: dict[str, _Source] = {}
        self._adapter = adapter
        self._buffers: list[_Source] = []
        self.notes: list[str] = []
        for stored in base:
            name = llava_name(stored)
            if name is None:
                self._buffers.append(_Source(base, stored))
            else:
                self._add(name, _Source(base, stored))
        if base.unread:
            self.notes.append(f"not read: {', '.join(base.unread)}")

    def __contains__(self, name: str) -> bool:
        return name in self._names()

    def has_part(self, part: str) -> bool:
        """Whether any weight below `part`, such as "vision_tower.", is there."""
        return any(name.startswith(part) for name in self._names())

    def add(self, files: TensorFiles, rename: Callable[[str], str | None]) -> None:
        """Add the weights that `rename` has a name for."""
        for stored in files:
            name = rename(stored)
            if name is not None:
                self._add(name, _Source(files, stored))

    def add_enhancement(self, folder: Path) -> None:
        """The enhancement module, and the memory, of a checkpoint that was trained here."""
        self.add(TensorFiles(folder), lambda name: name if name.startswith(TRAINED) else None)

    def add_tower(self, folder: Path) -> None:
        """The tower of a CLIP. A tower of the base's own was trained after it, and is taken instead."""
        if any(name.startswith("vision_tower.") for name in self._sources):
            self.notes.append("--clip: its weights are not read, the checkpoint has a tower of its own")
        else:
            self.add(TensorFiles(folder), clip_name)

    def tie(self) -> None:
        """Let the last product be the embedding table. Raises CheckpointError where both are there and
        differ, or the adapter changes either.
        """
        touched = sorted(set(TABLES) & (self._adapter.names if self._adapter else frozenset()))
        if touched:
            raise CheckpointError(
                "tie_word_embeddings", True, f"the adapter changes {touched[0]}: merge it with peft first"
            )
        if EMBEDDING in self._sources and HEAD in self._sources:
            embedding, head = (
                source.files.tensor(source.stored) for source in map(self._sources.get, TABLES) if source
            )
            if embedding.shape != head.shape or not torch.equal(embedding, head):
                raise CheckpointError(
                    "tie_word_embeddings",
                    True,
                    "lm_head is another table than the embedding: say false, or remove it",
                )
        elif EMBEDDING in self._sources:
            self._sources[HEAD] = self._sources[EMBEDDING]

    def rows(self) -> int:
        """Tokens that the tables have. Raises CheckpointError where the two differ."""
        shapes = {name: self._shape(name) for name in TABLES if name in self}
        counts = {shape[0] for shape in shapes.values() if shape}
        if len(counts) > 1:
            raise CheckpointError(
                "weights", f"{shapes}", "the embedding and the last product have other rows: " + _WHOLE
            )
        return counts.pop() if counts else 0

    def check(self, config: EegVlmConfig) -> tuple[list[str], dict[str, tuple[int, ...]]]:
        """Hold names and shapes against the network of `config`; returns its weights that nothing gives, and
        the shapes of all.

        Raises CheckpointError for a weight that the network does not have, or has in another shape, for one
        that it has and no file holds (but those that training starts anew, `DRAWN`), and
        for buffers that were trained with other numbers than the configuration gives.
        """
        with torch.device("meta"):
            network = EegVlmForConditionalGeneration(config)
        expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        for name in sorted(self._names()):
            if name not in expected:
                stored = self._sources[name].stored if name in self._sources else name
                raise CheckpointError(
                    "weight",
                    stored,
                    "the configuration describes no such weight: give the config.json it was saved with",
                )
            shape = self._shape(name)
            smaller = len(shape) == len(expected[name]) and all(map(int.__le__, shape, expected[name]))
            fits = shape[1:] == expected[name][1:] if name in TABLES else smaller and name in GROWING
            if shape != expected[name] and not fits:
                raise CheckpointError(
                    f"weight: {name}",
                    shape,
                    f"the configuration describes {expected[name]}: give the config.json it was saved with",
                )
        lacking = [name for name in expected if name not in self]
        drawn = [name for name in lacking if name.startswith(DRAWN)]
        self._refuse(sorted(set(lacking) - set(drawn)))
        self._check_buffers(config)
        return drawn, expected

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight once, with the adapter in it, in the order of the files.

        Raises CheckpointError for a weight that holds no numbers, or is quantized.
        """
        adapted = self._adapter.names - set(self._sources) if self._adapter else frozenset()
        for name in (*self._sources, *sorted(adapted)):
            source = self._sources.get(name)
            weight = None if source is None else source.files.tensor(source.stored)
            if self._adapter is not None:
                weight = self._adapter.apply(name, weight)
            assert weight is not None
            if weight.dtype not in PLAIN and not name.endswith(_COUNTER):
                raise CheckpointError(
                    f"weight: {name}",
                    weight.dtype,
                    "give the weights as they were before they were quantized",
                )
            if not bool(torch.isfinite(weight).all()):
                raise CheckpointError(
                    f"weight: {name}", "holds inf or nan", "give weights that were saved whole"
                )
            yield name, weight

    def _names(self) -> frozenset[str]:
        return frozenset(self._sources) | (self._adapter.names if self._adapter else frozenset())

    def _add(self, name: str, source: _Source) -> None:
        if name in self._sources:
            raise CheckpointError(
                "weight",
                source.stored,
                f"{self._sources[name].stored} has the same place in the network: keep one",
            )
        self._sources[name] = source

    def _shape(self, name: str) -> tuple[int, ...]:
        whole = self._adapter.whole(name) if self._adapter else None
        if whole is not None:
            return whole
        if name in self._sources:
            return self._sources[name].shape
        raise CheckpointError("adapter", name, "it changes a weight that the base does not have")

    def _refuse(self, lacking: list[str]) -> None:
        """Raises CheckpointError where weights are missing."""
        parts = [
            part for part in ("vision_tower", "projector", "language_model") if not self.has_part(f"{part}.")
        ]
        if parts:
            cure = "give --clip" if "vision_tower" in parts else _WHOLE
            raise CheckpointError("checkpoint", f"no weights of {', '.join(parts)}", cure)
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise CheckpointError("checkpoint", f"no weight {lacking[0]}{more}", _WHOLE)

    def _check_buffers(self, config: EegVlmConfig) -> None:
        """Frequencies and positions that older versions saved with the weights are those of the network."""
        plain = LlamaRotaryEmbedding(config.text_config)
        theta = dict(config.text_config.rope_parameters or {})["rope_theta"]
        width = 2 * len(plain.inv_freq)
        # linear scaling once divided positions, and left these as they are without it
        unscaled = 1.0 / theta ** (torch.arange(0, width, 2).float() / width)
        for source in self._buffers:
            stored = source.files.tensor(source.stored).flatten().float()
            if source.stored.endswith("inv_freq"):
                fits = any(_near(stored, expected) for expected in (plain.inv_freq, unscaled))
            elif source.stored.endswith("position_ids"):
                fits = torch.equal(stored, torch.arange(len(stored)).float())
            else:
                self.notes.append(f"{source.stored}: not used, a picture is one tile")
                continue
            if not fits:
                raise CheckpointError(
                    f"weight: {source.stored}",
                    "other numbers",
                    "the configuration gives others: give the config.json it was saved with",
                )


def _near(stored: Tensor, expected: Tensor) -> bool:
    """Equal but for storage in half precision."""
    return stored.shape == expected.shape and torch.allclose(stored, expected.float(), rtol=4e-3, atol=6e-8)
