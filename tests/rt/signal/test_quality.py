"""Units, amplitude and signal quality of an epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eegvlm_rt.errors import InputError, SamplingRateError, UnitError
from eegvlm_rt.prediction import Outcome, outcome_of
from eegvlm_rt.signal.epochs import Epoch
from eegvlm_rt.signal.gaps import bridge_gaps, mean_gap
from eegvlm_rt.signal.quality import QualityFlag, assess, qualities_of, quality_of
from eegvlm_rt.signal.units import check_amplitude, to_microvolts


def eeg(sfreq: float = 100.0, seconds: float = 30.0, seed: int = 0, scale: float = 4.0) -> np.ndarray:
    """Pink-like noise of about 40 µV peak to peak."""
    n = round(sfreq * seconds)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    freqs = np.fft.rfftfreq(n, 1 / sfreq)
    x = np.fft.irfft(spectrum * (freqs > 0.3) / np.maximum(freqs, 0.3), n)
    return scale * x / x.std() * 2


@pytest.mark.parametrize(
    ("unit", "factor"), [("uV", 1), ("µV", 1), ("μV", 1), ("mV", 1e3), ("V", 1e6), ("nV", 1e-3)]
)
def test_units_are_converted_to_microvolts(unit, factor):
    assert to_microvolts([1.0, -2.0], unit).tolist() == pytest.approx([factor, -2 * factor])
    assert to_microvolts([1, 2], unit).dtype == np.float32


def test_an_unknown_unit_is_refused():
    with pytest.raises(UnitError, match="kV; use one of uV"):
        to_microvolts([1.0], "kV")


@pytest.mark.parametrize("x", [["a"], [1j], [None]])
def test_samples_that_are_no_real_numbers_are_refused(x):
    with pytest.raises(InputError, match="real numbers"):
        to_microvolts(x, "uV")


def test_volts_given_as_microvolts_are_refused_and_the_factor_named():
    with pytest.raises(UnitError, match=r"factor of 1e6; say V"):
        check_amplitude(to_microvolts(eeg() * 1e-6, "uV"), "uV")


def test_microvolts_given_as_volts_are_refused_and_the_factor_named():
    with pytest.raises(UnitError, match=r"factor of 1e6; say uV"):
        check_amplitude(to_microvolts(eeg(), "V"), "V")


@pytest.mark.parametrize("unit", ["V", "uV", "nV"])
def test_eeg_in_its_own_unit_passes(unit):
    factor = {"V": 1e-6, "uV": 1.0, "nV": 1e3}[unit]
    assert check_amplitude(to_microvolts(eeg() * factor, unit), unit) is None


def test_an_offset_does_not_hide_a_wrong_unit():
    with pytest.raises(UnitError):
        check_amplitude(eeg() * 1e-6 + 3.0, "uV")


@pytest.mark.parametrize("x", [np.zeros(3000), np.full(3000, 7.0), np.full(3000, np.nan), np.zeros(0)])
def test_flat_missing_and_empty_signals_are_no_matter_of_units(x):
    assert check_amplitude(x, "uV") is None


def test_a_good_epoch_has_no_flags():
    quality = assess(eeg(), 100)
    assert quality.flags == frozenset()
    assert quality.missing_share == 0
    assert quality.scorable
    assert 15 < quality.amplitude_uv < 60


@pytest.mark.parametrize("sfreq", [50, 173.61, 256, 1000])
def test_quality_hardly_depends_on_the_sampling_rate(sfreq):
    assert assess(eeg(sfreq), sfreq).flags == frozenset()


def test_missing_samples_are_counted_and_flagged():
    x = eeg()
    x[600:1200] = np.nan
    x[1200:1500] = np.inf
    quality = assess(x, 100)
    assert quality.missing_share == pytest.approx(0.3)
    assert QualityFlag.MISSING in quality.flags
    assert quality.scorable


def test_an_epoch_that_is_mostly_missing_is_not_scorable():
    x = eeg()
    x[:1600] = np.nan
    assert not assess(x, 100).scorable


def test_an_epoch_without_samples_is_missing_altogether():
    for x in (np.full(3000, np.nan), np.zeros(0)):
        quality = assess(x, 100)
        assert quality.flags == {QualityFlag.MISSING}
        assert quality.missing_share == 1
        assert not quality.scorable
        assert quality.to_dict()["amplitude_uv"] is None


def test_a_lost_electrode_is_flat_and_not_scorable():
    quality = assess(np.full(3000, 12.0), 100)
    assert QualityFlag.FLAT in quality.flags
    assert not quality.scorable


def test_a_few_flat_seconds_are_flagged_but_scorable():
    x = eeg()
    x[:500] = 0
    quality = assess(x, 100)
    assert QualityFlag.FLAT in quality.flags
    assert quality.scorable


def test_a_saturated_amplifier_is_clipped():
    x = np.clip(eeg(scale=60), -60, 60)
    quality = assess(x, 100)
    assert QualityFlag.CLIPPED in quality.flags
    assert not quality.scorable


def test_movement_is_high_amplitude():
    x = eeg()
    x[500:1500] += 1000 * np.sin(2 * np.pi * 1.3 * np.arange(1000) / 100)
    assert QualityFlag.HIGH_AMPLITUDE in assess(x, 100).flags


def test_a_tiny_signal_is_low_amplitude():
    assert QualityFlag.LOW_AMPLITUDE in assess(eeg(scale=0.3), 100).flags


def test_muscle_is_seen_in_fast_activity():
    x = eeg() + 12 * np.sin(2 * np.pi * 33 * np.arange(3000) / 100)
    assert QualityFlag.MUSCLE in assess(x, 100).flags


def test_quality_is_json_able_and_sorted():
    assert assess(np.full(3000, 1.0), 100).to_dict() == {
        "flags": ["flat", "low amplitude"],
        "missing_share": 0.0,
        "amplitude_uv": 0.0,
        "scorable": False,
    }


@pytest.mark.parametrize("sfreq", [0, -1, np.nan, np.inf])
def test_a_senseless_rate_is_refused(sfreq):
    with pytest.raises(SamplingRateError, match="positive"):
        assess(eeg(), sfreq)


def test_a_picture_of_channels_is_refused():
    with pytest.raises(InputError, match="one channel"):
        assess(np.zeros((2, 3000)), 100)
    with pytest.raises(InputError, match="one channel"):
        Epoch.from_samples(np.zeros((2, 3000)), 100)


def test_an_epoch_keeps_what_it_was_made_from():
    epoch = Epoch.from_samples(eeg() * 1e-6, 100, unit="V", channel="Fpz", start_s=60)
    assert (epoch.sfreq, epoch.channel, epoch.start_s) == (100.0, "Fpz", 60.0)
    np.testing.assert_allclose(epoch.samples_uv, eeg(), rtol=1e-5, atol=1e-4)
    assert epoch.quality == assess(epoch.samples_uv, 100)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(0, 400), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.floats(1, 4096),
)
def test_any_numbers_give_a_quality_without_warnings(x, sfreq):
    quality = assess(x, sfreq)
    assert 0 <= quality.missing_share <= 1
    assert np.isnan(quality.amplitude_uv) == (
        QualityFlag.MISSING in quality.flags and quality.missing_share == 1
    )


def lost(share: float, gap: int) -> np.ndarray:
    """An epoch of which a share is missing, in gaps of so many samples, evenly spread."""
    x = eeg()
    step = round(gap / share)
    for start in range(0, len(x) - gap + 1, step):
        x[start : start + gap] = np.nan
    return x


@pytest.mark.parametrize(
    ("share", "gap", "scorable"),
    [
        (0.04, 1, True),
        (0.12, 1, False),
        (0.08, 5, True),
        (0.14, 5, False),
        (0.4, 5, False),
        (0.10, 50, True),
        (0.16, 50, False),
        (0.14, 200, True),
        (0.25, 200, False),
    ],
)
def test_missing_samples_count_by_their_share_and_how_they_are_spread(
    share: float, gap: int, scorable: bool
) -> None:
    quality = assess(lost(share, gap), 100)
    assert quality.missing_share == pytest.approx(share, abs=0.02)
    assert quality.scorable is scorable
    assert (QualityFlag.LOSS in quality.flags) is not scorable
    assert outcome_of(quality) is (Outcome.SCORED if scorable else Outcome.UNSCORABLE)


@pytest.mark.parametrize(("seconds", "scorable"), [(3, True), (10, True), (14, True), (16, False)])
def test_one_gap_may_be_half_an_epoch(seconds: int, scorable: bool) -> None:
    x = eeg()
    x[500 : 500 + 100 * seconds] = np.nan
    assert assess(x, 100).scorable is scorable


@pytest.mark.parametrize("rate", [100.0, 99.7, 256.0])
def test_epochs_judged_together_are_judged_as_each_on_its_own(rate: float) -> None:
    epochs = np.stack([eeg(rate, seed=seed) for seed in range(7)])
    a_second = round(rate)
    epochs[1, 40 : 4 * a_second] = 3.0
    epochs[2] = np.clip(epochs[2], -5, 5)
    epochs[3, ::3] = np.nan
    epochs[4] = np.inf
    epochs[5, a_second:] = np.nan
    epochs[6] *= 30
    together = qualities_of(epochs, rate)
    # By its text, since an amplitude that could not be measured is NaN.
    assert list(map(repr, together)) == [repr(quality_of(x, rate)) for x in epochs]
    assert len({quality.flags for quality in together}) == 7


def test_gaps_are_bridged_by_straight_lines_and_nothing_else_changes() -> None:
    x = np.array([[np.nan, 1.0, np.nan, np.nan, 4.0, np.nan], [1, 2, 3, 4, 5, 6], [np.nan] * 6])
    bridged = bridge_gaps(x, np.isfinite(x))
    np.testing.assert_array_equal(bridged[0], [1, 1, 2, 3, 4, 4])
    np.testing.assert_array_equal(bridged[1], x[1])
    assert np.isnan(bridged[2]).all()
    assert np.isnan(x[0, 0])
    assert mean_gap(~np.isfinite(x[0])) == pytest.approx(4 / 3)
