"""The object `scoring` of a manifest, read strictly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import BundleError
from ..prompt import Mode
from ..stages import STAGES
from .outliers import FEATURES, OutlierModel
from .smoothing import Smoother

__all__ = ["Scoring"]

_FIELDS: Final = ("temperature", "night_temperature", "smoother", "ood")
_SUM_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Scoring:
    """Temperatures by mode (1 where none is given), smoother and test for foreign signals, or None.

    `temperature` is that of an epoch alone, `night_temperature` that of an epoch with the night memory.
    """

    temperature: Mapping[Mode, float] = field(default_factory=dict)
    smoother: Smoother | None = None
    outliers: OutlierModel | None = None
    night_temperature: Mapping[Mode, float] = field(default_factory=dict)

    def temperature_of(self, mode: Mode, *, night: bool = False) -> float:
        """Temperature of the probabilities of one mode, alone or with the night memory."""
        return (self.night_temperature if night else self.temperature).get(mode, 1.0)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Scoring:
        """Inverse of `to_dict`; raises BundleError for unknown fields and numbers that make no sense."""
        _check_names(fields, _FIELDS, "scoring")
        return cls(
            _temperatures(fields, "temperature"),
            _smoother(_object(fields["smoother"], "scoring.smoother")) if fields.get("smoother") else None,
            _outliers(_object(fields["ood"], "scoring.ood")) if fields.get("ood") else None,
            _temperatures(fields, "night_temperature"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists only, as they stand in a manifest or in `scoring.json`."""
        fields: dict[str, Any] = {"temperature": {mode.value: t for mode, t in self.temperature.items()}}
        if self.night_temperature:
            fields["night_temperature"] = {mode.value: t for mode, t in self.night_temperature.items()}
        if self.smoother is not None:
            fields["smoother"] = {
                "transitions": [list(row) for row in self.smoother.transitions],
                "prior": list(self.smoother.prior),
                "initial": list(self.smoother.initial),
                "evidence": self.smoother.evidence,
            }
        if self.outliers is not None:
            fields["ood"] = {name: list(bounds) for name, bounds in self.outliers.ranges.items()}
        return fields


def _temperatures(fields: Mapping[str, Any], name: str) -> dict[Mode, float]:
    values = _object(fields.get(name, {}), f"scoring.{name}")
    _check_names(values, tuple(mode.value for mode in Mode), f"scoring.{name}")
    return {
        Mode(mode): _number(value, f"scoring.{name}.{mode}", 0.05, 20.0) for mode, value in values.items()
    }


def _smoother(fields: Mapping[str, Any]) -> Smoother:
    _check_names(fields, ("transitions", "prior", "initial", "evidence"), "scoring.smoother")
    rows = fields.get("transitions")
    if not isinstance(rows, list) or len(rows) != len(STAGES):
        raise BundleError("scoring.smoother.transitions", rows, "give five rows of five probabilities")
    return Smoother(
        tuple(_distribution(row, "scoring.smoother.transitions") for row in rows),
        _distribution(fields.get("prior"), "scoring.smoother.prior"),
        _distribution(fields.get("initial"), "scoring.smoother.initial"),
        _number(fields.get("evidence", 1.0), "scoring.smoother.evidence", 0.0, 1.0),
    )


def _outliers(fields: Mapping[str, Any]) -> OutlierModel:
    if set(fields) != set(FEATURES):
        raise BundleError("scoring.ood", sorted(fields), f"give a range for each of {', '.join(FEATURES)}")
    ranges = {}
    for name in FEATURES:
        bounds = fields[name]
        if not isinstance(bounds, list) or len(bounds) != 2:
            raise BundleError(f"scoring.ood.{name}", bounds, "give the lowest and the highest value")
        low, high = (_number(value, f"scoring.ood.{name}", -1e6, 1e6) for value in bounds)
        if not low < high:
            raise BundleError(f"scoring.ood.{name}", bounds, "the lowest value is below the highest")
        ranges[name] = (low, high)
    return OutlierModel(ranges)


def _check_names(fields: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    unknown = set(_object(fields, where)) - set(names)
    if unknown:
        raise BundleError(where, sorted(unknown), f"the fields are {', '.join(names)}")


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BundleError(where, value, "give a JSON object")
    return value


def _number(value: object, where: str, least: float, most: float) -> float:
    if type(value) not in (int, float) or not math.isfinite(float(value)):  # type: ignore[arg-type]
        raise BundleError(where, value, "give a finite number")
    number = float(value)  # type: ignore[arg-type]
    if not least <= number <= most:
        raise BundleError(where, number, f"give a number from {least:g} to {most:g}")
    return number


def _distribution(value: object, where: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != len(STAGES):
        raise BundleError(where, value, "give five probabilities W N1 N2 N3 R")
    row = tuple(_number(p, where, 0.0, 1.0) for p in value)
    if abs(sum(row) - 1.0) > _SUM_TOLERANCE:
        raise BundleError(where, value, "the five probabilities sum to 1")
    return row
