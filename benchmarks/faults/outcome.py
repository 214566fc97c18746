"""What became of one night with faults, and of all nights of a kind."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .compare import accounted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .compare import Comparison
    from .signals import Signal

__all__ = ["NightResult", "summary"]


@dataclass(frozen=True, slots=True)
class NightResult:
    """One night with faults of one kind.

    Attributes:
        kind, number: of the night; with the seed they determine its faults.
        signal: name of the clean night; `real` where it was recorded from a person.
        faults: how many; `told` in words, with the place of each.
        expected: epochs the night has; `accounted` those with exactly one row, which has an outcome.
        comparison: with the night without faults.
        interrupted: how often the session was; `resumed` how often it then went on.
        broken: every other promise that was not kept, in words.
        facts: figures of this kind alone.
    """

    kind: str
    number: int
    signal: str
    real: bool
    faults: int
    told: tuple[str, ...]
    expected: int
    accounted: int
    comparison: Comparison
    interrupted: int = 0
    resumed: int = 0
    broken: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        kind: str,
        number: int,
        signal: Signal,
        faults: int,
        events: Iterable[str],
        rows: Sequence[Mapping[str, Any]],
        expected: int,
        comparison: Comparison,
        broken: Iterable[str],
        **more: Any,
    ) -> NightResult:
        """The result of a night whose `rows` have been compared; `more`: the fields that have a default."""
        hollow = hollow_epochs(rows)
        broken = [*broken, *(f"epoch {index} is scored and mostly missing" for index in hollow)]
        return cls(
            kind,
            number,
            signal.name,
            signal.real,
            faults,
            tuple(events),
            expected,
            accounted(rows, expected),
            comparison,
            broken=tuple(broken),
            **more,
        )

    @property
    def ok(self) -> bool:
        """Whether every promise was kept, and there was something to compare."""
        return (
            self.accounted == self.expected
            and not self.comparison.changed
            and self.comparison.compared > 0
            and self.resumed == self.interrupted
            and not self.broken
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {**asdict(self), "ok": self.ok}


def hollow_epochs(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Numbers of the epochs that are scored from signal that was mostly not there."""
    scored = (row for row in rows if row["outcome"] == "scored")
    return [int(row["index"]) for row in scored if row["quality"]["missing_share"] > 0.5]


def summary(nights: Iterable[NightResult]) -> dict[str, Any]:
    """Sums over nights."""
    rows = list(nights)
    return {
        "nights": len(rows),
        "real_nights": sum(row.real for row in rows),
        "faults": sum(row.faults for row in rows),
        "expected": sum(row.expected for row in rows),
        "accounted": sum(row.accounted for row in rows),
        "compared": sum(row.comparison.compared for row in rows),
        "changed": sum(len(row.comparison.changed) for row in rows),
        "last_digits": sum(row.comparison.last_digits for row in rows),
        "excluded": sum(row.comparison.excluded for row in rows),
        "excluded_changed": sum(row.comparison.excluded_changed for row in rows),
        "slipped": sum(row.comparison.slipped for row in rows),
        "interrupted": sum(row.interrupted for row in rows),
        "resumed": sum(row.resumed for row in rows),
        "broken": sum(len(row.broken) for row in rows),
        "ok": all(row.ok for row in rows),
    }
