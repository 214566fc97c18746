"""Spindles against experts' marks: how events are matched, and figures of a recording made on purpose."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.detectors import figures, joined_marks, main, matches, overlaps


def spans(*pairs):
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def test_overlap_is_shared_time_over_joined_time():
    assert overlaps(spans((0, 2)), spans((1, 3), (2, 4), (0, 2))).tolist() == [[1 / 3, 0.0, 1.0]]


def test_marks_of_two_experts_that_touch_are_one_event():
    events = joined_marks([spans((1, 2), (10, 11)), spans((1.5, 2.5))])
    assert [event.tolist() for event in events] == [[[1, 2], [1.5, 2.5]], [[10, 11]]]
    assert joined_marks([]) == []


def test_each_event_and_each_detection_counts_once():
    event = joined_marks([spans((0, 2))])
    assert matches(spans((0, 1), (1, 2)), event) == 1
    assert matches(spans((0, 2)), joined_marks([spans((0, 1), (1, 2))])) == 1
    assert matches(spans(), event) == matches(spans((0, 1)), []) == 0


def test_a_detection_is_held_against_each_experts_own_mark():
    wide = joined_marks([spans((0, 10)), spans((0, 1))])
    assert matches(spans((0, 1)), wide) == 1
    assert matches(spans((0, 1)), joined_marks([spans((0, 10))])) == 0


def test_precision_recall_and_f1():
    row = figures(6, 10, 8)
    assert (row["precision"], row["recall"]) == (0.6, 0.75)
    assert row["f1"] == pytest.approx(2 * 0.6 * 0.75 / (0.6 + 0.75))
    assert figures(0, 0, 0)["f1"] is None


def test_the_command_prints_both_detectors_of_one_run(tmp_path, capsys):
    pytest.importorskip("yasa")
    time_s = np.arange(6 * 3000) / 100
    rng = np.random.default_rng(0)
    freqs = np.fft.rfftfreq(len(time_s), 0.01)
    spectrum = np.fft.rfft(rng.standard_normal(len(time_s))) * (freqs > 0.3) / np.maximum(freqs, 1.0)
    signal = np.fft.irfft(spectrum, len(time_s))
    signal *= 8 / signal.std()
    onsets = np.arange(5.0, 175.0, 11.0)
    for onset in onsets:
        inside = (time_s >= onset) & (time_s < onset + 1.2)
        signal[inside] += 30 * np.hanning(inside.sum()) * np.sin(2 * np.pi * 13 * time_s[inside])
    (tmp_path / "dreams").mkdir()
    marks = np.c_[onsets, np.full(len(onsets), 1.2)]
    np.savez(
        tmp_path / "dreams" / "excerpt1.npz",
        signal_uv=signal,
        sfreq=100.0,
        stage_30s=np.full(6, 2),
        purity_30s=np.ones(6),
        spindles_expert1=marks,
        spindles_expert2=np.empty((0, 2)),
    )
    assert main([str(tmp_path), "--json", str(tmp_path / "figures.json")]) == 0
    pooled = json.loads((tmp_path / "figures.json").read_text())["pooled"]
    assert pooled["measured"]["f1"] > 0.9
    assert pooled["yasa"]["marked"] == len(onsets)
    printed = capsys.readouterr().out
    assert "measured" in printed
    assert "yasa" in printed
