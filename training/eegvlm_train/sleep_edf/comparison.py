"""Simulated nights beside the tables of real ones: the course of the night, and band powers by stage.

People 20-82 gave the simulator its statistics, so their distance says how well the fit holds; people 00-19
(25-34 years, Kemp et al. 2000) were not used, so theirs, beside simulated people of that age, is the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.simulator import sample_hypnogram, simulate_night
from eegvlm_rt.simulator.spectra import stage_medians
from eegvlm_rt.stages import STAGES

from .figures import COURSE_FIGURES, course_figures
from .recipe import log_powers
from .spectra import night_medians
from .tables import BANDS, CHANNELS, TableNight, main_sleep, read_nights

__all__ = ["compare_with_tables", "distance"]

Float64 = NDArray[np.float64]

_QUANTILES = (0.1, 0.5, 0.9)
_DRAWN_NIGHTS = 300
_YOUTH = {"20-82": (0.0, 1.0), "00-19": (0.82, 1.0)}
"""Youth of the simulated people beside each group: all ages, and 25-34 years."""
_DB = 10.0 / np.log(10.0)
_FIRST_SEED = 900_000


def distance(first: Float64, second: Float64) -> float:
    """Kolmogorov-Smirnov statistic: largest distance between two distribution functions, 0..1."""
    values = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def _both(simulated: Float64, real: Float64) -> dict[str, Any]:
    return {
        "simulated": [float(q) for q in np.quantile(simulated, _QUANTILES)],
        "real": [float(q) for q in np.quantile(real, _QUANTILES)],
        "distance": distance(simulated, real),
    }


def _simulated_courses(
    real: Sequence[NDArray[np.int8]], youth: tuple[float, float]
) -> list[NDArray[np.int8]]:
    """Nights of the same lengths as the real ones."""
    rng = np.random.default_rng(_FIRST_SEED)
    nights = []
    for _ in range(_DRAWN_NIGHTS):
        n_epochs = len(real[int(rng.integers(len(real)))])
        stages = sample_hypnogram(rng, n_epochs + 1, wake_epochs=1, youth=float(rng.uniform(*youth)))
        nights.append(stages[main_sleep(stages)])
    return nights


def _courses(nights: Sequence[TableNight], youth: tuple[float, float]) -> dict[str, Any]:
    real = [night.stages[main_sleep(night.stages)] for night in nights]
    simulated = course_figures(_simulated_courses(real, youth))
    measured = course_figures(real)
    # Nights without R have no latency, for example.
    names = [name for name in COURSE_FIGURES if len(simulated[name]) and len(measured[name])]
    return {name: _both(simulated[name], measured[name]) for name in names}


def _spectra(simulated: Float64, real: Float64) -> dict[str, Any]:
    """By stage and band, of (n_nights, 5, 5) natural logarithms: dB from the night's scale."""
    figures: dict[str, Any] = {}
    for stage in STAGES:
        figures[stage.name] = {}
        for number, band in enumerate(BANDS):
            sides = [_DB * one[:, int(stage), number] for one in (simulated, real)]
            finite = [side[np.isfinite(side)] for side in sides]
            if all(len(side) for side in finite):
                figures[stage.name][band] = _both(*finite)
    return figures


def compare_with_tables(folder: Path, n_nights: int, hours: float = 7.5) -> dict[str, Any]:
    """Figures of `n_nights` simulated nights a derivation, and of 300 simulated courses, beside the tables.

    Raises what `read_nights` raises.
    """
    groups = {"20-82": read_nights(folder, "fit"), "00-19": read_nights(folder, "test")}
    report: dict[str, Any] = {
        "n": {name: len(nights) for name, nights in groups.items()} | {"simulated": n_nights},
        "course": {name: _courses(nights, _YOUTH[name]) for name, nights in groups.items()},
        "spectra": {},
    }
    for channel, derivation in enumerate(CHANNELS):
        rows = []
        for seed in range(_FIRST_SEED, _FIRST_SEED + n_nights):
            night = simulate_night(seed, hours=hours, derivation=derivation)
            rows.append(stage_medians(log_powers(night.samples_uv, night.sfreq), night.stages))
        simulated = np.stack(rows)
        report["spectra"][derivation] = {
            name: _spectra(simulated, night_medians(nights, channel)) for name, nights in groups.items()
        }
    return report
