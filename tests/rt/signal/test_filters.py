"""The filters of the conditioning are SciPy's to the last bit, without the package that they are part of."""

from __future__ import annotations

import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.signal import filters
from eegvlm_rt.signal.conditioning import MAX_SFREQ_HZ, MIN_SFREQ_HZ

RATES = st.one_of(
    st.sampled_from([50.0, 64.0, 100.0, 128.0, 200.0, 250.0, 256.0, 500.0, 512.0, 1000.0, 4096.0]),
    st.floats(MIN_SFREQ_HZ, MAX_SFREQ_HZ),
)
VALUES = st.floats(-1e4, 1e4, width=32)


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
