"""Nights for the tests of reports: real predictions of a few epochs, as often as a night needs them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache

import numpy as np

from eegvlm_rt.night import Night, NightInfo
from eegvlm_rt.prediction import Outcome, StagePrediction
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.sources import Recording
from eegvlm_rt.stager import Stager

START = datetime(2024, 3, 1, 22, 47, 30)
CHANNEL = "EEG Fpz-Cz"


@cache
def few_predictions() -> tuple[StagePrediction, ...]:
    """30 epochs of a simulated night, staged with reasons by the shipped model."""
    x = simulate_night(21, hours=1).samples_uv[60_000:150_000]
    return tuple(Stager.load("nano", threads=1).predict_recording(x, sfreq=100, channel=CHANNEL))


def night_of_hours(hours: float, *, signal: bool = True, gap: tuple[int, int] = (0, 0)) -> Night:
    """A night of so many hours; the epochs of `gap` never came."""
    few, n = few_predictions(), round(hours * 120)
    predictions = []
    for i in range(n):
        own = replace(few[(i // 3) % len(few)], index=i, start_s=30.0 * i)
        if gap[0] <= i < gap[1]:
            own = StagePrediction.unanswered(own, own.mode, Outcome.GAP)
        predictions.append(own)
    rng = np.random.default_rng(0)
    x = (20 * rng.standard_normal(n * 3000)).astype(np.float32)
    x[gap[0] * 3000 : gap[1] * 3000] = np.nan
    info = NightInfo(
        source="night.edf",
        channel=CHANNEL,
        sfreq=100.0,
        start=START,
        duration_s=3600.0 * hours,
        model_id="nano",
        model_digest="0123456789abcdef" * 4,
        mode="cot",
        options={"smooth": "causal"},
    )
    recording = Recording(x, 100.0, CHANNEL, START) if signal else None
    return Night(predictions, info, recording=recording).run()
