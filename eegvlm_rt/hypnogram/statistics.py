"""Sleep statistics of a night, as the AASM manual and YASA define them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..stages import STAGES, Stage
from .course import (
    EPOCH_MIN,
    codes_of,
    first_period,
    first_run,
    runs,
    sleep_cycles,
    stage_minutes,
    transition_counts,
)
from .definitions import NOT_ASSESSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .course import SleepCycle
    from .model import Hypnogram

__all__ = ["LightsKnown", "SleepStatistics", "sleep_statistics"]

_PERIOD = (10, 7)
"""A period of R: of 5 min, epochs that must be R."""

SLEEP = (Stage.N1, Stage.N2, Stage.N3, Stage.R)


class LightsKnown(StrEnum):
    """Where the time of lights off, or on, comes from.

    GIVEN: by whoever asked. TAKEN: from the recording, its annotations or the start of a stream. UNKNOWN:
    nobody said; the first epoch, or the end of the last, stands for it, and what counts from there may be
    off.
    """

    GIVEN = "given"
    TAKEN = "taken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SleepStatistics:
    """Times in minutes, shares in percent; None where there is no sleep, or no such stage, to count from.

    What each field means, and over which window, stands in `definitions.DEFINITIONS` under its name.
    `lights_off` is the first epoch that counts, `lights_on` the first after them. `latencies_certain` is
    False where an unscored epoch lies before sleep onset, or between it and the first R: the latency to it
    may then be shorter than given. `not_assessed` names what one EEG channel cannot give, and why.
    """

    lights_off: int
    lights_on: int
    lights_off_known: LightsKnown
    lights_on_known: LightsKnown
    recording_min: float
    scored_min: float
    unscored_min: float
    sleep_min: float
    sleep_period_min: float
    efficiency_pct: float
    efficiency_scored_pct: float | None
    maintenance_pct: float | None
    onset_latency_min: float | None
    onset_latency_3_epochs_min: float | None
    onset_latency_5min_min: float | None
    persistent_sleep_latency_min: float | None
    rem_latency_min: float | None
    rem_latency_3_epochs_min: float | None
    rem_latency_period_min: float | None
    rem_latency_from_lights_off_min: float | None
    waso_min: float | None
    waso_in_sleep_period_min: float | None
    final_wake_min: float | None
    awakenings: int
    stage_shifts: int
    wake_transitions_per_h: float | None
    fragmentation_per_h: float | None
    stage_min: Mapping[Stage, float]
    stage_pct: Mapping[Stage, float] | None
    stage_latency_min: Mapping[Stage, float | None]
    third_min: tuple[Mapping[Stage, float], ...]
    transitions: tuple[tuple[int, ...], ...]
    cycles: tuple[SleepCycle, ...]
    latencies_certain: bool

    @property
    def not_assessed(self) -> Mapping[str, str]:
        """What one EEG channel cannot give -> why."""
        return NOT_ASSESSED

    @property
    def transition_shares(self) -> NDArray[np.float64]:
        """(5, 5) `transitions` as shares of each row; NaN in the row of a stage that nothing follows."""
        counts = np.array(self.transitions, dtype=np.float64)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.full_like(counts, np.nan)
        np.divide(counts, totals, out=shares, where=totals > 0)
        return shares

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields, stages by name."""
        fields = asdict(self)
        for name in ("stage_min", "stage_pct", "stage_latency_min"):
            fields[name] = _named(fields[name])
        return fields | {
            "lights_off_known": str(self.lights_off_known),
            "lights_on_known": str(self.lights_on_known),
            "third_min": [_named(third) for third in self.third_min],
            "transitions": [list(row) for row in self.transitions],
            "cycles": [asdict(cycle) for cycle in self.cycles],
            "not_assessed": dict(self.not_assessed),
        }


