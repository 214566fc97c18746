"""Epochs to calibrate and to compare on: the same every time, and never the same for both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from eegvlm_export.quantize.epochs import load_epochs
from eegvlm_train.data.night_files import UV_PER_LSB, night_path, save_npz

from eegvlm_rt.signal.conditioning import Preprocessing


@pytest.fixture
def nights(tmp_path: Path) -> Path:
    """Two stored nights of 20 epochs of noise."""
    rng = np.random.default_rng(0)
    for seed in range(2):
        x = rng.normal(0, 20 / UV_PER_LSB, (20, 3000)).astype(np.int16)
        save_npz(night_path(tmp_path, seed), x=x, uv_per_lsb=UV_PER_LSB)
    return tmp_path


@pytest.mark.usefixtures("short_simulated_nights")
def test_simulated_epochs_are_the_same_every_time_and_differ_by_purpose() -> None:
    spec = Preprocessing()
    first = load_epochs("sim", 6, spec, "parity")
    assert first.shape == (6, 3000)
    np.testing.assert_array_equal(first, load_epochs("sim", 6, spec, "parity"))
    assert not np.array_equal(first, load_epochs("sim", 6, spec, "calibration"))


def test_stored_epochs_for_calibration_are_never_those_that_are_compared(nights: Path) -> None:
    spec = Preprocessing()
    parts = [{row.tobytes() for row in load_epochs(nights, 20, spec, p)} for p in ("calibration", "parity")]  # type: ignore[arg-type]
    assert [len(part) for part in parts] == [20, 20]
    assert not parts[0] & parts[1]
    with pytest.raises(ValueError, match="twice as many"):
        load_epochs(nights, 21, spec, "parity")
