"""Small folders of noise nights for the training tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

EPOCHS_PER_NIGHT = 12


def noise_night(folder: Path, seed: int, *, labelled: bool = True, measured: bool = True) -> Path:
    """One night of pink noise with a 10 Hz rhythm in every other epoch, and soft labels."""
    from eegvlm_train.data.findings import measure_night
    from eegvlm_train.data.night_files import UV_PER_LSB, labels_path, night_path, save_npz

    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((EPOCHS_PER_NIGHT, 3000)))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1]), 15))
    signal = np.fft.irfft(spectrum, n=3000)
    signal *= 12.0 / signal.std()
    signal[::2] += 25.0 * np.sin(2 * np.pi * 10.0 * np.arange(3000) / 100.0)
    path = night_path(folder, seed)
    save_npz(
        path,
        x=np.round(signal / UV_PER_LSB).astype(np.int16),
        intended=np.zeros(EPOCHS_PER_NIGHT, dtype=np.int8),
        uv_per_lsb=UV_PER_LSB,
        seed=seed,
        channel="EEG Fpz-Cz",
    )
    if labelled:
        save_npz(labels_path(path), teacher=rng.dirichlet(np.ones(5), EPOCHS_PER_NIGHT).astype(np.float16))
    if measured:
        measure_night(path)
    return path
