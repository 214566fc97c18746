"""`python -m benchmarks.detectors FOLDER`: the measured events against experts' marks, beside YASA.

FOLDER holds `dreams/excerpt*.npz` (DREAMS spindle database; marks of two experts). Spindles are compared
event by event; YASA detects at its defaults in the same run. K-complexes and slow waves have no marks in
these recordings: they are held against the experts' stages only.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from eegvlm_train.evaluation.recordings import ScoredRecording, real_recordings
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.signal import resample_poly

from eegvlm_rt.findings import Findings, measure_batch
from eegvlm_rt.stages import STAGES

OVERLAP = 0.2
EPOCH_S = 30.0
YASA_LEAST_HZ = 100

Spans = NDArray[np.float64]


def overlaps(a: Spans, b: Spans) -> NDArray[np.float64]:
    """(n, m) shared time over joined time of spans (start, stop) in s."""
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    joined = np.maximum(a[:, None, 1], b[None, :, 1]) - np.minimum(a[:, None, 0], b[None, :, 0])
    return np.where(shared > 0, shared / np.maximum(joined, 1e-9), 0.0)


def joined_marks(experts: Sequence[Spans]) -> list[Spans]:
    """Marks of all experts, those that overlap together: an event that any of them marked, once."""
    marks = np.concatenate([np.empty((0, 2)), *experts])
    events: list[list[NDArray[np.float64]]] = []
    end = -np.inf
    for mark in marks[np.argsort(marks[:, 0], kind="stable")]:
        if mark[0] < end:
            events[-1].append(mark)
        else:
            events.append([mark])
        end = max(end, mark[1]) if mark[0] < end else mark[1]
    return [np.array(event) for event in events]


def matches(spans: Spans, events: Sequence[Spans]) -> int:
    """Most pairs of a span and an event, each used once, that overlap by 0.2 with one expert's mark."""
    if not len(spans) or not events:
        return 0
    near = np.array([overlaps(spans, event).max(axis=1) >= OVERLAP for event in events])
    rows, columns = linear_sum_assignment(near, maximize=True)
    return int(near[rows, columns].sum())


def figures(hits: int, detected: int, marked: int) -> dict[str, Any]:
    """Precision, recall and F1; None where undefined."""
    return {
        "precision": hits / detected if detected else None,
        "recall": hits / marked if marked else None,
        "f1": 2 * hits / (detected + marked) if detected + marked else None,
        "hits": hits,
        "detected": detected,
        "marked": marked,
    }


def measured_spindles(findings: Sequence[Findings]) -> Spans:
    """Spindles of a recording's epochs as (start, stop) in s from its begin."""
    spans = [
        (EPOCH_S * place + onset_s, EPOCH_S * place + onset_s + duration_s)
        for place, one in enumerate(findings)
        for onset_s, duration_s in one.spindle_spans
    ]
    return np.array(spans, dtype=np.float64).reshape(-1, 2)


def yasa_spindles(recording: ScoredRecording) -> Spans:
    """YASA's spindles of the whole recording at its defaults."""
    import yasa

    samples, sfreq = recording.samples_uv.astype(np.float64), round(recording.sfreq)
    if sfreq < YASA_LEAST_HZ:
        samples, sfreq = resample_poly(samples, YASA_LEAST_HZ, sfreq), YASA_LEAST_HZ
    logging.getLogger("yasa").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detected = yasa.spindles_detect(samples, sf=sfreq)
    if detected is None:
        return np.empty((0, 2))
    return np.asarray(detected.summary()[["Start", "End"]], dtype=np.float64)


def by_stage(findings: Sequence[Findings], stages: NDArray[np.int64]) -> dict[str, Any]:
    """Share of the epochs of each scored stage with each kind of event."""
    table = {}
    for stage in STAGES:
        chosen = [one for one, scored in zip(findings, stages, strict=True) if scored == int(stage)]
        if chosen:
            table[stage.name] = {
                "epochs": len(chosen),
                "clear spindle": float(np.mean([one.clear_spindles > 0 for one in chosen])),
                "clear K-complex": float(np.mean([one.clear_k_complexes > 0 for one in chosen])),
                "slow waves >= 20 %": float(np.mean([one.slow_wave_share >= 0.2 for one in chosen])),
                "muscle >= 50 %": float(np.mean([one.muscle_share >= 0.5 for one in chosen])),
            }
    return table


def compare(recordings: Sequence[ScoredRecording]) -> dict[str, Any]:
    """Figures of the measurement and of YASA, of each recording and pooled, and shares by stage."""
    rows: dict[str, Any] = {}
    pooled: dict[str, list[int]] = {"measured": [0, 0, 0], "yasa": [0, 0, 0]}
    every: list[Findings] = []
    stages = []
    for recording in recordings:
        if not any(len(marks) for marks in recording.spindles):
            continue
        findings = measure_batch(recording.epochs())
        every += findings
        stages.append(recording.stages)
        events = joined_marks([np.c_[m[:, 0], m[:, 0] + m[:, 1]] for m in recording.spindles])
        rows[recording.name] = {}
        for name, spans in (("measured", measured_spindles(findings)), ("yasa", yasa_spindles(recording))):
            counts = (matches(spans, events), len(spans), len(events))
            rows[recording.name][name] = figures(*counts)
            pooled[name] = [a + b for a, b in zip(pooled[name], counts, strict=True)]
    if not rows:
        raise ValueError("no recording with marks of spindles; give a folder with dreams/excerpt*.npz")
    return {
        "recordings": rows,
        "pooled": {name: figures(*counts) for name, counts in pooled.items()},
        "by_stage": by_stage(every, np.concatenate(stages)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.detectors", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    args = parser.parse_args(argv)
    report = compare(real_recordings(args.folder))
    print(f"{'spindles':18} {'by':9} {'precision':>9} {'recall':>7} {'F1':>6} {'hits/detected/marked':>21}")
    for name, row in {**report["recordings"], "all": report["pooled"]}.items():
        for who, one in row.items():
            numbers = [f"{one[key] or 0.0:.2f}" for key in ("precision", "recall", "f1")]
            counts = f"{one['hits']}/{one['detected']}/{one['marked']}"
            print(f"{name:18} {who:9} {numbers[0]:>9} {numbers[1]:>7} {numbers[2]:>6} {counts:>21}")
    print("\nshare of the epochs that an expert scored so")
    for stage, shares in report["by_stage"].items():
        print(stage, ", ".join(f"{key} {value:.2f}" for key, value in shares.items()))
    if args.json is not None:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
