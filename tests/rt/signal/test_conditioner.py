"""The conditioner: whatever pieces the samples come in, and however long the gaps, the output is the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly, sosfilt, sosfilt_zi

from eegvlm_rt.signal.conditioning import (
    condition_recording,
    conditioner,
    filter_sos,
    lookahead_s,
    resampling_ratio,
)

RATES = [50, 72, 100, 128, 173.61, 256, 512, 1000, 4096]


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, n).astype(np.float32)


@pytest.mark.parametrize("sfreq", RATES)
def test_without_gaps_it_is_sosfilt_then_resample_poly_to_the_last_bit(sfreq: float) -> None:
    x = noise(round(40 * sfreq)) + 50
    sos, ratio = filter_sos(sfreq), resampling_ratio(sfreq)
    wide = x.astype(np.float64)
    filtered = sosfilt(sos, wide, zi=sosfilt_zi(sos) * wide[0])[0].astype(np.float32)
    expected = resample_poly(filtered, ratio.numerator, ratio.denominator)[:4000]
    assert condition_recording(x, sfreq).tobytes() == expected.tobytes()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RATES), st.lists(st.integers(1, 3000), min_size=1, max_size=30), st.integers(0, 99))
def test_the_pieces_do_not_matter(sfreq: float, sizes: list[int], seed: int) -> None:
    x = noise(sum(sizes), seed)
    rng = np.random.default_rng(seed)
    for length in (0.01, 0.4, 1.5):
        start = int(rng.integers(0, len(x)))
        x[start : start + round(length * sfreq)] = np.nan
    expected = condition_recording(x, sfreq)
    state, found, start = conditioner(sfreq), [], 0
    for size in sizes:
        piece = x[start : start + size]
        found.append(state.push(piece))
        start += size
    made = np.concatenate([*found, state.finish(len(expected))])[: len(expected)]
    assert made.tobytes() == expected.tobytes()


@pytest.mark.parametrize("sfreq", RATES)
def test_a_long_gap_may_be_skipped_without_holding_it(sfreq: float) -> None:
    x, gap = noise(round(10 * sfreq)), round(20 * sfreq)
    whole = np.concatenate([x, np.full(gap, np.nan, dtype=np.float32), x])
    expected = condition_recording(whole, sfreq)
    state = conditioner(sfreq)
    blank = np.full(state.settled, np.nan)
    before = [state.push(x), state.push(blank)]
    unseen = state.skip(gap - state.settled)
    after = [state.push(x), state.finish(len(expected))]
    made = np.concatenate([*before, np.full(unseen, np.nan, dtype=np.float32), *after])[: len(expected)]
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("sfreq", RATES)
def test_the_output_up_to_t_needs_the_input_up_to_t_and_the_lookahead(sfreq: float) -> None:
    x = noise(round(20 * sfreq))
    state = conditioner(sfreq)
    ready = len(state.push(x))
    assert ready / 100 == pytest.approx(20 - lookahead_s(sfreq), abs=0.0101 + 1 / sfreq)
    assert lookahead_s(sfreq) == pytest.approx(0 if sfreq == 100 else 10 / min(sfreq, 100), abs=1 / sfreq)


def test_a_gap_under_a_second_holds_and_a_longer_one_starts_anew() -> None:
    x = noise(6000) + 300
    offset = x.copy()
    offset[2500:] += 4000
    short, long = offset.copy(), offset.copy()
    short[2450:2500] = np.nan
    long[2300:2500] = np.nan
    assert np.nanmax(np.abs(condition_recording(short, 100)[2500:2520])) > 1000
    fresh = condition_recording(offset[2500:], 100)
    np.testing.assert_array_equal(condition_recording(long, 100)[2500:], fresh)
