"""Many texts in one run of a language model on a device, all of one length, keys and values side by side.

A graph of standard operators has no mask that hides a part of one text and not of another, so texts of
different lengths cannot share a run. (Fused attention counts the length of each text, but neither on the CPU
nor on a GPU does it read several tokens of several texts behind what they read before.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ...devices.buffers import DeviceArray, DeviceBuffer, aligned
from ...errors import InputError
from ..embedding import cache_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...bundle.manifest import LanguageModelShape
    from ...devices.buffers import Stream
    from ...devices.device import Device
    from .graph import DeviceGraph

__all__ = ["RUN_TOKENS", "DeviceTexts", "bytes_of_text"]

Float32 = NDArray[np.float32]
Piece = Float32 | DeviceArray

RUN_TOKENS: Final = 4096
"""Tokens of all beginnings that one run reads, at most: it computes the logits of every one of them."""


def bytes_of_text(shape: LanguageModelShape, tokens: int, dtype: np.dtype[Any]) -> int:
    """Device memory for keys and values of a text of so many tokens, which a run reads in one place and
    writes to another."""
    return 2 * 2 * shape.num_layers * shape.num_kv_heads * shape.head_dim * tokens * dtype.itemsize


class DeviceTexts:
    """Texts that begin with `beginnings`, all of one length, and have room for `room` tokens more.

    Raises InputError for beginnings of several lengths, BackendError where memory is not enough or a run
    fails.
    """

    def __init__(
        self,
        graph: DeviceGraph,
        device: Device,
        stream: Stream,
        shape: LanguageModelShape,
        beginnings: Sequence[Sequence[Piece]],
        room: int,
    ) -> None:
        self._graph, self._device, self._stream, self._shape = graph, device, stream, shape
        self._past = cache_names("past_key_values", shape.num_layers)
        self._present = cache_names("present", shape.num_layers)
        self._itemsize = graph.dtypes[self._past[0]].itemsize
        self._hidden_size = graph.shapes["inputs_embeds"][2]
        lengths = {sum(piece.nbytes for piece in pieces) // (4 * self._hidden_size) for pieces in beginnings}
        if len(lengths) != 1:
            raise InputError("beginnings", sorted(lengths), "texts of one run have as many tokens")
        (tokens,) = lengths
        self.rows, self.length = len(beginnings), 0
        self._capacity = tokens + room
        # A run reads the one and writes the other, which the next run reads.
        size = len(self._past) * self._part_bytes()
        self._old, self._new = DeviceBuffer(device, size), DeviceBuffer(device, size)
        self._places = {name: DeviceBuffer(device, 0) for name in ("inputs_embeds", "position_ids", "logits")}
        self._last = DeviceBuffer(device, 4 * self.rows * shape.vocab_size)
        some = max(1, RUN_TOKENS // tokens)
        for start in range(0, self.rows, some):
            rows = range(start, min(start + some, self.rows))
            self._run(rows, tokens, [piece for row in rows for piece in beginnings[row]], None)
        self._go_on(tokens)

    def read(self, inputs_embeds: Float32) -> Float32:
        """Read (B, T, D) float32, the next T tokens of every text: logits (B, V) after the last of them.

        Raises InputError for another shape or more tokens than there is room for, BackendError where the run
        fails.
        """
        logits = self.peek(inputs_embeds)
        self._go_on(inputs_embeds.shape[1])
        return logits

    def peek(self, inputs_embeds: Float32) -> Float32:
        """`read`, after which the texts are as they were."""
        rows, tokens, width = inputs_embeds.shape
        room = self._capacity - self.length
        if (rows, width) != (self.rows, self._hidden_size) or not 0 < tokens <= room:
            cure = f"give shape ({self.rows}, T, {self._hidden_size}), T from 1 to {room}"
            raise InputError("inputs_embeds", inputs_embeds.shape, cure)
        logits = np.empty((rows, self._shape.vocab_size), dtype=np.float32)
        self._run(range(rows), tokens, [inputs_embeds], logits)
        return logits

    def _run(self, rows: range, tokens: int, pieces: Sequence[Piece], logits: Float32 | None) -> None:
        """Read `tokens` of some texts, which `pieces` are one after another; `logits` (n, V) gets those of
        the last one of each."""
        n, after, vocab = len(rows), self.length + tokens, self._shape.vocab_size
        positions = np.tile(np.arange(self.length, after, dtype=self._graph.dtypes["position_ids"]), (n, 1))
        # Copies read these arrays until the stream is settled.
        arrays = [p if isinstance(p, DeviceArray) else np.ascontiguousarray(p) for p in pieces]
        inputs = {
            "inputs_embeds": (n, tokens, self._hidden_size),
            "position_ids": (n, tokens),
            **dict.fromkeys(self._past, self._cache_shape(n, self.length)),
        }
        outputs = {
            "logits": (n, tokens, vocab),
            **dict.fromkeys(self._present, self._cache_shape(n, after)),
        }
        with self._stream.settled() as stream:
            embeds = self._place("inputs_embeds", 4 * math.prod(inputs["inputs_embeds"]))
            offset = 0
            for piece in arrays:
                write = embeds.copy if isinstance(piece, DeviceArray) else embeds.upload
                write(piece, stream, offset=offset)  # type: ignore[arg-type]
                offset += piece.nbytes
            self._place("position_ids", positions.nbytes).upload(positions, stream)
            scores = self._place("logits", 4 * math.prod(outputs["logits"]))
            places = {name: place.address for name, place in self._places.items()}
            places |= self._parts(self._past, self._old, rows.start, self.length)
            places |= self._parts(self._present, self._new, rows.start, after)
            self._graph.enqueue(inputs, places, outputs, stream)
            if logits is not None:
                # The host wants the last token of every text alone.
                row, first = 4 * vocab, scores.address + 4 * (tokens - 1) * vocab
                pitches = (row, tokens * row)
                self._device.copy(self._last.address, first, row, rows=n, pitches=pitches, stream=stream)
                self._last.download(logits, stream)

    def _go_on(self, tokens: int) -> None:
        self._old, self._new = self._new, self._old
        self.length += tokens

    def _parts(self, names: Sequence[str], buffer: DeviceBuffer, row: int, length: int) -> dict[str, int]:
        """Where each tensor of keys or values begins, of the texts from `row` on."""
        first = buffer.address + row * self._row_bytes(length)
        return {name: first + i * self._part_bytes() for i, name in enumerate(names)}

    def _cache_shape(self, rows: int, length: int) -> tuple[int, ...]:
        return (rows, self._shape.num_kv_heads, length, self._shape.head_dim)

    def _row_bytes(self, length: int) -> int:
        return math.prod(self._cache_shape(1, length)) * self._itemsize

    def _part_bytes(self) -> int:
        return aligned(self.rows * self._row_bytes(self._capacity))

    def _place(self, name: str, size: int) -> DeviceBuffer:
        """Room for one input or output of a run; a larger one takes the place of one that is too small."""
        if self._places[name].size < size:
            self._places[name] = DeviceBuffer(self._device, size)
        return self._places[name]
