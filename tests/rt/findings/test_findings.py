"""Findings: what is planted in a signal is found, what is not there is not, and experts are met half way."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from edfio import read_edf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eegvlm_rt.errors import InputError
from eegvlm_rt.findings import Findings, Rhythm, measure, measure_batch
from eegvlm_rt.signal.conditioning import condition_epochs, condition_recording

if TYPE_CHECKING:
    from pathlib import Path

TIME_S = np.arange(3000) / 100


def background(seed: int = 0, scale_uv: float = 6.0, exponent: float = 1.0) -> np.ndarray:
    """Noise of `scale_uv` rms whose amplitude falls as 1/f**exponent from 1 Hz on."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(3000))
    freqs = np.fft.rfftfreq(3000, 0.01)
    shaped = np.fft.irfft(spectrum * (freqs > 0.3) / np.maximum(freqs, 1.0) ** exponent * (freqs < 35), 3000)
    return scale_uv * shaped / shaped.std()


def wave(hz: float, peak_to_peak_uv: float) -> np.ndarray:
    return 0.5 * peak_to_peak_uv * np.sin(2 * np.pi * hz * TIME_S)


def with_spindle(
    x: np.ndarray, onset_s: float, *, hz: float = 13.0, seconds: float = 1.2, uv: float = 45.0
) -> np.ndarray:
    inside = (onset_s <= TIME_S) & (onset_s + seconds > TIME_S)
    envelope = np.zeros(3000)
    envelope[inside] = np.hanning(inside.sum())
    return x + 0.5 * uv * envelope * np.sin(2 * np.pi * hz * (TIME_S - onset_s))


def with_k_complex(x: np.ndarray, onset_s: float, *, uv: float = 140.0) -> np.ndarray:
    t = TIME_S - onset_s
    trough = -np.exp(-0.5 * ((t - 0.3) / 0.1) ** 2)
    peak = 0.7 * np.exp(-0.5 * ((t - 0.75) / 0.17) ** 2)
    return x + uv / 1.7 * (trough + peak)


class TestRhythm:
    def test_an_alpha_rhythm_fills_the_epoch(self):
        found = measure(background() + wave(10, 50))
        assert found.rhythm is Rhythm.ALPHA
        assert found.alpha_share > 0.9

    def test_alpha_in_a_third_of_the_epoch_is_a_third(self):
        found = measure(background() + np.where(TIME_S < 10, wave(10, 50), 0))
        assert found.alpha_share == pytest.approx(1 / 3, abs=0.1)

    @pytest.mark.parametrize("hz", [5, 6, 14, 20])
    def test_other_rhythms_are_not_alpha(self, hz):
        assert measure(background() + wave(hz, 50)).alpha_share < 0.1

    def test_theta(self):
        assert measure(background() + wave(6, 50)).rhythm is Rhythm.THETA

    def test_low_voltage_fast(self):
        assert measure(background() + wave(20, 30)).rhythm is Rhythm.BETA

    def test_fast_activity_of_high_voltage_is_not_low_voltage_fast(self):
        assert measure(background() + wave(20, 120)).rhythm is not Rhythm.BETA

    def test_delta(self):
        assert measure(background() + wave(1, 150)).rhythm is Rhythm.DELTA

    def test_balanced_activity_is_mixed(self):
        found = measure(background(scale_uv=4) + wave(6, 16) + wave(10, 16) + wave(20, 16))
        assert found.rhythm is Rhythm.MIXED

    def test_a_rhythm_near_its_bound_names_the_alternative(self):
        found = [measure(background(1, 3) + wave(6, 20) + wave(20, uv)) for uv in np.arange(8, 40, 1)]
        changes = [(a, b) for a, b in pairwise(found) if a.rhythm is not b.rhythm]
        assert changes
        for before, after in changes:
            assert after.rhythm in before.rhythm_alternatives or before.rhythm in after.rhythm_alternatives

    def test_relative_powers_are_shares(self):
        powers = measure(background() + wave(10, 50)).relative_powers
        assert sum(powers) == pytest.approx(1)
        assert powers[2] == max(powers)


class TestAmplitude:
    @pytest.mark.parametrize("uv", [20, 60, 150])
    def test_a_sine_has_its_peak_to_peak_amplitude(self, uv):
        assert measure(wave(3, uv)).amplitude_uv == pytest.approx(uv, rel=0.02)

    def test_one_artifact_does_not_count(self):
        x = wave(3, 40)
        x[1000:1050] += 900
        assert measure(x).amplitude_uv == pytest.approx(40, rel=0.05)


