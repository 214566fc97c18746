"""Each kind of claim as a detector: precision and recall against the measurement, and against experts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.findings import Findings, Rhythm
from eegvlm_rt.rationale import Rationale, Verdict, check

from .answers import Reasons
from .epoch_sets import EvaluationSet
from .recordings import EPOCH_S, ScoredRecording

__all__ = ["claim_figures", "expert_figures", "variety"]

_N3_SHARE = 20
_LOW_UV = 75


def detection(claimed: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, Any]:
    """Precision, recall and F1 of (n,) claims that something is there; None where undefined."""
    hits = int((claimed & true).sum())
    n_claims, there = int(claimed.sum()), int(true.sum())
    return {
        "precision": hits / n_claims if n_claims else None,
        "recall": hits / there if there else None,
        "f1": 2 * hits / (n_claims + there) if n_claims + there else None,
        "claimed": n_claims,
        "true": there,
        "n": len(true),
    }


_ALPHA_MIDDLES = {"less than 10 %": 5, "10 to 50 %": 30, "50 % or more": 75}
_SPINDLES = {"no spindle": 0, "a doubtful spindle": 0, "one or two spindles": 1, "three or more spindles": 3}
_COMPLEXES = {"no K-complex": 0, "a doubtful K-complex": 0, "one or more K-complexes": 1}
_NUMBERS = {**_ALPHA_MIDDLES, **_SPINDLES, **_COMPLEXES}


def _stated(rationales: Sequence[Rationale], *kinds: str) -> NDArray[np.int64]:
    """The number each text states; of a class in words, the least that it says (alpha: its middle)."""
    values = (next(c.value for c in r.claims if c.kind in kinds) for r in rationales)
    return np.array([value if isinstance(value, int) else _NUMBERS[value] for value in values])


def claim_figures(reasons: Reasons, findings: Sequence[Findings]) -> dict[str, Any]:
    """Figures of the valid texts among n, against the findings of the same n epochs.

    `detections`: events, 20 % of slow waves, low amplitude, and each rhythm, as claimed against as measured;
    `errors`: mean absolute error of the numbers; `contradicted`: counts by kind and direction.
    """
    pairs = [(d.rationale, f) for d, f in zip(reasons.decoded, findings, strict=True) if d.rationale]
    rationales, measured = [r for r, _ in pairs], [f for _, f in pairs]
    if not pairs:
        return {"texts": 0}
    spindles, complexes = _stated(rationales, "spindles"), _stated(rationales, "k_complexes")
    slow, alpha = _stated(rationales, "slow_wave_pct"), _stated(rationales, "alpha_pct", "alpha")
    amplitude = _stated(rationales, "amplitude_uv")
    real = {
        "spindles": np.array([f.spindles for f in measured]),
        "k_complexes": np.array([f.k_complexes for f in measured]),
        "slow": 100 * np.array([f.slow_wave_share for f in measured]),
        "alpha": 100 * np.array([f.alpha_share for f in measured]),
        "amplitude": np.array([f.amplitude_uv for f in measured]),
    }
    words = np.array([next(c.value for c in r.claims if c.kind == "rhythm") for r in rationales])
    rhythm = np.array([str(f.rhythm) for f in measured])
    detections = {
        "spindle": detection(spindles > 0, real["spindles"] > 0),
        "K-complex": detection(complexes > 0, real["k_complexes"] > 0),
        "slow waves >= 20 %": detection(slow >= _N3_SHARE, real["slow"] >= _N3_SHARE),
        "amplitude >= 75 µV": detection(amplitude >= _LOW_UV, real["amplitude"] >= _LOW_UV),
    }
    for name in Rhythm:
        if (rhythm == str(name)).any() or (words == str(name)).any():
            detections[f"rhythm {name}"] = detection(words == str(name), rhythm == str(name))
    directions: dict[str, int] = {}
    for rationale, measured_row in pairs:
        for one in check(rationale, measured_row):
            if one.verdict is Verdict.CONTRADICTED and one.claim.kind in ("spindles", "k_complexes"):
                there = int(getattr(measured_row, one.claim.kind))
                value = one.claim.value
                stated = value if isinstance(value, int) else _NUMBERS[value]
                way = "count" if stated and there else "missed" if there else "invented"
                key = f"{one.claim.kind}: {way}"
                directions[key] = directions.get(key, 0) + 1
    return {
        "texts": len(pairs),
        "detections": detections,
        "errors": {
            "alpha_pct": float(np.abs(alpha - real["alpha"]).mean()),
            "slow_wave_pct": float(np.abs(slow - real["slow"]).mean()),
            "amplitude_share": float(
                (
                    np.abs(amplitude - np.minimum(real["amplitude"], 200.0)) / real["amplitude"].clip(1.0)
                ).mean()
            ),
            "spindle_count": float(np.abs(spindles - np.minimum(real["spindles"], 4)).mean()),
        },
        "contradicted": directions,
    }


def expert_figures(
    reasons: Reasons,
    findings: Sequence[Findings],
    data: EvaluationSet,
    recordings: Sequence[ScoredRecording],
) -> dict[str, Any] | None:
    """Epochs claimed to hold a spindle against epochs that an expert marked one in; None without marks.

    `text`: the claims; `measured`: the runtime's detector; for all experts joined, and for the first expert
    against the second where both marked.
    """
    marked = {one.name: one for one in recordings if any(len(marks) for marks in one.spindles)}
    rows = np.flatnonzero([str(name) in marked for name in data.recordings])
    rows = np.array([row for row in rows if reasons.decoded[row].rationale is not None], dtype=np.int64)
    if not len(rows):
        return None
    votes = []
    for number in range(max(len(one.spindles) for one in marked.values())):
        vote = []
        for row in rows:
            marks = marked[str(data.recordings[row])].spindles
            middles = marks[number][:, 0] + marks[number][:, 1] / 2 if number < len(marks) else np.zeros(0)
            inside = (middles // EPOCH_S).astype(np.int64) == data.places[row]
            vote.append(bool(inside.any()))
        votes.append(np.array(vote))
    true = np.logical_or.reduce(votes)
    texts = _stated([reasons.decoded[row].rationale for row in rows], "spindles") > 0  # type: ignore[misc]
    measured = np.array([findings[int(row)].spindles > 0 for row in rows])
    both = {name for name, one in marked.items() if all(len(marks) for marks in one.spindles)}
    shared = np.array([str(data.recordings[row]) in both for row in rows])
    return {
        "text": detection(texts, true),
        "measured": detection(measured, true),
        "expert 1 against 2": detection(votes[0][shared], votes[1][shared]) if len(votes) > 1 else None,
    }


def variety(reasons: Reasons, findings: Sequence[Findings], seed: int = 0) -> dict[str, Any]:
    """How the texts follow the picture: distinct ones, and each text held against another epoch's signal.

    `distinct_per_1000` draws 1,000 texts (without replacement) where there are more, else scales nothing and
    says how many there were. `other_supported`: share of claims that hold for another epoch, half the set
    further; `slots_changed`: share of the claims that differ between the two texts.
    """
    whole = [i for i, d in enumerate(reasons.decoded) if d.rationale is not None]
    if len(whole) < 2:
        return {"texts": len(whole)}
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(whole)[:1000]
    distinct = {reasons.decoded[i].rationale.text for i in drawn}
    own: list[bool] = []
    other: list[bool] = []
    changed: list[bool] = []
    same_text = 0
    for place, i in enumerate(whole):
        j = whole[(place + len(whole) // 2) % len(whole)]
        first, second = reasons.decoded[i].rationale, reasons.decoded[j].rationale
        assert first is not None
        assert second is not None
        own.extend(one.verdict is Verdict.SUPPORTED for one in check(first, findings[i]))
        other.extend(one.verdict is Verdict.SUPPORTED for one in check(first, findings[j]))
        changed.extend(a.value != b.value for a, b in zip(first.claims, second.claims, strict=True))
        same_text += first.text == second.text
    return {
        "texts": len(whole),
        "drawn": len(drawn),
        "distinct": len(distinct),
        "own_supported": float(np.mean(own)),
        "other_supported": float(np.mean(other)),
        "slots_changed": float(np.mean(changed)),
        "texts_changed": 1.0 - same_text / len(whole),
    }
