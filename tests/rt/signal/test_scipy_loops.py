"""SciPy's compiled loops without the packages around them: the same results to the last bit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eegvlm_rt.signal import filters, scipy_loops

VALUES = st.floats(-1e4, 1e4, width=32)
LOOPS = ("_SECTIONS", "_PHASES", "_FOURIER")

WITHOUT_PACKAGES = """
import sys
import eegvlm_rt.stager, eegvlm_rt.service.service, eegvlm_rt.service.worker
from eegvlm_rt.findings import measure_batch
from eegvlm_rt.signal.conditioning import condition_recording
measure_batch(condition_recording([1.0] * 7680, 256.0)[None])
packages = ("fft", "interpolate", "linalg", "optimize", "signal", "sparse", "special", "stats")
print([name for name in packages if f"scipy.{name}" in sys.modules])
import scipy.fft, scipy.signal
print(scipy.fft.rfft([1.0, 2.0]), scipy.signal.sosfilt([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]], [1.0, 2.0]))
"""


@pytest.fixture(params=["compiled", "package"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SciPy's compiled loops alone, and as with a SciPy that has them elsewhere."""
    if request.param == "package":
        for name in LOOPS:
            monkeypatch.setattr(scipy_loops, name, None)


@pytest.mark.usefixtures("loops")
class TestLoops:
    @pytest.mark.parametrize("order", range(1, 9))
    def test_sections_filter_as_scipy_does_and_leave_their_input_alone(self, order):
        rng = np.random.default_rng(order)
        sos = filters.butterworth(order, 20.0, "lowpass", 100.0)
        x, state = rng.standard_normal(500), rng.standard_normal((len(sos), 2))
        kept = (sos.copy(), x.copy(), state.copy())
        out, after = scipy_loops.filter_sections(sos, x, state)
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
            ours, theirs = scipy_loops.resample(h, x, up, down), scipy.signal.upfirdn(h, x, up, down)
            assert ours.dtype == theirs.dtype == np.float32
            assert ours.tobytes() == theirs.tobytes()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("n", [1, 2, 7, 200, 400, 3001, 3200])
    def test_a_spectrum_and_its_signal_are_scipys(self, n, dtype):
        x = np.random.default_rng(n).standard_normal((4, 3, n)).astype(dtype)
        spectrum, theirs = scipy_loops.rfft(x), scipy.fft.rfft(x, axis=-1)
        assert (spectrum.dtype, spectrum.tobytes()) == (theirs.dtype, theirs.tobytes())
        back = scipy_loops.irfft(spectrum, n)
        assert (back.dtype, back.tobytes()) == (dtype, scipy.fft.irfft(theirs, n=n, axis=-1).tobytes())

    def test_windows_that_share_memory_are_transformed_as_they_are(self):
        x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(x, 200)[::100]
        assert scipy_loops.rfft(windows).tobytes() == scipy.fft.rfft(windows, axis=-1).tobytes()


@given(arrays(np.float32, st.integers(1, 60), elements=VALUES), st.integers(1, 9), st.integers(1, 9))
def test_whatever_the_taps_they_are_taken_phase_by_phase(taps, up, down):
    x = np.arange(50, dtype=np.float32)
    assert (
        scipy_loops.resample(taps, x, up, down).tobytes() == scipy.signal.upfirdn(taps, x, up, down).tobytes()
    )


def test_the_scipy_that_is_installed_has_all_loops():
    assert None not in [getattr(scipy_loops, name) for name in LOOPS]


def test_a_loop_that_scipy_does_not_have_or_has_otherwise_is_not_used():
    def otherwise(module: object) -> None:
        raise TypeError(module)

    assert scipy_loops._compiled("signal._no_such_loop", lambda module: module) is None
    assert scipy_loops._compiled("no_such_package._sosfilt", lambda module: module) is None
    assert scipy_loops._compiled("signal._sosfilt", otherwise) is None


def test_neither_sdk_nor_service_load_the_packages_and_whoever_does_gets_them_whole():
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGES], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines() == ["[]", "[ 3.+0.j -1.+0.j] [1. 2.]"]