class TestSlowWaves:
    @pytest.mark.parametrize("hz", [0.6, 1.0, 1.5, 1.9])
    def test_waves_of_half_to_two_hz_above_75_uv_fill_the_epoch(self, hz):
        assert measure(wave(hz, 110)).slow_wave_share > 0.9

    @pytest.mark.parametrize(("hz", "uv"), [(1.0, 70), (3.0, 110), (6.0, 110), (0.3, 110)])
    def test_smaller_faster_and_slower_waves_do_not_count(self, hz, uv):
        assert measure(wave(hz, uv)).slow_wave_share < 0.05

    def test_a_fifth_of_the_epoch_is_a_fifth(self):
        found = measure(background() + np.where(TIME_S < 6, wave(1, 130), 0))
        assert found.slow_wave_share == pytest.approx(0.2, abs=0.05)

    def test_a_train_of_slow_waves_is_no_k_complex(self):
        assert measure(background() + np.where(TIME_S < 10, wave(1, 130), 0)).k_complexes == 0


def fast(seed: int, uv: float, low_hz: float = 18.0, high_hz: float = 34.0) -> np.ndarray:
    """Noise in the band of scalp muscles, `uv` rms."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(3000))
    freqs = np.fft.rfftfreq(3000, 0.01)
    noise = np.fft.irfft(spectrum * ((freqs > low_hz) & (freqs < high_hz)), 3000)
    return uv * noise / noise.std()


class TestDeflections:
    def test_the_same_waves_amid_muscle_activity_are_deflections(self):
        x = background() + np.where(TIME_S < 12, wave(1, 130), 0)
        asleep, awake = measure(x), measure(x + fast(1, 6))
        assert asleep.slow_wave_share == pytest.approx(0.4, abs=0.05)
        assert asleep.deflection_share < 0.05
        assert awake.slow_wave_share < 0.05
        assert awake.deflection_share == pytest.approx(0.4, abs=0.05)

    def test_an_excursion_that_only_movement_makes_is_no_slow_wave(self):
        moved = measure(background() + np.where(TIME_S < 12, wave(0.8, 900), 0))
        assert moved.slow_wave_share < 0.05
        assert moved.deflection_share > 0.3

    @pytest.mark.parametrize("gain", [0.8, 1.0, 1.6])
    def test_what_tells_them_apart_does_not_depend_on_the_gain(self, gain):
        x = background() + wave(1, 150)
        assert measure(gain * x).slow_wave_share > 0.9
        assert measure(gain * (x + fast(1, 8))).slow_wave_share < 0.05

    def test_an_isolated_deflection_amid_muscle_activity_is_no_k_complex(self):
        x = with_k_complex(background(), 10)
        assert measure(x).k_complexes == 1
        assert measure(x + fast(2, 6)).k_complexes == 0

    def test_eye_movements_are_no_delta_rhythm(self):
        x = background() + wave(1, 150)
        assert measure(x).rhythm is Rhythm.DELTA
        assert measure(x + fast(1, 8)).rhythm is not Rhythm.DELTA


class TestMuscleActivity:
    def test_sleep_shows_hardly_any(self):
        assert measure(background()).muscle_share < 0.2

    @pytest.mark.parametrize("seconds", [6, 15, 30])
    def test_its_seconds_are_counted(self, seconds):
        found = measure(background() + np.where(seconds > TIME_S, fast(1, 8), 0))
        assert found.muscle_share == pytest.approx(seconds / 30, abs=0.1)

    def test_a_flat_epoch_shows_none(self):
        assert measure(np.zeros(3000)).muscle_share == 0

    @pytest.mark.parametrize(("seconds", "count"), [(1.5, 0), (4, 1), (8, 1)])
    def test_an_arousal_lasts_three_seconds_or_more(self, seconds, count):
        inside = (TIME_S >= 12) & (seconds + 12 > TIME_S)
        assert measure(background() + np.where(inside, fast(1, 8), 0)).arousals == count

    def test_alpha_of_some_seconds_is_an_arousal(self):
        inside = (TIME_S >= 12) & (TIME_S < 20)
        assert measure(background() + np.where(inside, wave(10, 60), 0)).arousals == 1


class TestKComplexes:
    @pytest.mark.parametrize("count", [0, 1, 2, 3])
    def test_isolated_complexes_are_counted(self, count):
        x = background()
        for i in range(count):
            x = with_k_complex(x, 4 + 8 * i)
        found = measure(x)
        assert found.k_complexes == count
        for i, (onset_s, duration_s) in enumerate(found.k_complex_spans):
            assert abs(onset_s - (4 + 8 * i)) < 0.6
            assert 0.5 <= duration_s <= 3

    def test_an_upright_blink_is_no_k_complex(self):
        x = background() - (
            with_k_complex(np.zeros(3000), 10, uv=250) * (with_k_complex(np.zeros(3000), 10) < 0)
        )
        assert measure(x).k_complexes == 0

    def test_a_small_one_does_not_count(self):
        assert measure(with_k_complex(background(scale_uv=3), 10, uv=50)).k_complexes == 0


class TestSpindles:
    @pytest.mark.parametrize("count", [0, 1, 2, 4, 6])
    def test_spindles_are_counted_and_placed(self, count):
        x = background(3)
        for i in range(count):
            x = with_spindle(x, 2 + 4.5 * i)
        found = measure(x)
        assert found.spindles == count
        for i, (onset_s, duration_s) in enumerate(found.spindle_spans):
            middle = onset_s + duration_s / 2
            assert abs(middle - (2.6 + 4.5 * i)) < 0.4
            assert 0.5 <= duration_s <= 3

    @pytest.mark.parametrize("hz", [8, 9, 20, 25])
    def test_bursts_of_other_frequencies_are_none(self, hz):
        assert measure(with_spindle(background(3), 10, hz=hz)).spindles == 0

    @pytest.mark.parametrize("hz", [12, 13, 14, 15])
    def test_the_whole_sigma_band_counts(self, hz):
        assert measure(with_spindle(background(3), 10, hz=hz)).spindles == 1

    def test_an_alpha_rhythm_holds_no_spindles(self):
        assert measure(background() + wave(10, 50)).spindles == 0

    def test_small_bursts_do_not_count(self):
        assert measure(with_spindle(background(3), 10, uv=8)).spindles == 0

    def test_a_fast_background_is_no_context_for_spindles(self):
        awake = background(exponent=0.0)
        assert measure(with_spindle(awake, 10)).spindles == 0

    @pytest.mark.parametrize(("onset_s", "early"), [(3, 1), (13, 1), (16, 0), (25, 0)])
    def test_a_clear_event_is_early_where_it_begins_in_the_first_half(self, onset_s, early):
        assert measure(with_spindle(background(3), onset_s, uv=70)).early_events == early

    def test_a_burst_of_muscle_activity_is_none(self):
        inside = (TIME_S >= 10) & (TIME_S < 11.2)
        x = background(3) + np.where(inside, fast(4, 14, 11.0, 34.0), 0)
        assert measure(x).spindles == 0

    def test_a_faint_spindle_is_near_the_threshold(self):
        counts = [measure(with_spindle(background(3), 10, uv=uv)) for uv in np.arange(10, 45, 1)]
        last_without = max(i for i, found in enumerate(counts) if found.spindles == 0)
        assert counts[last_without].spindle_range is not None
        assert counts[last_without].spindle_range[1] >= 1


class TestGapsAndShapes:
    def test_findings_do_not_depend_on_the_batch(self):
        x = np.stack([with_spindle(background(seed), 5 + seed % 20) for seed in range(150)])
        x[7, 100:900] = np.nan
        together = measure_batch(x)
        assert [together[i] for i in (0, 7, 63, 64, 149)] == [measure(x[i]) for i in (0, 7, 63, 64, 149)]

    def test_a_gap_holds_nothing_and_is_reported(self):
        x = background() + wave(10, 50)
        x[1000:2500] = np.nan
        found = measure(x)
        assert found.measured_share == pytest.approx(0.5)
        assert found.alpha_share == pytest.approx(0.5, abs=0.1)

    def test_an_epoch_without_samples_has_no_findings(self):
        found = measure(np.full(3000, np.nan))
        assert found == Findings(Rhythm.MIXED, 0.0, 0, 0, 0.0, 0.0, measured_share=0.0)

    def test_a_flat_epoch_has_no_findings(self):
        found = measure(np.zeros(3000))
        assert (found.alpha_share, found.spindles, found.k_complexes, found.slow_wave_share) == (0, 0, 0, 0)
        assert found.amplitude_uv == 0

    @pytest.mark.parametrize(
        ("shape", "cure"),
        [
            ((2999,), "3000 samples at 100 Hz"),
            ((0,), "3000 samples at 100 Hz"),
            ((1, 3000), r"x\[0\]"),
            ((3000, 1), r"x\[:, 0\]"),
        ],
    )
    def test_an_epoch_of_another_shape_is_refused(self, shape, cure):
        with pytest.raises(InputError, match=cure):
            measure(np.zeros(shape))

    @pytest.mark.parametrize("shape", [(3000,), (2, 2999), (2, 1, 3000)])
    def test_a_batch_of_another_shape_is_refused(self, shape):
        with pytest.raises(InputError, match="3000"):
            measure_batch(np.zeros(shape))

    def test_an_empty_batch_is_empty(self):
        assert measure_batch(np.zeros((0, 3000))) == []

    def test_the_input_is_left_as_it_was(self):
        x = background().astype(np.float32)
        x[10:20] = np.nan
        before = x.copy()
        measure(x)
        np.testing.assert_array_equal(x, before)

    def test_findings_are_json_able(self):
        found = measure(with_k_complex(with_spindle(background(3), 5), 15))
        fields = json.loads(json.dumps(found.to_dict()))
        assert fields["spindles"] == 1
        assert fields["rhythm"] in {str(rhythm) for rhythm in Rhythm}

    @settings(max_examples=40, deadline=None)
    @given(hnp.arrays(np.float64, 60, elements=st.floats(allow_nan=True, allow_infinity=True)))
    def test_any_numbers_give_findings_in_range(self, corners):
        found = measure(np.repeat(corners, 50))
        assert 0 <= found.alpha_share <= 1
        assert 0 <= found.slow_wave_share <= 1
        assert np.isfinite(found.amplitude_uv)
        assert len(found.spindle_spans) == found.spindles
        assert len(found.k_complex_spans) == found.k_complexes


class TestRealRecordings:
    def test_spindles_meet_the_marks_of_two_experts(self, shared_data):
        detected = marked = hits = found_marks = 0
        for excerpt in range(1, 5):
            epochs, _, marks = dreams(shared_data, excerpt)
            spans = [
                (30 * i + onset_s, 30 * i + onset_s + duration_s)
                for i, found in enumerate(measure_batch(epochs))
                for onset_s, duration_s in found.spindle_spans
            ]
            detected += len(spans)
            marked += len(marks)
            hits += sum(any(overlap(span, mark) for mark in marks) for span in spans)
            found_marks += sum(any(overlap(mark, span) for span in spans) for mark in marks)
        assert hits / detected > 0.65
        assert found_marks / marked > 0.6

    def test_slow_waves_fill_a_fifth_of_most_n3_and_of_few_other_epochs(self, shared_data):
        n3, other = [], []
        for excerpt in range(1, 5):
            epochs, stages, _ = dreams(shared_data, excerpt)
            for found, stage in zip(measure_batch(epochs), stages, strict=True):
                (n3 if stage == 3 else other).append(found.slow_wave_share)
        assert np.mean(np.array(n3) >= 0.2) > 0.6
        assert np.mean(np.array(other) >= 0.2) < 0.12

    def test_wakefulness_in_a_frontal_channel_holds_no_n3(self, shared_data):
        recording = read_edf(shared_data / "sleep-edf" / "SC4001E0-first5min-PSG.edf").signals[0]
        epochs = condition_recording(recording.data.astype(np.float32), 100.0).reshape(-1, 3000)
        measured = measure_batch(epochs)
        assert max(f.slow_wave_share for f in measured) < 0.2
        assert np.mean([f.deflection_share >= 0.1 for f in measured]) > 0.5

    def test_daytime_wakefulness_holds_hardly_any_spindles_or_k_complexes(self, shared_data):
        stored = np.load(shared_data / "sleep-edf" / "wake_pzoz_int16.npz")
        x = (stored["x"][:, ::20] * stored["uv_per_lsb"]).reshape(-1, 3000)
        found = measure_batch(condition_epochs(x, 100))
        assert np.mean([f.spindles > 0 for f in found]) < 0.01
        assert np.mean([f.k_complexes > 0 for f in found]) < 0.02
        assert np.mean([f.slow_wave_share >= 0.2 for f in found]) < 0.01


def dreams(shared_data: Path, excerpt: int) -> tuple[np.ndarray, np.ndarray, list[tuple[float, float]]]:
    """Conditioned epochs, stages, and the union of both experts' spindles as (start, stop) in s."""
    stored = np.load(shared_data / "dreams" / f"excerpt{excerpt}.npz")
    epochs = condition_recording(stored["signal_uv"], float(stored["sfreq"])).reshape(-1, 3000)
    marks: list[tuple[float, float]] = []
    for onset_s, duration_s in [*stored["spindles_expert1"], *stored["spindles_expert2"]]:
        mark = (float(onset_s), float(onset_s + duration_s))
        if not any(overlap(mark, known) for known in marks):
            marks.append(mark)
    return epochs, stored["stage_30s"], marks


def overlap(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether two spans share more than a fifth of the shorter one."""
    return min(a[1], b[1]) - max(a[0], b[0]) > 0.2 * min(a[1] - a[0], b[1] - b[0])
