"""Sleep statistics of a night, as the AASM manual defines them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..epoch import EPOCH_S
from ..errors import InputError
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import Hypnogram

__all__ = ["SleepStatistics", "sleep_statistics"]

_EPOCH_MIN = EPOCH_S / 60.0


@dataclass(frozen=True, slots=True)
class SleepStatistics:
    """Times in minutes, shares in percent. None where there is no sleep, or no REM sleep, to count from.

    Attributes:
        recording_min: total recording time (TRT), lights off to lights on, unscored epochs included.
        scored_min, unscored_min: its parts.
        sleep_min: total sleep time (TST): epochs of N1, N2, N3 and R.
        efficiency_pct: sleep efficiency (SE), TST of TRT: an unscored epoch is time without known sleep.
        efficiency_scored_pct: TST of the scored time, None where nothing is scored.
        onset_latency_min: sleep onset latency (SOL), lights off to the first epoch of any sleep stage.
        rem_latency_min: from that epoch to the first epoch of R.
        waso_min: wake after sleep onset up to lights on; unscored epochs do not count as wake.
        stage_min: minutes of each stage.
        stage_pct: share of TST of N1, N2, N3 and R; None without sleep.
        latencies_certain: False where an unscored epoch lies before sleep onset, or between it and the first
            R: the latency to it may then be shorter than given.
    """

    recording_min: float
    scored_min: float
    unscored_min: float
    sleep_min: float
    efficiency_pct: float
    efficiency_scored_pct: float | None
    onset_latency_min: float | None
    rem_latency_min: float | None
    waso_min: float | None
    stage_min: Mapping[Stage, float]
    stage_pct: Mapping[Stage, float] | None
    latencies_certain: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields, stages by name."""
        shares = self.stage_pct
        return asdict(self) | {
            "stage_min": {stage.name: value for stage, value in self.stage_min.items()},
            "stage_pct": None if shares is None else {s.name: value for s, value in shares.items()},
        }


def sleep_statistics(
    hypnogram: Hypnogram, *, lights_off: int = 0, lights_on: int | None = None
) -> SleepStatistics:
    """Statistics between two epochs: `lights_off` is the first that counts, `lights_on` the first after them.

    Definitions: AASM Manual for the Scoring of Sleep and Associated Events, "Parameters to be reported",
    sleep scoring data (lights off and on, TST, TRT, sleep latency, R latency, WASO, sleep efficiency, time
    and percent of TST in each stage). The manual has no unscored epochs: here they belong to TRT and to
    nothing else, so WASO counts epochs of W, where the manual's TRT - latency - TST would count them as wake.

    Raises InputError for an empty stretch or one outside the hypnogram.
    """
    last = len(hypnogram) if lights_on is None else lights_on
    if not 0 <= lights_off < last <= len(hypnogram):
        raise InputError(
            "lights", f"epochs {lights_off} to {last}", f"give a stretch within 0 to {len(hypnogram)}"
        )
    stages = hypnogram.stages[lights_off:last]
    minutes = {stage: _EPOCH_MIN * stages.count(stage) for stage in STAGES}
    sleep_min = sum(minutes[stage] for stage in STAGES if stage is not Stage.W)
    scored_min = sleep_min + minutes[Stage.W]
    recording_min = _EPOCH_MIN * len(stages)
    onset = next((i for i, stage in enumerate(stages) if stage not in (None, Stage.W)), None)
    rem = stages.index(Stage.R) if Stage.R in stages else None
    looked_at = len(stages) if onset is None else rem if rem is not None else len(stages)
    return SleepStatistics(
        recording_min=recording_min,
        scored_min=scored_min,
        unscored_min=recording_min - scored_min,
        sleep_min=sleep_min,
        efficiency_pct=100.0 * sleep_min / recording_min,
        efficiency_scored_pct=100.0 * sleep_min / scored_min if scored_min else None,
        onset_latency_min=None if onset is None else _EPOCH_MIN * onset,
        rem_latency_min=None if onset is None or rem is None else _EPOCH_MIN * (rem - onset),
        waso_min=None if onset is None else _EPOCH_MIN * stages[onset:].count(Stage.W),
        stage_min=minutes,
        stage_pct={s: 100.0 * minutes[s] / sleep_min for s in STAGES if s is not Stage.W}
        if sleep_min
        else None,
        latencies_certain=None not in stages[:looked_at],
    )