def sleep_statistics(
    hypnogram: Hypnogram,
    *,
    lights_off: int | None = None,
    lights_on: int | None = None,
    lights_off_known: LightsKnown = LightsKnown.GIVEN,
    lights_on_known: LightsKnown = LightsKnown.GIVEN,
) -> SleepStatistics:
    """Statistics between two epochs: `lights_off` is the first that counts, `lights_on` the first after
    them.

    None takes the hypnogram's own ends, as unknown; `lights_off_known` and `lights_on_known` say where those
    that are given come from. Definitions and windows: `definitions.DEFINITIONS`. The manual has no unscored
    epochs: here they belong to TRT and to nothing else, so WASO counts epochs of W, where the manual's TRT -
    latency - TST would count them as wake.

    Raises InputError for an empty stretch or one outside the hypnogram.
    """
    first = 0 if lights_off is None else lights_off
    last = len(hypnogram) if lights_on is None else lights_on
    if not 0 <= first < last <= len(hypnogram):
        raise InputError(
            "lights", f"epochs {first} to {last}", f"give a stretch within 0 to {len(hypnogram)}"
        )
    codes = codes_of(hypnogram.stages[first:last])
    asleep, awake = codes > 0, codes == Stage.W
    minutes = stage_minutes(codes)
    sleep_min = sum(minutes[stage] for stage in SLEEP)
    recording_min = EPOCH_MIN * len(codes)
    scored_min = sleep_min + minutes[Stage.W]
    # The sleep period is from the first epoch of sleep to the last. Most shares and counts are of it; the
    # latencies count from lights off, or from the onset.
    onset = first_run(asleep, 1)
    end = None if onset is None else int(np.flatnonzero(asleep)[-1]) + 1
    period = codes[onset:end] if onset is not None else codes[:0]
    rem = first_run(codes == Stage.R, 1)
    return SleepStatistics(
        lights_off=first,
        lights_on=last,
        lights_off_known=LightsKnown.UNKNOWN if lights_off is None else lights_off_known,
        lights_on_known=LightsKnown.UNKNOWN if lights_on is None else lights_on_known,
        recording_min=recording_min,
        scored_min=scored_min,
        unscored_min=recording_min - scored_min,
        sleep_min=sleep_min,
        sleep_period_min=EPOCH_MIN * len(period),
        efficiency_pct=100.0 * sleep_min / recording_min,
        efficiency_scored_pct=100.0 * sleep_min / scored_min if scored_min else None,
        maintenance_pct=100.0 * sleep_min / (EPOCH_MIN * len(period)) if len(period) else None,
        onset_latency_min=_minutes(onset),
        onset_latency_3_epochs_min=_minutes(first_run(asleep, 3)),
        onset_latency_5min_min=_minutes(first_run(asleep, round(5 / EPOCH_MIN))),
        persistent_sleep_latency_min=_minutes(first_run(asleep, round(10 / EPOCH_MIN))),
        rem_latency_min=_minutes(rem, onset),
        rem_latency_3_epochs_min=_minutes(first_run(codes == Stage.R, 3), onset),
        rem_latency_period_min=_minutes(first_period(codes == Stage.R, *_PERIOD), onset),
        rem_latency_from_lights_off_min=_minutes(rem),
        waso_min=None if onset is None else EPOCH_MIN * int(awake[onset:].sum()),
        waso_in_sleep_period_min=None if onset is None else EPOCH_MIN * int(awake[onset:end].sum()),
        final_wake_min=None if onset is None else EPOCH_MIN * int(awake[end:].sum()),
        awakenings=len(runs(period == Stage.W)),
        stage_shifts=_shifts(period),
        **_fragmentation(codes, sleep_min),
        stage_min=minutes,
        stage_pct={s: 100.0 * minutes[s] / sleep_min for s in SLEEP} if sleep_min else None,
        stage_latency_min={s: _minutes(first_run(codes == s, 1), onset) for s in SLEEP},
        third_min=_thirds(period),
        transitions=tuple(tuple(int(n) for n in row) for row in transition_counts(codes)),
        cycles=sleep_cycles(codes, first),
        latencies_certain=bool((codes[: _looked_at(onset, rem, len(codes))] >= 0).all()),
    )


def _looked_at(onset: int | None, rem: int | None, epochs: int) -> int:
    """Epochs that both latencies depend on."""
    return epochs if onset is None or rem is None else rem


def _minutes(place: int | None, origin: int | None = 0) -> float | None:
    return None if place is None or origin is None else EPOCH_MIN * (place - origin)


def _shifts(period: NDArray[np.int8]) -> int:
    counts = transition_counts(period)
    return int(counts.sum() - np.trace(counts))


def _fragmentation(codes: NDArray[np.int8], sleep_min: float) -> dict[str, float | None]:
    """Changes to W, and changes to a lighter W or N1, per hour of sleep."""
    # Only pairs of scored epochs are counted, so that a gap in the recording is no awakening.
    counts = transition_counts(codes)
    to_wake = int(counts[1:, Stage.W].sum())
    to_light = int(counts[Stage.N2 :, Stage.N1].sum())
    per_h = 60.0 / sleep_min if sleep_min else None
    return {
        "wake_transitions_per_h": None if per_h is None else per_h * to_wake,
        "fragmentation_per_h": None if per_h is None else per_h * (to_wake + to_light),
    }


def _thirds(period: NDArray[np.int8]) -> tuple[dict[Stage, float], ...]:
    return tuple(stage_minutes(third) for third in np.array_split(period, 3)) if len(period) else ()


def _named(values: Mapping[Any, Any] | None) -> dict[str, Any] | None:
    return None if values is None else {STAGES[stage].name: value for stage, value in values.items()}
