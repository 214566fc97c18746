"""Findings, choices and texts that the tests of rationales share."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from eegvlm_rt.findings import Findings, Rhythm
from eegvlm_rt.rationale import SLOTS, NightContext, choices, segments
from eegvlm_rt.stages import STAGES, Stage

QUIET = Findings(Rhythm.MIXED, 0.05, 0, 0, 0.02, 42.0)
DEEP = Findings(Rhythm.DELTA, 0.0, 1, 0, 0.62, 148.0, early_events=1)
RELAXED = Findings(Rhythm.ALPHA, 0.83, 0, 0, 0.0, 55.0)
ALERT = Findings(Rhythm.BETA, 0.1, 0, 0, 0.0, 30.0)
LIGHT = Findings(Rhythm.THETA, 0.05, 2, 1, 0.08, 68.0, early_events=2)

counts = st.integers(0, 9)
shares = st.floats(0, 1)
ranges = st.none() | st.tuples(counts, counts).map(lambda pair: (min(pair), max(pair)))


def with_early_events(findings: Findings, early: int) -> Findings:
    """The same with early events, no more than the clear ones."""
    clear = findings.clear_spindles + findings.clear_k_complexes
    return replace(findings, early_events=min(early, clear))


measured = st.builds(
    Findings,
    rhythm=st.sampled_from(Rhythm),
    alpha_share=shares,
    spindles=counts,
    k_complexes=counts,
    slow_wave_share=shares,
    amplitude_uv=st.floats(0, 1e5),
    rhythm_alternatives=st.lists(st.sampled_from(Rhythm), max_size=3).map(tuple),
    spindle_range=ranges,
    k_complex_range=ranges,
    deflection_share=shares,
    muscle_share=shares,
    arousals=counts,
)
all_findings = st.builds(with_early_events, measured, counts)
all_choices = st.fixed_dictionaries({name: st.sampled_from(slot.choices) for name, slot in SLOTS.items()})
stages = st.sampled_from(STAGES)
contexts = st.builds(
    NightContext,
    stages=st.lists(st.none() | st.sampled_from(STAGES), max_size=3).map(tuple),
    since_event=st.none() | st.integers(1, 900),
    aroused=st.booleans(),
)


def stated(**changes: str) -> str:
    """A rationale of LIGHT as N2, with some slots filled otherwise."""
    return "".join(segments({**choices(LIGHT, Stage.N2), **changes}))
