"""A bundle as an answerer: the runtime's stager, epoch by epoch, as on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.bundle import Bundle, find_bundle
from eegvlm_rt.calibration import Scoring
from eegvlm_rt.prediction import AnsweredBy, StagePrediction
from eegvlm_rt.prompt import Mode
from eegvlm_rt.signal.quality import assess
from eegvlm_rt.stager import Stager
from eegvlm_rt.stages import STAGES

from .answers import Answers, Reasoned, Reasons, reason_answers
from .metrics import INVALID

__all__ = ["BundleAnswerer"]

_SFREQ_HZ = 100.0


class BundleAnswerer:
    """Answers from a bundle folder or name."""

    def __init__(self, bundle: Path | str, *, threads: int | None = None) -> None:
        self._bundle, self._threads = str(bundle), threads
        self.scoring = Scoring.from_dict(Bundle.open(find_bundle(bundle)).manifest.scoring)

    def _predict(self, x_uv: NDArray[np.float32], mode: Mode, constrained: bool) -> list[StagePrediction]:
        stager = Stager.load(self._bundle, mode=mode, threads=self._threads, constrained=constrained)
        return [stager.predict_conditioned(x, assess(x, _SFREQ_HZ)) for x in x_uv]

    def stage(self, x_uv: NDArray[np.float32], mode: Mode) -> Answers:
        predictions = self._predict(x_uv, mode, True)
        stages = [INVALID if p.stage is None else int(p.stage) for p in predictions]
        probabilities = np.array([[p.probabilities[stage] for stage in STAGES] for p in predictions])
        return Answers(np.array(stages, dtype=np.int64), probabilities)

    def reason(self, x_uv: NDArray[np.float32], *, constrained: bool) -> Reasons:
        return reason_answers(
            [
                Reasoned(
                    p.rationale, p.probabilities if p.source is AnsweredBy.RULE else None, p.timing.tokens
                )
                for p in self._predict(x_uv, Mode.COT, constrained)
            ]
        )
