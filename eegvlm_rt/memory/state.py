"""What is remembered of a night up to some epoch: numbers, a record of the last epochs, an absence."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from ..errors import InputError
from ..rationale.context import NightContext

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MemoryState"]

_FIELDS: Final = frozenset({"numbers", "context", "absent"})
_CURE: Final = "give what MemoryState.to_dict wrote"


@dataclass(frozen=True, slots=True, eq=False)
class MemoryState:
    """The memory of one night after an epoch; nothing else is remembered.

    Attributes:
        numbers: (S,) float32, read-only: the state of the recurrent network.
        context: what the record says of the last epochs, as a rationale may state it.
        absent: epochs without a usable signal since the last one that had some.
    """

    numbers: NDArray[np.float32]
    context: NightContext = field(default_factory=NightContext)
    absent: int = 0

    def __post_init__(self) -> None:
        numbers = np.array(self.numbers, dtype=np.float32)
        if numbers.ndim != 1 or not np.isfinite(numbers).all():
            raise InputError("memory.numbers", f"shape {numbers.shape}", "give finite numbers, shape (S,)")
        numbers.flags.writeable = False
        object.__setattr__(self, "numbers", numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MemoryState):
            return NotImplemented
        same = self.context == other.context and self.absent == other.absent
        return same and np.array_equal(self.numbers, other.numbers)

    def __hash__(self) -> int:
        return hash((self.numbers.tobytes(), self.context, self.absent))

    def __repr__(self) -> str:
        previous = self.context.previous
        after = "no stage" if previous is None else previous.name
        return f"MemoryState({len(self.numbers)} numbers, after {after}, absent {self.absent})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields; the numbers as base64 of little-endian float32, to the last bit."""
        packed = self.numbers.astype("<f4").tobytes()
        return {
            "numbers": base64.b64encode(packed).decode("ascii"),
            "context": self.context.to_dict(),
            "absent": self.absent,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; raises InputError for anything that it does not write."""
        if not isinstance(values, Mapping) or set(values) != _FIELDS:
            raise InputError("memory", values, _CURE)
        try:
            packed = base64.b64decode(values["numbers"], validate=True)
            numbers = np.frombuffer(packed, dtype="<f4").astype(np.float32)
        except (TypeError, ValueError) as error:
            raise InputError("memory.numbers", values["numbers"], _CURE) from error
        absent = values["absent"]
        if type(absent) is not int or absent < 0:
            raise InputError("memory.absent", absent, _CURE)
        return cls(numbers, NightContext.from_dict(values["context"]), absent)
