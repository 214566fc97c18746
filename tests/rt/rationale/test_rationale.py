"""Rationales: one grammar, written from findings, read back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.findings import Findings, Rhythm
from eegvlm_rt.rationale import (
    GRAMMAR,
    NIGHT_GRAMMAR,
    REASONS,
    RULES,
    SLOTS,
    Literal,
    NightContext,
    Slot,
    argued_stages,
    check,
    choices,
    choose_reason,
    choose_rule,
    compose,
    parse,
    parse_choices,
    unanswered_stages,
)
from eegvlm_rt.rationale.values import alpha_class, k_complex_class, quantized, spindle_class
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.rationale.rationale_samples import (
    ALERT,
    DEEP,
    LIGHT,
    QUIET,
    RELAXED,
    all_findings,
    contexts,
    stages,
)


class TestGrammar:
    def test_literals_and_slots_alternate_and_literals_close_every_slot(self):
        for parts, slots in ((GRAMMAR, 10), (NIGHT_GRAMMAR, 12)):
            assert [type(part) for part in parts[::2]] == [Literal] * (slots + 1)
            assert [type(part) for part in parts[1::2]] == [Slot] * slots

    def test_slot_names_are_those_the_decoder_relies_on(self):
        assert tuple(SLOTS) == (
            "rhythm",
            "alpha",
            "spindles",
            "k_complexes",
            "slow_wave_pct",
            "amplitude_uv",
            "previous",
            "course",
            "rule",
            "excluded_1",
            "excluded_2",
            "stage",
        )

    @pytest.mark.parametrize("slot", SLOTS.values(), ids=lambda slot: slot.name)
    def test_no_choice_is_a_prefix_of_another_once_its_literal_follows(self, slot):
        after = NIGHT_GRAMMAR[NIGHT_GRAMMAR.index(slot) + 1].text
        ended = [choice + after for choice in slot.choices]
        assert len(set(slot.choices)) == len(slot.choices)
        for one in ended:
            assert [other for other in ended if one.startswith(other)] == [one]

    @pytest.mark.parametrize("slot", SLOTS.values(), ids=lambda slot: slot.name)
    def test_every_choice_brings_its_own_leading_space(self, slot):
        for choice in slot.choices:
            assert choice == f" {choice.strip()}"

    def test_lists_of_choices_stay_small(self):
        assert len(SLOTS["rule"].choices) <= 26
        assert len(SLOTS["excluded_1"].choices) <= 30

    def test_the_stage_slot_is_the_last(self):
        before, stage, after = GRAMMAR[-3:]
        assert before.text.endswith("Stage:")
        assert stage.choices == (" W", " N1", " N2", " N3", " R")
        assert after.text == "."

    def test_a_step_a_line_and_context_only_with_a_record(self):
        names = ["Background", "Events", "Slow waves", "Rule", "Stage"]
        assert [line.partition(":")[0] for line in compose(LIGHT, Stage.N2).split("\n")] == names
        lines = compose(LIGHT, Stage.N2, context=NightContext()).split("\n")
        assert [line.partition(":")[0] for line in lines] == [*names[:3], "Context", *names[3:]]


class TestCompose:
    def test_a_text_reads_like_this(self):
        assert compose(LIGHT, Stage.N2, Stage.N1) == (
            "Background: theta activity, alpha in less than 10 %.\n"
            "Events: one or two spindles; one or more K-complexes.\n"
            "Slow waves: about 10 %; amplitude about 70 µV.\n"
            "Rule: N2.3: spindle and K-complex. Excluded: N1: spindle; N3: slow waves below 20 %.\n"
            "Stage: N2."
        )

    @given(all_findings, stages, st.none() | stages)
    def test_every_composed_text_reads_back_to_the_same_choices(self, findings, stage, runner_up):
        chosen = choices(findings, stage, runner_up)
        text = compose(findings, stage, runner_up)
        assert parse_choices(text) == chosen
        assert parse(text).stage is stage

    @given(all_findings, stages, st.none() | stages)
    def test_a_composed_text_is_consistent_and_strictly_true_of_its_findings(
        self, findings, stage, runner_up
    ):
        rationale = parse(compose(findings, stage, runner_up))
        assert rationale.consistent
        checks = [one for one in check(rationale, findings) if one.claim.kind != "argument"]
        assert {str(found.verdict) for found in checks} == {"supported"}
        assert {str(found.strict) for found in checks} == {"supported"}

    @given(all_findings, stages, st.none() | stages, contexts)
    def test_a_text_with_the_nights_record_is_strictly_true_of_it(self, findings, stage, runner_up, context):
        text = compose(findings, stage, runner_up, context)
        assert parse_choices(text) == choices(findings, stage, runner_up, context)
        checks = [one for one in check(parse(text), findings, context) if one.claim.kind != "argument"]
        assert {str(one.strict) for one in checks} == {"supported"}
        assert {"previous", "course"} <= {one.claim.kind for one in checks}

    @given(all_findings, stages, st.none() | stages, st.none() | contexts)
    def test_a_composed_reason_never_argues_for_another_stage(self, findings, stage, runner_up, context):
        rationale = parse(compose(findings, stage, runner_up, context))
        if not rationale.rule.id.endswith(".0"):
            assert unanswered_stages(rationale) == ()

    @given(all_findings, stages, st.none() | stages)
    def test_the_runner_up_is_the_first_stage_excluded_unless_another_is_argued_for(
        self, findings, stage, runner_up
    ):
        excluded = parse(compose(findings, stage, runner_up)).excluded_stages
        assert stage not in excluded
        assert excluded[0] is not excluded[1]
        argued = argued_stages(
            spindle_class(findings),
            k_complex_class(findings),
            alpha_class(findings),
            quantized("slow_wave_pct", findings),
        )
        if runner_up is not None and runner_up is not stage and not argued - {stage, runner_up}:
            assert excluded[0] is runner_up

    @pytest.mark.parametrize(
        ("findings", "stage", "rule"),
        [
            (RELAXED, Stage.W, "W.1"),
            (ALERT, Stage.W, "W.2"),
            (replace(QUIET, muscle_share=0.6), Stage.W, "W.3"),
            (replace(QUIET, deflection_share=0.2), Stage.W, "W.4"),
            (replace(QUIET, muscle_share=0.4, alpha_share=0.2), Stage.W, "W.5"),
            (replace(QUIET, muscle_share=0.2), Stage.W, "W.6"),
            (QUIET, Stage.W, "W.0"),
            (DEEP, Stage.W, "W.0"),
            (QUIET, Stage.N1, "N1.1"),
            (replace(QUIET, rhythm=Rhythm.ALPHA, alpha_share=0.3), Stage.N1, "N1.2"),
            (DEEP, Stage.N1, "N1.0"),
            (LIGHT, Stage.N1, "N1.0"),
            (replace(LIGHT, early_events=0), Stage.N1, "N1.1"),
            (LIGHT, Stage.N2, "N2.3"),
            (replace(LIGHT, spindles=0), Stage.N2, "N2.1"),
            (replace(LIGHT, k_complexes=0), Stage.N2, "N2.2"),
            (replace(QUIET, spindle_range=(0, 1)), Stage.N2, "N2.4"),
            (QUIET, Stage.N2, "N2.6"),
            (RELAXED, Stage.N2, "N2.0"),
            (DEEP, Stage.N3, "N3.1"),
            (replace(DEEP, spindles=0, slow_wave_share=0.18, early_events=0), Stage.N3, "N3.2"),
            (LIGHT, Stage.N3, "N3.0"),
            (QUIET, Stage.R, "R.1"),
            (ALERT, Stage.R, "R.2"),
            (LIGHT, Stage.R, "R.0"),
        ],
    )
    def test_the_rule_is_the_strongest_that_is_true(self, findings, stage, rule):
        assert choose_rule(findings, stage).id == rule

    @pytest.mark.parametrize(
        ("findings", "stage", "reason"),
        [
            (LIGHT, Stage.W, "W: spindle"),
            (QUIET, Stage.W, "W: almost no alpha"),
            (replace(QUIET, alpha_share=0.3), Stage.W, "W: alpha in less than half"),
            (RELAXED, Stage.N1, "N1: alpha in half of the epoch or more"),
            (ALERT, Stage.R, "R: low-voltage fast activity"),
            (QUIET, Stage.N2, "N2: no spindle or K-complex"),
            (DEEP, Stage.N2, "N2: slow waves in 20 % or more"),
            (replace(LIGHT, early_events=0), Stage.N2, "N2: none in the first half"),
            (LIGHT, Stage.N3, "N3: slow waves below 20 %"),
            (DEEP, Stage.N3, "N3: less typical overall"),
            (QUIET, Stage.R, "R: less typical overall"),
        ],
    )
    def test_the_reason_is_the_strongest_that_is_true(self, findings, stage, reason):
        assert choose_reason(findings, stage).text == reason

    @pytest.mark.parametrize(
        ("context", "stage", "rule"),
        [
            (NightContext((Stage.N2,), 3), Stage.N2, "N2.5"),
            (NightContext((Stage.N3,), 1), Stage.N2, "N2.5"),
            (NightContext((Stage.N2,), 3, True), Stage.N2, "N2.6"),
            (NightContext((Stage.W,), None, True), Stage.N2, "N2.6"),
            (NightContext((Stage.R,)), Stage.R, "R.3"),
            (NightContext((Stage.R,), None, True), Stage.R, "R.1"),
            (NightContext((Stage.N2,), 1), Stage.R, "R.1"),
        ],
    )
    def test_a_stage_continues_until_an_arousal(self, context, stage, rule):
        assert choose_rule(QUIET, stage, context).id == rule

    def test_after_an_arousal_sleep_is_n1_until_a_spindle_or_k_complex(self):
        loud = replace(QUIET, amplitude_uv=90.0)
        assert choose_rule(loud, Stage.N1, NightContext((Stage.N2,), 2, True)).id == "N1.3"
        assert choose_rule(loud, Stage.N1, NightContext((Stage.N2,), 2)).id == "N1.0"

    def test_every_rule_and_reason_can_be_chosen(self):
        grid = [
            Findings(
                rhythm,
                alpha,
                spindles,
                k_complexes,
                slow,
                amplitude,
                spindle_range=(spindles, max(1, spindles)) if doubt else None,
                muscle_share=muscle,
                deflection_share=0.15 * early,
                early_events=early * (spindles + k_complexes),
            )
            for rhythm in Rhythm
            for alpha in (0.0, 0.3, 0.8)
            for spindles in (0, 1)
            for k_complexes in (0, 1)
            for slow in (0.0, 0.5)
            for amplitude in (40.0, 120.0)
            for muscle in (0.0, 0.3, 0.7)
            for early in (0, 1)
            for doubt in (False, True)
        ]
        records = [
            None,
            NightContext((Stage.N2,), 1),
            NightContext((Stage.R,)),
            NightContext((Stage.N2,), 1, True),
        ]
        rules = {choose_rule(f, stage, c).id for f in grid for stage in STAGES for c in records}
        assert rules == set(RULES)
        reasons = {
            choose_reason(f, stage, argued=argued).text
            for f in grid
            for stage in STAGES
            for argued in (False, True)
        }
        assert reasons == set(REASONS)

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0.0, " 0"), (0.199, " 15"), (0.2, " 20"), (0.224, " 20"), (0.23, " 25"), (1.0, " 100")],
    )
    def test_a_share_is_never_rounded_across_the_bound_of_a_rule(self, share, text):
        assert choices(replace(QUIET, slow_wave_share=share), Stage.N2)["slow_wave_pct"] == text

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0.0, " less than 10 %"), (0.0999, " less than 10 %"), (0.1, " 10 to 50 %"), (0.5, " 50 % or more")],
    )
    def test_nor_is_an_alpha_share(self, share, text):
        assert choices(replace(QUIET, alpha_share=share), Stage.W)["alpha"] == text

    @pytest.mark.parametrize(
        ("uv", "text"), [(0, " 10"), (44, " 40"), (74.9, " 70"), (75, " 80"), (9e4, " 200")]
    )
    def test_nor_is_an_amplitude(self, uv, text):
        assert choices(replace(QUIET, amplitude_uv=uv), Stage.W)["amplitude_uv"] == text

    @pytest.mark.parametrize(
        ("count", "around", "text"),
        [
            (0, None, " no spindle"),
            (0, (0, 1), " a doubtful spindle"),
            (1, (0, 2), " a doubtful spindle"),
            (1, None, " one or two spindles"),
            (2, (1, 4), " one or two spindles"),
            (3, (1, 3), " three or more spindles"),
            (9, None, " three or more spindles"),
        ],
    )
    def test_a_count_is_stated_as_surely_as_the_detector_knows_it(self, count, around, text):
        chosen = choices(replace(QUIET, spindles=count, spindle_range=around), Stage.N2)
        assert chosen["spindles"] == text


class TestRules:
    def test_ids_begin_with_their_stage_and_every_stage_has_a_pattern_rule(self):
        for rule in RULES.values():
            assert rule.id.partition(".")[0] == rule.stage.name
        assert {f"{stage.name}.0" for stage in STAGES} <= set(RULES)

    def test_every_rule_names_its_source(self):
        assert all(rule.source.startswith("AASM manual v3, adult stage") for rule in RULES.values())
