"""A graph whose inputs and outputs lie at addresses of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DeviceGraph", "cache_dtype", "check_single_precision"]


class DeviceGraph(Protocol):
    """One loaded graph. Not for several threads at once."""

    @property
    def dtypes(self) -> Mapping[str, np.dtype[Any]]:
        """Type of every input and output."""
        ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every input and output, -1 where a dimension is free."""
        ...

    def largest(self, name: str, axis: int) -> int:
        """The largest size along a free axis that one run takes."""
        ...

    def enqueue(
        self,
        inputs: Mapping[str, tuple[int, ...]],
        addresses: Mapping[str, int],
        outputs: Mapping[str, tuple[int, ...]],
        stream: int,
    ) -> None:
        """Put one run into the stream: `inputs` and `outputs` give shapes, `addresses` the place of every
        tensor.

        Raises BackendError for shapes that the graph does not take, or a run that is refused.
        """
        ...


def check_single_precision(graph: DeviceGraph, sizes: Mapping[str, int]) -> None:
    """Refuse a language model whose tensors `sizes` names are not float32 of that size along axis 2; raises
    BackendError."""
    for name, size in sizes.items():
        if graph.shapes[name][2] != size or graph.dtypes[name] != np.float32:
            kind = f"{graph.dtypes[name]} {graph.shapes[name]}"
            raise BackendError(f"llm.{name}", kind, f"float32, axis 2 is {size}")


def cache_dtype(
    graph: DeviceGraph, past: Sequence[str], present: Sequence[str], heads: int, width: int, length: str
) -> np.dtype[Any]:
    """The one type of all keys and values, (1, heads, `length`, width); raises BackendError for others."""
    kinds = {graph.dtypes[name] for name in (*past, *present)}
    fits = all((graph.shapes[name][1], graph.shapes[name][3]) == (heads, width) for name in past)
    if len(kinds) != 1 or not fits or next(iter(kinds)).kind != "f":
        kind = f"{sorted(map(str, kinds))} {graph.shapes[past[0]]}"
        layout = f"float16 or float32 (1, {heads}, {length}, {width})"
        raise BackendError("llm.past_key_values", kind, layout)
    return next(iter(kinds))
