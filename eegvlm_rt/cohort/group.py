"""The report of a cohort: how its nights are spread, which stand out, which failed. One HTML file."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .. import __version__
from ..errors import InputError
from ..files.outputs import write_file
from ..files.seal import SEAL
from ..hypnogram.definitions import DEFINITIONS
from ..hypnogram.palette import STAGE_COLORS
from ..notice import NOTICE
from ..report.figures import GROUPS
from ..stages import STAGES
from .receipt import Status
from .row import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from .receipt import Receipt

__all__ = ["GROUP", "OUTLIER_Z", "Gathered", "group_available", "group_html", "outlier_scores", "write_group"]

GROUP: Final = "group.html"
OUTLIER_Z: Final = 3.5
"""A night stands out where its modified z score is beyond this: 0.6745 (x - median) / MAD, Iglewicz and
Hoaglin (1993), How to Detect and Handle Outliers.
"""

MOST: Final = 50
"""Rows that a list of nights shows; the table has them all."""

POOR_SCORED_PCT: Final = 80.0
"""A night of which less is scored is listed under quality."""

_LEAST: Final = 8
"""Nights below which nothing is called an outlier: a median of fewer says little."""

_QUALITY: Final = (
    ("certainty_mean", "Mean certainty of the stages", ""),
    ("doubtful_pct", "Doubtful epochs", "%"),
    ("unscorable_pct", "Unscorable epochs", "%"),
    ("missing_pct", "Missing samples", "%"),
    ("amplitude_uv", "Amplitude", "µV"),
)
_SHARES: Final = tuple((f"{s.name}_pct", f"{s.name} of the sleep time", "%") for s in STAGES[1:])
_FIGURES: Final = (
    *((title, figures) for title, figures in GROUPS),
    ("Stages", _SHARES),
    ("Quality", _QUALITY),
)


class Gathered:
    """Numbers of all nights, some 40 each, and the few words that are shown."""

    def __init__(self) -> None:
        self.names: list[str] = []
        figures = [name for _, figures in _FIGURES for name, _, _ in figures]
        self.values: dict[str, list[float]] = {name: [] for name in figures}
        self.counts: Counter[Status] = Counter()
        self.models: Counter[str] = Counter()
        self.failures: list[tuple[str, str]] = []
        self.kinds: Counter[str] = Counter()
        self.poor: list[tuple[str, str, str]] = []

    def add(self, receipt: Receipt) -> Receipt:
        """Count a receipt, and give it back."""
        self.counts[receipt.status] += 1
        if receipt.status is Status.FAILED:
            self.kinds[receipt.error_kind] += 1
            if len(self.failures) < MOST:
                self.failures.append((receipt.night, receipt.error))
        if receipt.status is Status.SCORED:
            self._add_scored(receipt)
        return receipt

    def _add_scored(self, receipt: Receipt) -> None:
        row = receipt.row
        self.names.append(receipt.night)
        self.models[f"{row.get('model')} ({receipt.bundle[:10]}), mode {row.get('mode')}"] += 1
        for name, values in self.values.items():
            values.append(_number(row.get(name)))
        whole, scored = _number(row.get("recording_min")), _number(row.get("scored_min"))
        share = 100.0 * scored / whole if whole > 0 else 0.0
        if share < POOR_SCORED_PCT:
            flags = {n[5:-7].replace("_", " "): v for n, v in row.items() if n.startswith("flag_") and v}
            shown = ", ".join(f"{name} {count}" for name, count in flags.items()) or "none"
            self.poor.append((receipt.night, f"{share:.0f} %", shown))


def group_available() -> bool:
    """Whether a group report can be written: it needs jinja2 (the extra `report`)."""
    return find_spec("jinja2") is not None


def write_group(out: Path, gathered: Gathered, *, overwrite: bool = False) -> Path:
    """Write `group.html` into a folder of results. Raises InputError without jinja2, and what
    `files.write_file` raises.
    """
    return write_file(out / GROUP, group_html(gathered).encode(), overwrite=overwrite)


def group_html(gathered: Gathered) -> str:
    """The report of a cohort as one HTML text; lists are cut at `MOST` rows."""
    if not group_available():
        raise InputError("report", "jinja2 not installed", "install the extra [report] of this package")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    numbers = {name: np.array(values) for name, values in gathered.values.items()}
    environment = Environment(
        loader=PackageLoader("eegvlm_rt.cohort", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    outliers = _outliers(gathered.names, numbers)
    return environment.get_template("group.html").render(
        seal=SEAL,
        notice=NOTICE,
        version=__version__,
        style=files("eegvlm_rt.report").joinpath("style.css").read_text(encoding="utf-8"),
        counts={str(status): gathered.counts[status] for status in Status},
        models=gathered.models.most_common(10),
        groups=[(title, _rows(figures, numbers)) for title, figures in _FIGURES],
        stages=_stage_bars(numbers),
        outliers=outliers[:MOST],
        n_outliers=len(outliers),
        outlier_z=OUTLIER_Z,
        least=_LEAST,
        poor=sorted(gathered.poor)[:MOST],
        n_poor=len(gathered.poor),
        poor_pct=POOR_SCORED_PCT,
        failures=gathered.failures,
        kinds=gathered.kinds.most_common(),
        most=MOST,
    )


def outlier_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Modified z score of each value, NaN where it is none; all 0 where half of the values are equal."""
    numbers = values[np.isfinite(values)]
    if numbers.size == 0:
        return np.full_like(values, np.nan)
    # Median and median deviation in place of mean and standard deviation: the nights that stand out must not
    # move the measure by which they do. 0.6745 makes it a z score for normal numbers (Iglewicz & Hoaglin
    # 1993).
    middle = float(np.median(numbers))
    spread = float(np.median(np.abs(numbers - middle)))
    if spread == 0.0:
        return np.where(np.isfinite(values), 0.0, np.nan)
    return np.asarray(0.6745 * (values - middle) / spread)


