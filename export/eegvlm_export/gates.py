"""Gates: bounds on measured figures. A figure that was not measured, or is no number, fails its gate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Gate",
    "GateResult",
    "GatesFailedError",
    "check_gates",
    "flatten",
    "parse_gates",
    "shortcomings",
]


@dataclass(frozen=True, slots=True)
class Gate:
    """`figure` (dotted path, such as "agreement.head") must be at least, or at most, the bounds given."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.at_least, self.at_most) if bound is not None]
        if not bounds or not all(math.isfinite(bound) for bound in bounds):
            raise ValueError(
                f"gates.{self.figure}: {bounds}; give at_least, at_most or both, as finite numbers"
            )

    @property
    def wanted(self) -> str:
        """The bounds in words."""
        parts = [f">= {self.at_least:g}"] if self.at_least is not None else []
        return " and ".join([*parts, f"<= {self.at_most:g}"] if self.at_most is not None else parts)

    def admits(self, value: float | None) -> bool:
        """Whether `value` passes; None and NaN do not."""
        if value is None or math.isnan(value):
            return False
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate with what was measured; None where nothing was."""

    gate: Gate
    value: float | None

    @property
    def passed(self) -> bool:
        return self.gate.admits(self.value)


class GatesFailedError(Exception):
    """Some gates did not pass, or a part was never trained. `results` are all gates; `measured` is what the
    report of the export shows, None where nothing was measured.
    """

    def __init__(
        self, results: tuple[GateResult, ...], untrained: Sequence[str] = (), measured: Any = None
    ) -> None:
        failed = [result.gate.figure for result in results if not result.passed]
        parts = [f"untrained: {', '.join(untrained)}"] if untrained else []
        super().__init__("; ".join(parts + ([f"gates failed: {', '.join(failed)}"] if failed else [])))
        self.results = results
        self.untrained = tuple(untrained)
        self.measured = measured


def shortcomings(results: Iterable[GateResult], untrained: Sequence[str] = ()) -> list[str]:
    """What keeps a bundle from being published, in words: parts that nobody trained, and gates."""
    parts = [f"untrained: {', '.join(untrained)}"] if untrained else []
    return parts + [
        f"{result.gate.figure}: {'not measured' if result.value is None else f'{result.value:g}'}, "
        f"wanted {result.gate.wanted}"
        for result in results
        if not result.passed
    ]


def parse_gates(content: object) -> tuple[Gate, ...]:
    """Gates from a mapping {figure: {at_least: x, at_most: y}}; raises ValueError for anything else."""
    if not isinstance(content, Mapping):
        raise ValueError("gates: give a mapping from figures to bounds")
    gates = []
    for figure, bounds in content.items():
        if not isinstance(bounds, Mapping) or not bounds or set(bounds) - {"at_least", "at_most"}:
            raise ValueError(f"gates.{figure}: {bounds!r}; give at_least, at_most or both")
        numbers = {}
        for name, value in bounds.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"gates.{figure}.{name}: {value!r}; give a number")
            numbers[str(name)] = float(value)
        gates.append(Gate(str(figure), **numbers))
    return tuple(gates)


def flatten(figures: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of nested mappings by dotted path."""

    def walk(prefix: str, value: object) -> Iterator[tuple[str, float]]:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                yield from walk(f"{prefix}.{name}" if prefix else str(name), inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield prefix, float(value)

    return dict(walk("", figures))


def check_gates(gates: Iterable[Gate], figures: Mapping[str, Any]) -> tuple[GateResult, ...]:
    """Hold every gate against nested figures."""
    numbers = flatten(figures)
    return tuple(GateResult(gate, numbers.get(gate.figure)) for gate in gates)
