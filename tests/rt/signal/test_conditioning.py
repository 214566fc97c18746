"""Conditioning: pass band, causality, gaps, rates."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eegvlm_rt.errors import InputError, SamplingRateError
from eegvlm_rt.signal.conditioning import (
    Preprocessing,
    condition_epoch,
    condition_epochs,
    condition_recording,
    filter_sos,
    resampling_ratio,
)

RATES = [50, 72, 100, 128, 173.61, 200, 250, 256, 500, 512, 1000, 4096]


def sine(hz: float, sfreq: float, seconds: float = 60.0) -> np.ndarray:
    return 40 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sfreq)) / sfreq)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, n)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("sfreq", RATES)
def test_a_recording_becomes_100_hz_of_the_same_length(sfreq):
    n = round(61.7 * sfreq)
    y = condition_recording(noise(n), sfreq)
    assert y.shape == (round(n * 100 / sfreq),)
    assert y.dtype == np.float32
    assert np.isfinite(y).all()


@pytest.mark.parametrize("sfreq", RATES)
@pytest.mark.parametrize("hz", [1, 5, 10, 14, 20])
def test_the_pass_band_keeps_its_amplitude(hz, sfreq):
    y = condition_recording(sine(hz, sfreq), sfreq)[1000:-200]
    assert rms(y) == pytest.approx(40 / np.sqrt(2), rel=0.04)


@pytest.mark.parametrize("sfreq", [128, 200, 256, 512, 1000])
@pytest.mark.parametrize(("hz", "gain"), [(0.05, 0.05), (50, 0.25), (60, 0.15)])
def test_drift_and_mains_are_attenuated(hz, gain, sfreq):
    y = condition_recording(sine(hz, sfreq, 120), sfreq)[2000:]
    assert rms(y) < gain * 40 / np.sqrt(2)


def test_half_power_lies_at_the_nominal_frequencies():
    for hz in (0.3, 35):
        y = condition_recording(sine(hz, 1000, 200), 1000)[5000:-500]
        assert rms(y) == pytest.approx(20, rel=0.03)


def test_an_offset_does_not_ring():
    assert np.abs(condition_recording(np.full(3000, 5000.0), 256)).max() < 1e-3
    start = condition_recording(np.full(3000, 5000.0) + sine(10, 100, 30), 100)
    assert np.abs(start).max() < 60


def test_conditioning_is_causal_at_100_hz():
    x = noise(6000)
    changed = x.copy()
    changed[4000:] = 500
    np.testing.assert_array_equal(
        condition_recording(x, 100)[:4000], condition_recording(changed, 100)[:4000]
    )


@pytest.mark.parametrize("sfreq", [128, 250, 256, 512])
def test_at_other_rates_only_the_resampling_filter_looks_ahead(sfreq):
    x = noise(round(40 * sfreq))
    changed = x.copy()
    changed[20 * round(sfreq) :] = 500
    same = 2000 - 30
    np.testing.assert_array_equal(
        condition_recording(x, sfreq)[:same], condition_recording(changed, sfreq)[:same]
    )


def test_a_gap_stays_a_gap_and_nothing_else_does():
    x = noise(6000)
    x[2000:2500] = np.nan
    x[3000] = np.inf
    y = condition_recording(x, 100)
    assert np.flatnonzero(np.isnan(y)).tolist() == [*range(2000, 2500), 3000]


def test_a_gap_is_where_the_clock_says_at_another_rate():
    x = noise(256 * 60)
    x[256 * 20 : 256 * 25] = np.nan
    gap = np.flatnonzero(np.isnan(condition_recording(x, 256)))
    assert (gap[0], gap[-1]) == (2000, 2499)
    assert len(gap) == 500


def test_a_leading_gap_does_not_ring():
    x = sine(10, 100, 60) + 5000
    x[:1500] = np.nan
    y = condition_recording(x, 100)
    assert np.isnan(y[:1500]).all()
    assert np.abs(y[1500:]).max() < 90


def test_what_lies_before_a_gap_does_not_change():
    x = noise(6000)
    gapped = x.copy()
    gapped[3000:3500] = np.nan
    np.testing.assert_array_equal(condition_recording(x, 100)[:3000], condition_recording(gapped, 100)[:3000])


@pytest.mark.parametrize("x", [np.full(3000, np.nan), np.full(3000, -np.inf), np.full(3000, 1e200)])
def test_a_recording_without_samples_is_one_gap(x):
    assert np.isnan(condition_recording(x, 100)).all()


def test_an_empty_recording_is_empty():
    assert condition_recording(np.zeros(0), 256).shape == (0,)


@pytest.mark.parametrize("sfreq", RATES)
def test_an_epoch_has_exactly_3000_samples(sfreq):
    assert condition_epoch(noise(round(30 * sfreq)), sfreq).shape == (3000,)


def test_epochs_of_a_batch_do_not_touch_each_other():
    x = noise(5 * 7680).reshape(5, 7680)
    x[3, 100:200] = np.nan
    together = condition_epochs(x, 256)
    assert together.shape == (5, 3000)
    for row, alone in zip(together, x, strict=True):
        np.testing.assert_array_equal(row, condition_epoch(alone, 256))


def test_integers_are_read_as_numbers():
    x = noise(3000).astype(np.int16)
    np.testing.assert_array_equal(condition_epoch(x, 100), condition_epoch(x.astype(float), 100))


def test_the_input_is_left_as_it_was():
    x = noise(3000)
    x[5:9] = np.nan
    before = x.copy()
    condition_epoch(x, 100)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("sfreq", [49.9, 4097, 0, -100, np.nan, np.inf, "fast", None])
def test_an_unsupported_rate_is_refused_with_the_range(sfreq):
    with pytest.raises(SamplingRateError, match="50 to 4096 Hz"):
        condition_recording(noise(3000), sfreq)


@pytest.mark.parametrize("shape", [(2998,), (3002,), (1, 3000), ()])
def test_an_epoch_of_another_shape_is_refused(shape):
    with pytest.raises(InputError, match="x_uv"):
        condition_epoch(np.zeros(shape), 100)


@pytest.mark.parametrize("x", [np.zeros((2, 100)), np.array(["a"] * 10)])
def test_a_recording_that_is_no_channel_is_refused(x):
    with pytest.raises(InputError, match="x_uv"):
        condition_recording(x, 100)


def test_the_low_pass_is_left_out_where_it_cannot_act():
    assert len(filter_sos(70)) == 1
    assert len(filter_sos(71)) == 3


def test_the_resampling_ratio_is_exact_for_usual_rates():
    for sfreq in (50, 100, 128, 200, 250, 256, 500, 512, 1000, 1024, 2048, 4096):
        assert resampling_ratio(sfreq) * sfreq == 100


def test_a_spec_survives_json():
    spec = Preprocessing(highpass_hz=0.5, lowpass_hz=30)
    assert Preprocessing.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"highpass_hz": 0.0},
        {"lowpass_hz": 50.0},
        {"highpass_hz": 40.0},
        {"lowpass_order": 9},
        {"highpass_order": 0},
        {"sfreq": float("nan")},
    ],
)
def test_a_senseless_spec_is_refused(change):
    with pytest.raises(InputError):
        Preprocessing(**change)


@pytest.mark.parametrize(
    "change", [{"extra": 1}, {"sfreq": "fast"}, {"sfreq": None}, {"lowpass_order": 2.5}, {"lowpass_hz": True}]
)
def test_a_damaged_spec_is_refused(change):
    with pytest.raises(InputError):
        Preprocessing.from_dict({**Preprocessing().to_dict(), **change})


def test_a_spec_with_a_field_missing_is_refused():
    fields = Preprocessing().to_dict()
    del fields["lowpass_hz"]
    with pytest.raises(InputError, match="exactly the fields"):
        Preprocessing.from_dict(fields)
