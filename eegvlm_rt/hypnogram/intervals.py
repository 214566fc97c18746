"""What a night's statistics are at best guess, and how sure: hypnograms drawn from its probabilities."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..stages import STAGES
from .course import codes_of
from .model import Hypnogram
from .statistics import sleep_statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["CORRELATION_EPOCHS", "NIGHT_SHARES", "Interval", "draw_hypnograms", "statistics_intervals"]

CORRELATION_EPOCHS: Final = 20.0
"""Epochs after which the doubt of two epochs is little alike (correlation of the noise 1/e): 10 min."""

NIGHT_SHARES: Final = (0.8, 0.2, 0.2, 0.8, 0.6)
"""Share of the noise of W, N1, N2, N3 and R (of its variance) that is the same in all epochs of a night.

A model that reads a person a little too awake does so all night long. Chosen on 30 simulated nights of 8 h
(seeds 8500 to 8529; `nano`, `head` with memory) by the interval score (Gneiting & Raftery 2007, JASA 102:359)
of the 90 % intervals of total sleep, wake after onset and the minutes of each stage: summed, each divided by
its score without shares, 4.58 instead of 7. The score is flat: `benchmarks.night_statistics --fit-shares`
ends at 0.8, 0.1, 0.8, 0.1, 0.45 with 4.50, but then intervals of N2 are a third wider and hold 97 % of the
nights, with the shares here 90 %. No person's night was used.
"""

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

_MINUTES: Final = tuple(f"{stage.name}_min" for stage in STAGES)
_SUMS: Final = frozenset(("sleep_min", "efficiency_pct", "waso_min", *_MINUTES))
"""Figures that add up the epochs of a night: errors of a whole night go together in them."""

_LEAST = 1e-12
_STAGE_OF: Final = (*STAGES, None)


@dataclass(frozen=True, slots=True)
class Interval:
    """`estimate` is the middle of the draws, and `low` to `high` holds the middle `level` of them.
    `absent_share` of the draws do not have the figure (no R, no sleep); what falls among those is None.

    The ends of a sum over the night (sleep, efficiency, wake, minutes of a stage) and its `absent_share` are
    those of other draws, whose errors partly last all night; they are moved as far as holds the estimate.
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
    night_shares: Sequence[float] | None = None,
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

    `night_shares` (5, from 0 to 1) is the share of each stage's noise, of its variance, that is one number
    for all epochs of a draw; None is none. It changes how errors go together, not how often an epoch has a
    stage.
    """
    from scipy.signal import lfilter
    from scipy.special import ndtr, ndtri

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
    # Mixed with what lasts all night, the variance stays 1: each epoch keeps its probabilities.
    if night_shares is not None:
        shares = np.asarray(night_shares, dtype=np.float64)
        # The draws cut the normal distribution of each stage into as many equal parts, in an order of its
        # own: few draws have their ends where many would have them.
        parts = rng.permuted(np.tile(np.arange(draws), (len(STAGES), 1)), axis=1)
        lasting = ndtri((parts.T[:, None] + 0.5) / draws)
        noise = np.sqrt(1.0 - shares) * noise + np.sqrt(shares) * lasting
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
    night_shares: Sequence[float] | None = NIGHT_SHARES,
    seed: int = 0,
    others: Sequence[Hypnogram] = (),
) -> dict[str, Interval]:
    """Estimates and intervals of total sleep, efficiency, latencies, wake and minutes by stage ("N2_min").

    The figures are computed on `draws` hypnograms (see `draw_hypnograms`); `others` have other probabilities
    of the same epochs, and each gets as many of the draws. The ends of sums over the night come from as many
    further draws with `night_shares`, None for the same draws: single errors average out over a night, those
    that last all night do not. Estimates and latencies do not depend on it.

    Intervals show the model's own doubt: an error it is sure of is in no interval. An interval need not hold
    the figure itself: of epochs that are R with 0.7, the figure counts all and the draws 7 in 10. The same
    seed gives the same intervals. Raises InputError for lights outside the night, a level outside 0..1 or
    fewer than 20 draws.
    """
    if not 0.0 < level < 1.0:
        raise InputError("level", level, "give a share between 0 and 1, such as 0.9")
    if draws < 20:
        raise InputError("draws", draws, "give at least 20")
    rng = np.random.default_rng(seed)
    sources = (hypnogram, *others)

    def values(shares: Sequence[float] | None) -> dict[str, NDArray[np.float64]]:
        parts = [
            draw_hypnograms(
                source, len(part), correlation_epochs=correlation_epochs, night_shares=shares, rng=rng
            )
            for source, part in zip(sources, np.array_split(np.arange(draws), len(sources)), strict=True)
        ]
        return _figures(np.concatenate(parts), lights_off, lights_on)

    near = values(None)
    lasting = near if night_shares is None else values(night_shares)
    return {
        name: _interval(near[name], (lasting if name in _SUMS else near)[name], level)
        for name in (*FIELDS, *_MINUTES)
    }


def _figures(
    drawn: NDArray[np.int8], lights_off: int | None, lights_on: int | None
) -> dict[str, NDArray[np.float64]]:
    """(draws,) values of each figure on (draws, n) stages; one that a draw does not have is infinite."""
    values: dict[str, list[float]] = {name: [] for name in (*FIELDS, *_MINUTES)}
    for codes in drawn.tolist():
        stages = tuple(_STAGE_OF[code] for code in codes)
        statistics = sleep_statistics(Hypnogram(stages), lights_off=lights_off, lights_on=lights_on)
        for name in FIELDS:
            value = getattr(statistics, name)
            values[name].append(np.inf if value is None else value)
        for name, minutes in zip(_MINUTES, statistics.stage_min.values(), strict=True):
            values[name].append(minutes)
    return {name: np.array(column) for name, column in values.items()}


def _interval(near: NDArray[np.float64], ends: NDArray[np.float64], level: float) -> Interval:
    """Middle of `near`, ends of `ends`; a latency that a draw does not have counts as longer than every
    other."""
    middle = np.quantile(near, 0.5, method="inverted_cdf")
    low, high = np.quantile(ends, [0.5 - level / 2, 0.5 + level / 2], method="inverted_cdf")
    places = (middle, min(low, middle), max(high, middle))
    estimate, low, high = (float(place) if np.isfinite(place) else None for place in places)
    return Interval(estimate, low, high, float(np.isinf(ends).mean()))
