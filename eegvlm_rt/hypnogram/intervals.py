"""What a night's statistics are at best guess, and how sure: hypnograms drawn from its probabilities."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..stages import STAGES, Stage
from .course import codes_of
from .model import Hypnogram
from .statistics import sleep_statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["CORRELATION_EPOCHS", "Interval", "draw_hypnograms", "statistics_intervals"]

CORRELATION_EPOCHS: Final = 20.0
"""Epochs after which the doubt of two epochs is little alike (correlation of the noise 1/e): 10 min."""

FIELDS: Final = (
    "sleep_min",
    "efficiency_pct",
    "onset_latency_min",
    "onset_latency_3_epochs_min",
    "persistent_sleep_latency_min",
    "rem_latency_min",
    "rem_latency_3_epochs_min",
    "rem_latency_period_min",
    "waso_min",
)
"""Figures that get an interval, beside the minutes of each stage."""

_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """`estimate` is the middle of the draws, and `low` to `high` holds the middle `level` of them.
    `absent_share` of the draws do not have the figure (no R, no sleep); what falls among those is None.
    """

    estimate: float | None
    low: float | None
    high: float | None
    absent_share: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return asdict(self)


def draw_hypnograms(
    hypnogram: Hypnogram,
    draws: int,
    *,
    correlation_epochs: float = CORRELATION_EPOCHS,
    rng: np.random.Generator,
) -> NDArray[np.int8]:
    """(draws, n) stages drawn from the probabilities, -1 where unscored; a stage without probabilities is
    kept.

    Each epoch has each stage with the probability given for it. Epochs are not drawn independently: a model
    that takes one epoch of drowsy wake for R takes its neighbors for R too, and independent errors would
    average out over a night. So the noise of each stage is a Gaussian first-order autoregression over the
    epochs, correlated by exp(-k / `correlation_epochs`) at a distance of k; turned into Gumbel noise and
    added to the log probabilities, its maximum picks the stage (the Gumbel-max way of drawing from a
    distribution).
    """
    from scipy.signal import lfilter
    from scipy.special import ndtr

    codes = codes_of(hypnogram.stages)
    rows = hypnogram.probabilities
    certain = np.array(
        [row is not None for row in rows] if rows is not None else [False] * len(codes), dtype=bool
    )
    certain &= codes >= 0
    drawn = np.tile(codes, (draws, 1))
    if rows is None or not certain.any():
        return drawn
    table = np.array(
        [row if there else (1.0,) * len(STAGES) for row, there in zip(rows, certain, strict=True)]
    )
    logs = np.log(np.maximum(table, _LEAST))
    # AR(1) noise of unit variance over the epochs, one path for each draw and stage.
    keep = float(np.exp(-1.0 / correlation_epochs))
    shocks = rng.standard_normal((draws, len(codes), len(STAGES)))
    shocks[:, 1:] *= np.sqrt(1.0 - keep**2)
    noise = lfilter([1.0], [1.0, -keep], shocks, axis=1)
    # From Gaussian to uniform to Gumbel; the ends are kept off 0 and 1.
    gumbel = -np.log(-np.log(np.clip(ndtr(noise), 1e-15, 1.0 - 1e-15)))
    drawn[:, certain] = (logs + gumbel).argmax(axis=2)[:, certain]
    return drawn


def statistics_intervals(
    hypnogram: Hypnogram,
    *,
    lights_off: int | None = None,
    lights_on: int | None = None,
    draws: int = 200,
    level: float = 0.9,
    correlation_epochs: float = CORRELATION_EPOCHS,
    seed: int = 0,
    others: Sequence[Hypnogram] = (),
) -> dict[str, Interval]:
    """Estimates and intervals of total sleep, efficiency, latencies, wake and minutes by stage ("N2_min").

    The figures are computed on `draws` hypnograms (see `draw_hypnograms`); `others` have other probabilities
    of the same epochs, and each gets as many of the draws. They show the model's own doubt:
    an error it is sure of is in no interval. An interval need not hold the figure itself: of epochs that are
    R with 0.7, the figure counts all and the draws 7 in 10. The same seed gives the same intervals. Raises
    InputError for lights outside the night, a level outside 0..1 or fewer than 20 draws.
    """
    if not 0.0 < level < 1.0:
        raise InputError("level", level, "give a share between 0 and 1, such as 0.9")
    if draws < 20:
        raise InputError("draws", draws, "give at least 20")
    draws_of: dict[str, list[float]] = {name: [] for name in (*FIELDS, *(f"{s.name}_min" for s in STAGES))}
    rng = np.random.default_rng(seed)
    sources = (hypnogram, *others)
    parts = [
        draw_hypnograms(source, len(share), correlation_epochs=correlation_epochs, rng=rng)
        for source, share in zip(sources, np.array_split(np.arange(draws), len(sources)), strict=True)
    ]
    for codes in np.concatenate(parts):
        stages = tuple(None if code < 0 else Stage(code) for code in codes)
        statistics = sleep_statistics(Hypnogram(stages), lights_off=lights_off, lights_on=lights_on)
        for name in FIELDS:
            value = getattr(statistics, name)
            draws_of[name].append(np.inf if value is None else value)
        for stage in STAGES:
            draws_of[f"{stage.name}_min"].append(statistics.stage_min[stage])
    return {name: _interval(np.array(values), level) for name, values in draws_of.items()}


def _interval(values: NDArray[np.float64], level: float) -> Interval:
    """A latency that a draw does not have counts as longer than every other."""
    places = np.quantile(values, [0.5, 0.5 - level / 2, 0.5 + level / 2], method="inverted_cdf")
    middle, low, high = (float(place) if np.isfinite(place) else None for place in places)
    return Interval(middle, low, high, float(np.isinf(values).mean()))
