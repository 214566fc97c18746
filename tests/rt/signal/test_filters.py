"""The filters of the conditioning are SciPy's to the last bit, without the package that they are part of."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eegvlm_rt.signal import filters
from eegvlm_rt.signal.conditioning import MAX_SFREQ_HZ, MIN_SFREQ_HZ

RATES = st.one_of(
    st.sampled_from([50.0, 64.0, 100.0, 128.0, 200.0, 250.0, 256.0, 500.0, 512.0, 1000.0, 4096.0]),
    st.floats(MIN_SFREQ_HZ, MAX_SFREQ_HZ),
)
VALUES = st.floats(-1e4, 1e4, width=32)

WITHOUT_SIGNAL = """
import sys
import eegvlm_rt.stager, eegvlm_rt.service.service, eegvlm_rt.service.worker
from eegvlm_rt.signal.conditioning import condition_recording
condition_recording([1.0] * 2560, 256.0)
heavy = ("scipy.signal", "scipy.stats", "scipy.optimize", "scipy.interpolate")
print([name for name in heavy if name in sys.modules])
"""


@settings(max_examples=60)
@given(RATES, st.integers(1, 8), st.sampled_from(["lowpass", "highpass"]), st.floats(0.002, 0.99))
def test_a_butterworth_filter_is_scipys(rate, order, kind, share):
    cutoff_hz = share * rate / 2
    sos = filters.butterworth(order, cutoff_hz, kind, rate)
    theirs = scipy.signal.butter(order, cutoff_hz, kind, fs=rate, output="sos")
    assert sos.tobytes() == theirs.tobytes()
    assert filters.settled_state(sos).tobytes() == scipy.signal.sosfilt_zi(sos).tobytes()


@given(st.integers(2, 4096))
def test_a_kaiser_low_pass_is_scipys(longest):
    ours = filters.kaiser_lowpass(20 * longest + 1, 1.0 / longest, 5.0)
    theirs = scipy.signal.firwin(20 * longest + 1, 1.0 / longest, window=("kaiser", 5.0))
    assert ours.tobytes() == theirs.tobytes()


@pytest.fixture(params=["compiled", "package"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SciPy's compiled loops alone, and as with a SciPy that has them elsewhere."""
    if request.param == "package":
        monkeypatch.setattr(filters, "_SECTIONS", None)
        monkeypatch.setattr(filters, "_PHASES", None)


@pytest.mark.usefixtures("loops")
class TestLoops:
    @pytest.mark.parametrize("order", range(1, 9))
    def test_sections_filter_as_scipy_does_and_leave_their_input_alone(self, order):
        rng = np.random.default_rng(order)
        sos = filters.butterworth(order, 20.0, "lowpass", 100.0)
        x, state = rng.standard_normal(500), rng.standard_normal((len(sos), 2))
        kept = (sos.copy(), x.copy(), state.copy())
        out, after = filters.filter_sections(sos, x, state)
        theirs, theirs_after = scipy.signal.sosfilt(sos, x, zi=state)
        assert (out.tobytes(), after.tobytes()) == (theirs.tobytes(), theirs_after.tobytes())
        for before, now in zip(kept, (sos, x, state), strict=True):
            np.testing.assert_array_equal(before, now)

    @pytest.mark.parametrize(("up", "down"), [(1, 1), (25, 64), (2, 1), (1, 5), (625, 1024), (7, 3)])
    def test_samples_are_resampled_as_scipy_does(self, up, down):
        rng = np.random.default_rng(up)
        for taps, length in ((1, 1), (up, 40), (20 * max(up, down) + 1, 3000), (33, 5)):
            h, x = rng.standard_normal(taps).astype(np.float32), rng.standard_normal(length)
            x = x.astype(np.float32)
            ours, theirs = filters.resample(h, x, up, down), scipy.signal.upfirdn(h, x, up, down)
            assert ours.dtype == theirs.dtype == np.float32
            assert ours.tobytes() == theirs.tobytes()


@given(arrays(np.float32, st.integers(1, 60), elements=VALUES), st.integers(1, 9), st.integers(1, 9))
def test_whatever_the_taps_they_are_taken_phase_by_phase(taps, up, down):
    x = np.arange(50, dtype=np.float32)
    assert filters.resample(taps, x, up, down).tobytes() == scipy.signal.upfirdn(taps, x, up, down).tobytes()


def test_the_scipy_that_is_installed_has_both_loops():
    assert None not in (filters._SECTIONS, filters._PHASES)


def test_a_loop_that_scipy_does_not_have_or_has_otherwise_is_not_used():
    def otherwise(module: object) -> None:
        raise TypeError(module)

    assert filters._compiled("_no_such_loop", lambda module: module) is None
    assert filters._compiled("_sosfilt", otherwise) is None


def test_neither_sdk_nor_service_load_the_package():
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT_SIGNAL], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
