"""Soft labels from YASA (Vallat & Walker 2021, BSD-3), which reads a whole night at once."""

from __future__ import annotations

import logging
import warnings
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

__all__ = ["yasa_probabilities"]

_COLUMNS = ("WAKE", "N1", "N2", "N3", "REM")
_LEAST_HZ = 100.0


def yasa_probabilities(samples_uv: NDArray[np.float32], sfreq: float) -> NDArray[np.float32]:
    """Stage probabilities (W N1 N2 N3 R) of every whole 30 s epoch, (n_epochs, 5).

    YASA asks for 80 Hz and works at 100: slower recordings are brought to 100 Hz.
    """
    import mne
    import yasa

    if sfreq < _LEAST_HZ:
        ratio = (Fraction(_LEAST_HZ) / Fraction(sfreq)).limit_denominator(1000)
        samples_uv = resample_poly(samples_uv, ratio.numerator, ratio.denominator).astype(np.float32)
        sfreq = _LEAST_HZ

    logging.getLogger("yasa").setLevel(logging.ERROR)
    info = mne.create_info(["EEG"], sfreq, "eeg", verbose="ERROR")
    raw = mne.io.RawArray(np.asarray(samples_uv, dtype=np.float64)[None] * 1e-6, info, verbose="ERROR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = yasa.SleepStaging(raw, eeg_name="EEG").predict().proba
    return np.asarray(frame[list(_COLUMNS)], dtype=np.float32)