def _number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if is_number else float("nan")  # type: ignore[arg-type]


def _rows(
    figures: Iterable[tuple[str, str, str]], numbers: dict[str, NDArray[np.float64]]
) -> list[dict[str, Any]]:
    rows = []
    for name, label, unit in figures:
        finite = numbers[name][np.isfinite(numbers[name])]
        meaning = DEFINITIONS.get(name) or COLUMNS[name][1]
        row: dict[str, Any] = {"label": label, "unit": unit, "n": finite.size, "meaning": meaning, "bars": []}
        if finite.size:
            low, quarter, middle, three, high = np.quantile(finite, [0, 0.25, 0.5, 0.75, 1])
            row |= {
                "middle": f"{middle:.4g}",
                "quarters": f"{quarter:.4g} to {three:.4g}",
                "ends": f"{low:.4g} to {high:.4g}",
                "bars": _bars(finite),
            }
        rows.append(row)
    return rows


def _bars(values: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Left edge and height of 24 bars, in percent of the picture: a histogram from least to largest."""
    counts, _ = np.histogram(values, bins=24)
    top = counts.max()
    return [(100 * i / 24, round(100 * float(c) / top, 1)) for i, c in enumerate(counts) if c]


def _stage_bars(numbers: dict[str, NDArray[np.float64]]) -> list[dict[str, Any]]:
    """Mean share of each stage in the sleep time."""
    bars = []
    start = 0.0
    for stage in STAGES[1:]:
        values = numbers[f"{stage.name}_pct"]
        if np.isfinite(values).any():
            share = float(np.nanmean(values))
            bars.append({"name": stage.name, "left": start, "share": share, "color": STAGE_COLORS[stage]})
            start += share
    return bars


def _outliers(
    names: list[str], numbers: dict[str, NDArray[np.float64]]
) -> list[tuple[str, str, str, str, float]]:
    """(night, figure, value, median, score) of what stands out, the farthest first."""
    rows = []
    for _, figures in _FIGURES:
        for name, label, unit in figures:
            values = numbers[name]
            if np.isfinite(values).sum() < _LEAST:
                continue
            middle = float(np.nanmedian(values))
            scores = outlier_scores(values)
            for i in np.flatnonzero(np.abs(scores) > OUTLIER_Z):
                value = f"{values[i]:.4g} {unit}".strip()
                rows.append((names[i], label, value, f"{middle:.4g}", round(float(scores[i]), 1)))
    return sorted(rows, key=lambda row: (-abs(row[4]), row[0], row[1]))
