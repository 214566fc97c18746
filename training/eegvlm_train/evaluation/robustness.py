"""Agreement when the amplifier, its filters or the electrode differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from eegvlm_rt.prompt import Mode
from eegvlm_rt.signal.conditioning import Preprocessing

from .answers import Answerer
from .epoch_sets import EvaluationSet
from .metrics import score
from .recordings import ScoredRecording, condition

__all__ = ["DISTURBANCES", "Disturbance", "robustness"]

Float32 = NDArray[np.float32]
Change = Callable[[Float32, float, np.random.Generator], tuple[Float32, float]]
_MAINS_UV = 10.0
_NOISE_UV = 5.0
_MISSING_SHARE = 0.05
_RATE_HZ = 256.0


def _resampled(to_hz: float) -> Change:
    def change(x: Float32, sfreq: float, _: np.random.Generator) -> tuple[Float32, float]:
        ratio = (Fraction(to_hz) / Fraction(sfreq)).limit_denominator(1000)
        return resample_poly(x, ratio.numerator, ratio.denominator, axis=-1).astype(np.float32), to_hz

    return change


def _gain(factor: float) -> Change:
    return lambda x, sfreq, _: (x * np.float32(factor), sfreq)


def _mains(x: Float32, sfreq: float, rng: np.random.Generator) -> tuple[Float32, float]:
    x, sfreq = _resampled(_RATE_HZ)(x, sfreq, rng)
    t = np.arange(x.shape[-1]) / sfreq
    return (x + _MAINS_UV * np.sin(2 * np.pi * 50.0 * t + rng.uniform(0, 6.28))).astype(np.float32), sfreq


def _noise(x: Float32, sfreq: float, rng: np.random.Generator) -> tuple[Float32, float]:
    x, sfreq = _resampled(_RATE_HZ)(x, sfreq, rng)
    return x + np.float32(_NOISE_UV) * rng.standard_normal(x.shape, dtype=np.float32), sfreq


def _missing(x: Float32, sfreq: float, rng: np.random.Generator) -> tuple[Float32, float]:
    """Losses of 0.2-1 s, 5 % of the samples in all."""
    flat = x.reshape(-1).copy()
    count = round(_MISSING_SHARE * len(flat) / (0.6 * sfreq))
    for start in rng.integers(0, len(flat), count):
        flat[start : start + int(rng.uniform(0.2, 1.0) * sfreq)] = np.nan
    return flat.reshape(x.shape), sfreq


def _same(x: Float32, sfreq: float, _: np.random.Generator) -> tuple[Float32, float]:
    return x, sfreq


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A change of the raw signal, and how the result is conditioned."""

    name: str
    change: Change = _same
    preprocessing: Preprocessing = field(default_factory=Preprocessing)


DISTURBANCES = (
    Disturbance("none"),
    Disturbance("gain x0.5", _gain(0.5)),
    Disturbance("gain x2", _gain(2.0)),
    Disturbance("50 Hz mains, 10 µV", _mains),
    Disturbance("electrode noise, 5 µV rms", _noise),
    Disturbance("5 % missing", _missing),
    Disturbance("0.5 Hz high-pass", preprocessing=Preprocessing(highpass_hz=0.5)),
    Disturbance("from 128 Hz", _resampled(128.0)),
    Disturbance("from 200 Hz", _resampled(200.0)),
    Disturbance("from 256 Hz", _resampled(256.0)),
    Disturbance("from 512 Hz", _resampled(512.0)),
    Disturbance("inverted", _gain(-1.0)),
)


def robustness(
    answerer: Answerer, recordings: Sequence[ScoredRecording], mode: Mode, limit: int | None = None
) -> list[dict[str, Any]]:
    """Kappa, accuracy and the share of stages kept under each of `DISTURBANCES`; (raw signals, one mode)."""
    rows: list[dict[str, Any]] = []
    before: NDArray[np.int64] | None = None
    outliers = answerer.scoring.outliers
    for number, disturbance in enumerate(DISTURBANCES):
        rng = np.random.default_rng([0xB057, number])

        def epochs(
            one: ScoredRecording, d: Disturbance = disturbance, rng: np.random.Generator = rng
        ) -> Float32:
            samples, sfreq = d.change(one.samples_uv, one.sfreq, rng)
            return condition(samples, sfreq, len(one.stages), d.preprocessing)

        data = EvaluationSet.of(recordings, epochs).spread(limit)
        answers = answerer.stage(data.x_uv, mode)
        figures = score(data.stages, answers.stages)
        before = answers.stages if before is None else before
        rows.append(
            {
                "disturbance": disturbance.name,
                "n": figures.n,
                "accuracy": figures.accuracy,
                "kappa": None if np.isnan(figures.kappa) else figures.kappa,
                "same_stage": float(np.mean(answers.stages == before)),
                "flagged": None if outliers is None else float(np.mean(outliers.scores(data.x_uv) > 1.0)),
            }
        )
    return rows
