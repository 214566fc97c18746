"""`python -m eegvlm_train simulate OUT --nights N`: conditioned simulated nights, resumable."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.files import claim_folder
from eegvlm_rt.signal.conditioning import condition_epochs, condition_recording
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stages import Stage

from ..data.night_files import UV_PER_LSB, clipped_steps, in_order, night_path, save_npz
from ..data.nightset import AWAKE
from ..data.varying import vary_night
from ..outputs import add_overwrite

__all__ = ["main", "write_night"]

_SAMPLES = 3000
_ALONE_SHARE = 0.2
RATES_HZ = (50.0, 64.0, 100.0, 128.0, 200.0, 256.0, 512.0)
"""Rates of sleep recorders; what is seen is conditioned to 100 Hz, so most nights are made at 100 Hz."""
_RATE_SHARES = (0.05, 0.03, 0.68, 0.06, 0.08, 0.07, 0.03)


def to_int16(samples_uv: NDArray[np.float32]) -> NDArray[np.int16]:
    return clipped_steps(samples_uv / UV_PER_LSB)


def condition_night(
    rng: np.random.Generator, samples_uv: NDArray[np.float32], sfreq: float, n_epochs: int
) -> NDArray[np.float32]:
    """Epochs as the device would see them: most from a running recording, some conditioned on their own."""
    running = condition_recording(samples_uv, sfreq)[: n_epochs * _SAMPLES].reshape(n_epochs, _SAMPLES)
    alone = rng.random(n_epochs) < _ALONE_SHARE
    epochs = np.array(running)
    if alone.any():
        raw = samples_uv[: round(n_epochs * 30 * sfreq)].reshape(n_epochs, -1)
        epochs[alone] = condition_epochs(raw[alone], sfreq)
    return epochs


def waking_day(rng: np.random.Generator, n_epochs: int) -> NDArray[np.int8]:
    """Stages of a day awake, (n_epochs,): W, in half of the days with up to four short dips into N1 an hour.

    Nobody has counted how often people who are awake look drowsy for a moment; these are dips that a scorer,
    who knows the day, would mostly still call W. An epoch alone is left to the teachers.
    """
    stages = np.full(n_epochs, Stage.W, dtype=np.int8)
    if rng.random() < 0.5:
        for start in rng.integers(0, n_epochs, rng.poisson(rng.uniform(0.0, 4.0) * n_epochs / 120.0)):
            stages[start : start + int(rng.integers(1, 4))] = Stage.N1
    return stages


def write_night(
    seed: int, folder: Path, hours: float, varied_share: float = 0.0, awake_share: float = 0.0
) -> Path:
    """Simulate, condition and write one night; an existing file is left as it is. `varied_share` is the
    chance that the night is varied (`data.varying`) before anything else sees it, `awake_share` that it is
    no night but a day awake."""
    path = night_path(folder, seed)
    if path.exists():
        return path
    rng = np.random.default_rng([0xC04D, seed])
    sfreq = float(rng.choice(RATES_HZ, p=_RATE_SHARES))
    # Drawn from numbers of its own, so that the nights among the days are those of a run without days.
    day = np.random.default_rng([0xDA7, seed])
    awake = waking_day(day, round(hours * 120)) if day.random() < awake_share else None
    night = simulate_night(seed, hours=hours, sfreq=sfreq, stages=awake)
    signal = night.samples_uv
    if rng.random() < varied_share:
        signal = vary_night(rng, signal, night.sfreq)
    epochs = condition_night(rng, signal, night.sfreq, len(night.stages))
    save_npz(
        path,
        **({} if awake is None else {AWAKE: np.True_}),
        x=to_int16(epochs),
        raw=to_int16(signal),
        sfreq=night.sfreq,
        intended=night.stages,
        uv_per_lsb=UV_PER_LSB,
        seed=seed,
        channel=night.channel,
    )
    return path


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train simulate", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--hours", type=float, default=7.5)
    parser.add_argument("--varied", type=float, default=0.0, help="share of the nights that are varied")
    parser.add_argument("--awake", type=float, default=0.0, help="share that are days awake, not nights")
    parser.add_argument("--workers", type=int, default=2)
    add_overwrite(parser)
    args = parser.parse_args(argv)
    claim_folder(args.out, "simulate", overwrite=args.overwrite)
    seeds = range(args.first_seed, args.first_seed + args.nights)
    work = partial(
        write_night, folder=args.out, hours=args.hours, varied_share=args.varied, awake_share=args.awake
    )
    for done, path in enumerate(in_order(work, seeds, args.workers), start=1):
        print(f"{done}/{args.nights} {path.name}", flush=True)
    return 0
