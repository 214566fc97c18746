"""Running the command line in tests: one call, its exit status, what it printed."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, time
from typing import TYPE_CHECKING

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal, Recording

from eegvlm_rt.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SFREQ = 100


def cli(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    """Run in this process: (status, stdout, stderr)."""
    try:
        status = main([str(argument) for argument in argv])
    except SystemExit as stop:
        status = int(stop.code or 0)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def start_cli(*argv: object, **options) -> subprocess.Popen[str]:
    """Start in a process of its own, output piped."""
    command = [sys.executable, "-m", "eegvlm_rt.cli", *map(str, argv)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def eeg_uv(seconds: float, seed: int = 0) -> np.ndarray:
    """Something like an EEG: 1/f noise with a 10 Hz rhythm, tens of µV."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SFREQ)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / SFREQ), 0.5))
    noise = np.fft.irfft(spectrum, n)
    return 20 * noise / noise.std() + 15 * np.sin(2 * np.pi * 10 * np.arange(n) / SFREQ)


def save_recording(
    path: Path, epochs: float = 3, *, channels: tuple[str, ...] = ("EEG Fpz-Cz",), **more
) -> Path:
    """A small EDF+ recording that starts on 1 May 2020 at 22:00:00, every epoch annotated as W."""
    signals = [
        EdfSignal(eeg_uv(30 * epochs, seed), SFREQ, label=label, physical_dimension="uV", **more)
        for seed, label in enumerate(channels)
    ]
    Edf(
        signals,
        recording=Recording(startdate=date(2020, 5, 1)),
        starttime=time(22, 0),
        annotations=[EdfAnnotation(30.0 * i, 30.0, "Sleep stage W") for i in range(int(epochs))],
    ).write(path)
    return path
