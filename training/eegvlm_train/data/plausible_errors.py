"""Findings stated with plausible errors, so that a text learns to go on from its own mistakes.

A rationale states findings before its rule. In training they are the measured ones; when the model writes
them itself some are wrong, and a rule that learned to trust the text follows them (exposure bias). A slipped
text states a wrong finding on purpose, does not count its tokens as targets, and goes on consistently with
what it states, to the stage that the teacher's probabilities drew: the picture still decides the stage.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eegvlm_rt.findings import Findings, Rhythm

__all__ = ["SLIPPING", "slipped"]

SLIPPING = {
    "rhythm": "rhythm",
    "alpha": "alpha_share",
    "spindles": "spindles",
    "k_complexes": "k_complexes",
    "slow_wave_pct": "slow_wave_share",
    "amplitude_uv": "amplitude_uv",
}
"""Slots that state a finding, and the finding."""

_RANGES = {"spindles": "spindle_range", "k_complexes": "k_complex_range"}
_SLOT_SHARE = 0.4
_DONOR_SHARE = 0.3
_ALPHA_SPREAD = 0.15
_SLOW_SPREAD = 0.1
_AMPLITUDE_LOG_SPREAD = 0.25


def slipped(findings: Findings, donor: Findings, rng: np.random.Generator) -> tuple[Findings, frozenset[str]]:
    """Findings of which some are wrong, and the slots of those.

    Each slot slips with probability 0.4: to what was measured in `donor`, an epoch with the same drawn stage,
    or, more often, to a value near its own: shares by 15 (alpha) and 10 points (slow waves), amplitude by
    25 %, all 1 sigma, counts by one, the rhythm to any other.
    """
    slips = [slot for slot in SLIPPING if rng.random() < _SLOT_SHARE]
    values: dict[str, object] = {}
    for slot in slips:
        field = SLIPPING[slot]
        from_donor = rng.random() < _DONOR_SHARE
        values[field] = getattr(donor, field) if from_donor else _near(findings, field, rng)
        # A count that is wrong is wrong by every threshold.
        if slot in _RANGES:
            count = values[field]
            values[_RANGES[slot]] = getattr(donor, _RANGES[slot]) if from_donor else (count, count)
    return replace(findings, **values), frozenset(slips)  # type: ignore[arg-type]


def _near(findings: Findings, field: str, rng: np.random.Generator) -> Rhythm | float | int:
    match field:
        case "rhythm":
            others = [name for name in Rhythm if name is not findings.rhythm]
            return others[int(rng.integers(len(others)))]
        case "alpha_share":
            return float(np.clip(findings.alpha_share + _ALPHA_SPREAD * rng.standard_normal(), 0.0, 1.0))
        case "slow_wave_share":
            return float(np.clip(findings.slow_wave_share + _SLOW_SPREAD * rng.standard_normal(), 0.0, 1.0))
        case "amplitude_uv":
            return float(findings.amplitude_uv * np.exp(_AMPLITUDE_LOG_SPREAD * rng.standard_normal()))
        case _:
            count: int = getattr(findings, field)
            return max(0, count + (1 if count == 0 or rng.random() < 0.5 else -1))
