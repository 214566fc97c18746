"""What a text leaves open at its next slot, given what it says already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.findings import Findings
from eegvlm_rt.rationale import REASONS, RULES, SLOTS, NightContext, choices
from eegvlm_rt.rationale.consistency import consistent_choices
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.rationale.rationale_samples import (
    DEEP,
    LIGHT,
    QUIET,
    RELAXED,
    all_choices,
    all_findings,
    contexts,
    stages,
)

CONCLUSION = ("rule", "excluded_1", "excluded_2", "stage")
WITHOUT_RULE = [rule.text for rule in RULES.values() if not rule.conditions]


def left_open(slot: str, statements: dict[str, str], stage: Stage) -> list[str]:
    """Texts of the choices that are left, without their leading space."""
    left = consistent_choices(slot, statements, stage)
    assert left is not None
    return [SLOTS[slot].choices[index].strip() for index in sorted(left)]


class TestFindings:
    @pytest.mark.parametrize("slot", [name for name in SLOTS if name not in CONCLUSION])
    def test_every_finding_stays_open(self, slot: str) -> None:
        assert consistent_choices(slot, {}, Stage.N2) is None


class TestRule:
    def test_is_of_the_stage_that_was_decided(self) -> None:
        for stage in STAGES:
            assert all(
                text.startswith(f"{stage.name}.") for text in left_open("rule", choices(QUIET, stage), stage)
            )

    def test_does_not_cite_an_event_that_the_text_denies(self) -> None:
        texts = left_open("rule", choices(QUIET, Stage.N2), Stage.N2)
        assert not any(text.startswith(("N2.1", "N2.2", "N2.3", "N2.4")) for text in texts)

    def test_cites_slow_waves_where_the_text_states_them_alone(self) -> None:
        assert "N3.1: slow waves in 20 % or more" in left_open("rule", choices(DEEP, Stage.N3), Stage.N3)
        assert "N3.1: slow waves in 20 % or more" not in left_open("rule", choices(QUIET, Stage.N3), Stage.N3)

    def test_continues_a_stage_where_the_record_says_so_alone(self) -> None:
        after = NightContext().after(LIGHT, Stage.N2)
        with_record = left_open("rule", choices(QUIET, Stage.N2, context=after), Stage.N2)
        alone = left_open("rule", choices(QUIET, Stage.N2), Stage.N2)
        assert "N2.5: N2 continues, no arousal since" in with_record
        assert "N2.5: N2 continues, no arousal since" not in alone

    def test_what_the_text_does_not_speak_of_stays_open(self) -> None:
        assert any(text.startswith("W.3") for text in left_open("rule", choices(QUIET, Stage.W), Stage.W))

    @given(all_choices, stages)
    def test_there_is_always_one(self, statements: dict[str, str], stage: Stage) -> None:
        assert set(left_open("rule", statements, stage)) & set(WITHOUT_RULE)


class TestReasons:
    @given(all_choices, stages)
    def test_exclude_two_other_stages(self, statements: dict[str, str], stage: Stage) -> None:
        first = left_open("excluded_1", statements, stage)
        assert first
        assert all(REASONS[text].stage is not stage for text in first)
        for text in first:
            second = left_open("excluded_2", {**statements, "excluded_1": f" {text}"}, stage)
            assert second
            assert all(REASONS[one].stage not in (stage, REASONS[text].stage) for one in second)

    def test_answer_a_stage_that_the_numbers_argue_for_first(self) -> None:
        for text in left_open("excluded_1", choices(LIGHT, Stage.W), Stage.W):
            assert REASONS[text].stage is Stage.N2

    def test_answer_it_with_the_ground_that_the_text_states(self) -> None:
        both = {**choices(LIGHT, Stage.N3), "slow_wave_pct": " 40"}
        assert left_open("excluded_1", both, Stage.N3) == ["N2: slow waves in 20 % or more"]

    def test_have_a_ground_that_the_text_does_not_deny(self) -> None:
        texts = left_open("excluded_1", choices(RELAXED, Stage.N1), Stage.N1)
        assert "W: almost no alpha" not in texts
        assert "W: slow waves in 20 % or more" not in texts


class TestStage:
    @given(all_choices, stages)
    def test_is_that_of_the_rule(self, statements: dict[str, str], stage: Stage) -> None:
        assert left_open("stage", statements, stage) == [stage.name]


@given(all_findings, stages, st.none() | stages, st.none() | contexts)
def test_a_text_that_is_composed_of_measurements_is_always_left_open(
    findings: Findings, stage: Stage, runner_up: Stage | None, context: NightContext | None
) -> None:
    statements = choices(findings, stage, runner_up, context)
    for slot in CONCLUSION:
        assert statements[slot].strip() in left_open(slot, statements, stage)
