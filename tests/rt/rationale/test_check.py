"""Claims of a rationale held against the signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from eegvlm_rt.findings import Findings, Rhythm, measure_batch
from eegvlm_rt.rationale import NightContext, check, compose, parse, segments
from eegvlm_rt.rationale.grammar import SPINDLE_WORDS
from eegvlm_rt.signal.conditioning import condition_recording
from eegvlm_rt.stages import Stage
from tests.rt.rationale.rationale_samples import DEEP, LIGHT, RELAXED, all_choices, all_findings, stated


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
            ("alpha", " less than 10 %", "supported", "supported"),
            ("alpha", " 10 to 50 %", "supported", "contradicted"),
            ("alpha", " 50 % or more", "contradicted", "contradicted"),
            ("spindles", " one or two spindles", "supported", "supported"),
            ("spindles", " three or more spindles", "supported", "contradicted"),
            ("spindles", " a doubtful spindle", "contradicted", "contradicted"),
            ("spindles", " no spindle", "contradicted", "contradicted"),
            ("k_complexes", " one or more K-complexes", "supported", "supported"),
            ("k_complexes", " a doubtful K-complex", "supported", "contradicted"),
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

    @pytest.mark.parametrize(
        ("clear", "usual", "possible", "supported"),
        [
            (0, 0, 0, {"no"}),
            (0, 0, 1, {"no", "a doubtful", "one or two"}),
            (0, 1, 2, {"no", "a doubtful", "one or two"}),
            (1, 1, 1, {"a doubtful", "one or two"}),
            (1, 2, 2, {"a doubtful", "one or two", "three or more"}),
            (2, 2, 2, {"one or two", "three or more"}),
            (5, 6, 7, {"one or two", "three or more"}),
        ],
    )
    def test_what_may_be_said_of_spindles_near_the_threshold(self, clear, usual, possible, supported):
        near = replace(LIGHT, spindles=usual, spindle_range=(clear, possible))
        said = {
            word.partition(" spindle")[0]
            for word in SPINDLE_WORDS
            if verdicts(stated(spindles=f" {word}"), near)["spindles"][0] == "supported"
        }
        assert said == supported

    @pytest.mark.parametrize("share", [0.0, 0.04])
    def test_hardly_any_alpha_is_not_some(self, share):
        text = stated(alpha=" 10 to 50 %")
        assert verdicts(text, replace(LIGHT, alpha_share=share))["alpha"][0] == "contradicted"

    def test_or_more_covers_every_higher_count(self):
        many = replace(LIGHT, spindles=9, amplitude_uv=400.0)
        checked = verdicts(stated(spindles=" three or more spindles", amplitude_uv=" 200"), many)
        assert checked["spindles"] == ("supported", "supported")
        assert checked["amplitude_uv"] == ("supported", "supported")

    def test_numbers_that_argue_for_another_stage_contradict_the_text(self):
        text = stated(
            slow_wave_pct=" 40",
            spindles=" no spindle",
            k_complexes=" no K-complex",
            rule=" W.0: no sign of wakefulness is measured",
            excluded_1=" N2: slow waves in 20 % or more",
            excluded_2=" N1: slow waves in 20 % or more",
            stage=" W",
        )
        found = check(parse(text), DEEP)[-1]
        assert found.measured == "the numbers argue for N3"
        assert (str(found.verdict), str(found.strict)) == ("contradicted", "contradicted")

    @pytest.mark.parametrize(
        ("slow", "verdict"), [(" 15", "supported"), (" 20", "supported"), (" 25", "contradicted")]
    )
    def test_slow_waves_argue_for_n3_beyond_the_spread_of_the_measurement(self, slow, verdict):
        assert verdicts(stated(slow_wave_pct=slow), LIGHT)["argument"][0] == verdict

    def test_an_argument_is_answered_by_a_ground_and_not_by_a_phrase(self):
        n1 = {"rule": " N1.1: low-amplitude theta or mixed-frequency activity", "stage": " N1"}
        empty = stated(**n1, excluded_1=" N2: less typical overall", excluded_2=" W: spindle")
        ground = stated(**n1, excluded_1=" N2: none in the first half", excluded_2=" W: spindle")
        assert verdicts(empty, LIGHT)["argument"][0] == "contradicted"
        assert verdicts(ground, LIGHT)["argument"][0] == "supported"

    def test_claims_of_the_night_are_held_against_its_record(self):
        record = NightContext((Stage.N2,), 2)
        text = compose(LIGHT, Stage.N2, context=record)
        own = {c.claim.kind: str(c.verdict) for c in check(parse(text), LIGHT, record)}
        other = {c.claim.kind: str(c.verdict) for c in check(parse(text), LIGHT, NightContext((Stage.W,)))}
        assert (own["previous"], own["course"]) == ("supported", "supported")
        assert (other["previous"], other["course"]) == ("contradicted", "contradicted")
        assert not {"previous", "course"} & {c.claim.kind for c in check(parse(text), LIGHT)}

    def test_a_rule_is_checked_by_its_conditions(self):
        text = stated(rule=" N3.1: slow waves in 20 % or more")
        assert verdicts(text, DEEP)["rule"] == ("supported", "supported")
        assert verdicts(text, LIGHT)["rule"] == ("contradicted", "contradicted")
        assert verdicts(text, replace(LIGHT, slow_wave_share=0.16))["rule"] == ("supported", "contradicted")

    def test_a_reason_is_checked_by_its_conditions(self):
        text = stated(excluded_1=" W: almost no alpha", excluded_2=" R: K-complex")
        found = [f for f in check(parse(text), RELAXED) if f.claim.kind == "excluded"]
        assert [str(f.verdict) for f in found] == ["contradicted", "contradicted"]
        assert [f.measured for f in found] == ["alpha in 83 %", "clear K-complexes: 0"]

    def test_what_states_nothing_measurable_is_not_checked(self):
        text = stated(
            rule=" R.0: no sign of R is measured",
            excluded_1=" W: less typical overall",
            excluded_2=" N1: less typical overall",
        )
        assert [found.claim.kind for found in check(parse(text), LIGHT)] == [
            "rhythm",
            "alpha",
            "spindles",
            "k_complexes",
            "slow_wave_pct",
            "amplitude_uv",
            "argument",
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
    # The argument is a claim about the text: what an expert scored need not follow from what is measured.
    checks = [
        c
        for text, found in zip(texts, findings, strict=True)
        for c in check(parse(text), found)
        if c.claim.kind != "argument"
    ]
    return float(np.mean([c.verdict == "supported" for c in checks]))
