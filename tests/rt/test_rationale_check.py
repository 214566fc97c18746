"""Claims of a rationale held against the signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from eegvlm_rt.evidence import Findings, Rhythm, measure_batch
from eegvlm_rt.preprocess import condition_recording
from eegvlm_rt.rationale import check, compose, parse, segments
from eegvlm_rt.stages import Stage
from tests.rt.rationale_samples import DEEP, LIGHT, RELAXED, all_choices, all_findings, stated


def verdicts(text: str, findings: Findings) -> dict[str, tuple[str, str]]:
    checks = check(parse(text), findings)
    return {str(found.claim.kind): (str(found.verdict), str(found.strict)) for found in checks}


class TestCheck:
    def test_a_wrong_claim_is_contradicted_and_the_measurement_shown(self):
        found = check(parse(stated(slow_wave_pct=" 60")), LIGHT)[4]
        assert (found.claim.value, found.measured) == (60, 8.0)
        assert (str(found.verdict), str(found.strict)) == ("contradicted", "contradicted")

    @pytest.mark.parametrize(
        ("slot", "choice", "verdict", "strict"),
        [
            ("rhythm", " theta", "supported", "supported"),
            ("rhythm", " delta", "contradicted", "contradicted"),
            ("alpha_pct", " 20", "supported", "contradicted"),
            ("alpha_pct", " 30", "contradicted", "contradicted"),
            ("spindles", " two spindles", "supported", "supported"),
            ("spindles", " three spindles", "supported", "contradicted"),
            ("spindles", " four or more spindles", "contradicted", "contradicted"),
            ("spindles", " no spindle", "contradicted", "contradicted"),
            ("k_complexes", " several K-complexes", "supported", "contradicted"),
            ("k_complexes", " no K-complex", "contradicted", "contradicted"),
            ("slow_wave_pct", " 15", "supported", "contradicted"),
            ("slow_wave_pct", " 20", "contradicted", "contradicted"),
            ("amplitude_uv", " 80", "supported", "contradicted"),
            ("amplitude_uv", " 90", "contradicted", "contradicted"),
        ],
    )
    def test_tolerances(self, slot, choice, verdict, strict):
        assert verdicts(stated(**{slot: choice}), LIGHT)[slot] == (verdict, strict)

    def test_a_narrowly_missed_rhythm_is_supported(self):
        near = replace(LIGHT, rhythm_alternatives=(Rhythm.MIXED,))
        assert verdicts(stated(rhythm=" mixed-frequency"), near)["rhythm"] == ("supported", "contradicted")

    def test_none_or_some_may_differ_only_for_an_event_near_the_threshold(self):
        none = replace(LIGHT, spindles=0)
        text = stated(spindles=" one spindle")
        assert verdicts(text, none)["spindles"][0] == "contradicted"
        assert verdicts(text, replace(none, spindle_range=(0, 1)))["spindles"][0] == "supported"

    def test_or_more_covers_every_higher_count(self):
        many = replace(LIGHT, spindles=9, amplitude_uv=400.0)
        found = verdicts(stated(spindles=" four or more spindles", amplitude_uv=" 200"), many)
        assert found["spindles"] == ("supported", "supported")
        assert found["amplitude_uv"] == ("supported", "supported")

    def test_a_rule_is_checked_by_its_conditions(self):
        text = stated(rule=" N3.1: slow waves in 20 % or more")
        assert verdicts(text, DEEP)["rule"] == ("supported", "supported")
        assert verdicts(text, LIGHT)["rule"] == ("contradicted", "contradicted")
        assert verdicts(text, replace(LIGHT, slow_wave_share=0.16))["rule"] == ("supported", "contradicted")

    def test_a_reason_is_checked_by_its_conditions(self):
        text = stated(excluded_1=" W: no alpha rhythm", excluded_2=" R: K-complex present")
        found = [f for f in check(parse(text), RELAXED) if f.claim.kind == "excluded"]
        assert [str(f.verdict) for f in found] == ["contradicted", "contradicted"]
        assert [f.measured for f in found] == ["alpha in 83 %", "K-complexes: 0"]

    def test_what_states_nothing_measurable_is_not_checked(self):
        text = stated(
            rule=" R.0: overall pattern of R",
            excluded_1=" W: less typical overall",
            excluded_2=" N1: less typical overall",
        )
        assert [found.claim.kind for found in check(parse(text), LIGHT)] == [
            "rhythm",
            "alpha_pct",
            "spindles",
            "k_complexes",
            "slow_wave_pct",
            "amplitude_uv",
        ]

    @given(all_choices, all_findings)
    def test_a_strictly_true_claim_is_never_contradicted(self, chosen, findings):
        for found in check(parse("".join(segments(chosen))), findings):
            if found.strict == "supported":
                assert found.verdict == "supported"


class TestRealRecordings:
    def test_a_repeated_measurement_supports_a_text_and_another_epoch_does_not(self, shared_data):
        stored = np.load(shared_data / "dreams" / "excerpt2.npz")
        x = condition_recording(stored["signal_uv"], float(stored["sfreq"])).reshape(-1, 3000)
        noise = np.random.default_rng(0)
        gain = 1 + 0.05 * noise.standard_normal((len(x), 1))
        repeated = measure_batch(np.roll(x, 37, axis=1) * gain + noise.normal(0, 1.5, x.shape))
        texts = [
            compose(found, Stage(int(stage)))
            for found, stage in zip(measure_batch(x), stored["stage_30s"], strict=True)
        ]
        assert supported_share(texts, repeated) > 0.95
        assert supported_share(texts[30:] + texts[:30], repeated) < 0.75


def supported_share(texts: list[str], findings: list[Findings]) -> float:
    checks = [c for text, found in zip(texts, findings, strict=True) for c in check(parse(text), found)]
    return float(np.mean([c.verdict == "supported" for c in checks]))
