"""A varied night is the same for a seed, as long as it was, and finite."""

from __future__ import annotations

import numpy as np
import pytest
from eegvlm_train.data.varying import vary_night

SFREQ = 100.0


def night(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 20.0, int(seconds * SFREQ)).astype(np.float32)


@pytest.mark.parametrize("seconds", [30.0, 300.0, 930.01])
def test_length_and_kind_are_kept_and_every_value_is_finite(seconds: float) -> None:
    samples = night(seconds)
    for seed in range(20):
        varied = vary_night(np.random.default_rng(seed), samples, SFREQ)
        assert varied.shape == samples.shape
        assert varied.dtype == np.float32
        assert np.isfinite(varied).all()


def test_a_seed_gives_the_same_night_and_the_night_itself_is_left_as_it_was() -> None:
    samples = night(900.0)
    kept = samples.copy()
    one, again = (vary_night(np.random.default_rng(5), samples, SFREQ) for _ in range(2))
    other = vary_night(np.random.default_rng(6), samples, SFREQ)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(samples, kept)
    assert not np.array_equal(one, other)


def test_silence_stays_finite() -> None:
    silent = np.zeros(60_000, dtype=np.float32)
    for seed in range(10):
        assert np.isfinite(vary_night(np.random.default_rng(seed), silent, SFREQ)).all()


def test_the_gain_stays_within_what_amplifiers_differ_by() -> None:
    samples = night(900.0)
    ratios = [
        vary_night(np.random.default_rng(seed), samples, SFREQ).std() / samples.std() for seed in range(40)
    ]
    # Gain 0.4 to 2.5, the equalizer up to 6 dB around its mean, a quarter of noise.
    assert 0.4 / 4.0 < min(ratios) < 0.9
    assert 1.1 < max(ratios) < 2.5 * 4.0
