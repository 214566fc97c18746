"""A graph whose inputs and outputs lie at addresses of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DeviceGraph"]


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
