"""Rationales: one grammar, written from findings, read back."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import RationaleError
from eegvlm_rt.evidence import Findings, Rhythm
from eegvlm_rt.rationale import (
    GRAMMAR,
    REASONS,
    RULES,
    SLOTS,
    Claim,
    Literal,
    Slot,
    check,
    choices,
    choose_reason,
    choose_rule,
    compose,
    parse,
    parse_choices,
    segments,
)
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.rationale_samples import (
    ALERT,
    DEEP,
    LIGHT,
    QUIET,
    RELAXED,
    all_choices,
    all_findings,
    stages,
    stated,
)


class TestGrammar:
    def test_literals_and_slots_alternate_and_literals_close_every_slot(self):
        assert [type(part) for part in GRAMMAR[::2]] == [Literal] * 11
        assert [type(part) for part in GRAMMAR[1::2]] == [Slot] * 10

    def test_slot_names_are_those_the_decoder_relies_on(self):
        assert tuple(SLOTS) == (
            "rhythm",
            "alpha_pct",
            "spindles",
            "k_complexes",
            "slow_wave_pct",
            "amplitude_uv",
            "rule",
            "excluded_1",
            "excluded_2",
            "stage",
        )

    @pytest.mark.parametrize("slot", SLOTS.values(), ids=lambda slot: slot.name)
    def test_no_choice_is_a_prefix_of_another_once_its_literal_follows(self, slot):
        after = GRAMMAR[GRAMMAR.index(slot) + 1].text
        ended = [choice + after for choice in slot.choices]
        assert len(set(slot.choices)) == len(slot.choices)
        for one in ended:
            assert [other for other in ended if one.startswith(other)] == [one]

    @pytest.mark.parametrize("slot", SLOTS.values(), ids=lambda slot: slot.name)
    def test_every_choice_brings_its_own_leading_space(self, slot):
        for choice in slot.choices:
            assert choice == f" {choice.strip()}"

    def test_lists_of_choices_stay_small(self):
        assert len(SLOTS["rule"].choices) <= 14
        assert len(SLOTS["excluded_1"].choices) <= 30

    def test_the_stage_slot_is_the_last_and_follows_is(self):
        before, stage, after = GRAMMAR[-3:]
        assert before.text.endswith("is")
        assert stage.choices == (" W", " N1", " N2", " N3", " R")
        assert after.text == "."

    def test_five_steps_on_five_lines(self):
        lines = compose(LIGHT, Stage.N2).split("\n")
        assert [line.split(",")[0].split(" slow")[0] for line in lines[:2]] == ["Step 1", "Step 2"]
        assert [line[:6] for line in lines] == [f"Step {i}" for i in range(1, 6)]


class TestCompose:
    def test_a_text_reads_like_this(self):
        assert compose(LIGHT, Stage.N2, Stage.N1) == (
            "Step 1, background: theta activity, alpha in about 0 % of the epoch.\n"
            "Step 2, events: two spindles; one K-complex.\n"
            "Step 3, slow waves: about 10 % of the epoch; amplitude about 70 µV.\n"
            "Step 4, rule: N2.3: spindle and K-complex present. "
            "Excluded: N1: spindle present; N3: slow waves below 20 %.\n"
            "Step 5, conclusion: the stage is N2."
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
        checks = check(rationale, findings)
        assert {str(found.verdict) for found in checks} == {"supported"}
        assert {str(found.strict) for found in checks} == {"supported"}

    @given(all_findings, stages, st.none() | stages)
    def test_the_runner_up_is_the_first_stage_excluded_and_never_the_stage_itself(
        self, findings, stage, runner_up
    ):
        excluded = parse(compose(findings, stage, runner_up)).excluded_stages
        assert stage not in excluded
        assert excluded[0] is not excluded[1]
        if runner_up is not None and runner_up is not stage:
            assert excluded[0] is runner_up

    @pytest.mark.parametrize(
        ("findings", "stage", "rule"),
        [
            (RELAXED, Stage.W, "W.1"),
            (ALERT, Stage.W, "W.2"),
            (QUIET, Stage.W, "W.0"),
            (QUIET, Stage.N1, "N1.1"),
            (DEEP, Stage.N1, "N1.0"),
            (LIGHT, Stage.N2, "N2.3"),
            (replace(LIGHT, spindles=0), Stage.N2, "N2.1"),
            (replace(LIGHT, k_complexes=0), Stage.N2, "N2.2"),
            (QUIET, Stage.N2, "N2.0"),
            (DEEP, Stage.N3, "N3.1"),
            (LIGHT, Stage.N3, "N3.0"),
            (QUIET, Stage.R, "R.1"),
            (LIGHT, Stage.R, "R.0"),
        ],
    )
    def test_the_rule_is_the_strongest_that_is_true(self, findings, stage, rule):
        assert choose_rule(findings, stage).id == rule

    @pytest.mark.parametrize(
        ("findings", "stage", "reason"),
        [
            (LIGHT, Stage.W, "W: spindle present"),
            (QUIET, Stage.W, "W: no alpha rhythm"),
            (replace(QUIET, alpha_share=0.3), Stage.W, "W: alpha in less than half"),
            (RELAXED, Stage.N1, "N1: alpha in more than half"),
            (ALERT, Stage.R, "R: low-voltage fast activity"),
            (QUIET, Stage.N2, "N2: no spindle or K-complex"),
            (DEEP, Stage.N2, "N2: slow waves in 20 % or more"),
            (LIGHT, Stage.N3, "N3: slow waves below 20 %"),
            (DEEP, Stage.N3, "N3: less typical overall"),
            (QUIET, Stage.R, "R: less typical overall"),
        ],
    )
    def test_the_reason_is_the_strongest_that_is_true(self, findings, stage, reason):
        assert choose_reason(findings, stage).text == reason

    def test_every_rule_and_reason_can_be_chosen(self):
        grid = [
            Findings(rhythm, alpha, spindles, k_complexes, slow, amplitude)
            for rhythm in Rhythm
            for alpha in (0.0, 0.3, 0.8)
            for spindles in (0, 1)
            for k_complexes in (0, 1)
            for slow in (0.0, 0.5)
            for amplitude in (40.0, 120.0)
        ]
        assert {choose_rule(found, stage).id for found in grid for stage in STAGES} == set(RULES)
        assert {choose_reason(found, stage).text for found in grid for stage in STAGES} == set(REASONS)

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0.0, " 0"), (0.199, " 15"), (0.2, " 20"), (0.224, " 20"), (0.23, " 25"), (1.0, " 100")],
    )
    def test_a_share_is_never_rounded_across_the_bound_of_a_rule(self, share, text):
        assert choices(replace(QUIET, slow_wave_share=share), Stage.N2)["slow_wave_pct"] == text

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0.04, " 0"), (0.09, " 0"), (0.1, " 10"), (0.49, " 40"), (0.5, " 50"), (0.56, " 60")],
    )
    def test_nor_is_an_alpha_share(self, share, text):
        assert choices(replace(QUIET, alpha_share=share), Stage.W)["alpha_pct"] == text

    @pytest.mark.parametrize(
        ("uv", "text"), [(0, " 10"), (44, " 40"), (74.9, " 70"), (75, " 80"), (9e4, " 200")]
    )
    def test_nor_is_an_amplitude(self, uv, text):
        assert choices(replace(QUIET, amplitude_uv=uv), Stage.W)["amplitude_uv"] == text

    def test_the_highest_count_means_or_more(self):
        chosen = choices(replace(QUIET, spindles=9, k_complexes=5), Stage.N2)
        assert chosen["spindles"] == " four or more spindles"
        assert chosen["k_complexes"] == " several K-complexes"


class TestSegments:
    @given(all_choices)
    def test_every_path_of_the_grammar_reads_back(self, chosen):
        text = "".join(segments(chosen))
        assert parse_choices(text) == chosen
        assert parse(text).text == text

    def test_a_missing_or_unknown_choice_is_refused_by_slot(self):
        chosen = choices(LIGHT, Stage.N2)
        with pytest.raises(RationaleError, match="spindles"):
            segments({**chosen, "spindles": " 7 spindles"})
        del chosen["rule"]
        with pytest.raises(RationaleError, match="rule"):
            segments(chosen)


class TestParse:
    def test_claims_are_typed(self):
        rationale = parse(compose(LIGHT, Stage.N2, Stage.N1))
        assert rationale.claims == (
            Claim("rhythm", "theta"),
            Claim("alpha_pct", 0),
            Claim("spindles", 2),
            Claim("k_complexes", 1),
            Claim("slow_wave_pct", 10),
            Claim("amplitude_uv", 70),
            Claim("rule", "N2.3"),
            Claim("excluded", "N1: spindle present"),
            Claim("excluded", "N3: slow waves below 20 %"),
        )
        assert rationale.rule is RULES["N2.3"]
        assert rationale.excluded_stages == (Stage.N1, Stage.N3)
        assert rationale.stage is Stage.N2

    def test_space_around_the_text_does_not_matter(self):
        text = compose(LIGHT, Stage.N2)
        assert parse(f"\n  {text} \n") == parse(text)

    def test_a_rule_of_another_stage_is_inconsistent(self):
        assert not parse(stated(stage=" N3")).consistent

    def test_excluding_the_conclusion_is_inconsistent(self):
        assert not parse(stated(excluded_2=" N2: less typical overall")).consistent

    @pytest.mark.parametrize(
        ("text", "position"),
        [
            ("", 0),
            ("the stage is N2", 0),
            (compose(LIGHT, Stage.N2).replace("theta", "gamma"), 19),
            (compose(LIGHT, Stage.N2)[:-1], len(compose(LIGHT, Stage.N2)) - 4),
            (compose(LIGHT, Stage.N2) + " And more.", len(compose(LIGHT, Stage.N2))),
            (compose(LIGHT, Stage.N2).replace("about 10 %", "about 11 %"), 139),
        ],
    )
    def test_a_text_off_the_grammar_is_refused_where_it_leaves_it(self, text, position):
        with pytest.raises(RationaleError) as caught:
            parse(text)
        assert caught.value.position == position
        assert str(position) in str(caught.value)

    @settings(max_examples=300)
    @given(all_choices, st.data())
    def test_a_changed_text_is_refused_or_is_another_path_of_the_grammar(self, chosen, data):
        text = "".join(segments(chosen))
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        put = data.draw(st.text(alphabet="0123456789NWR .;:%\nµaehlopst", max_size=3))
        changed = text[:at] + put + text[at + cut :]
        try:
            found = parse(changed)
        except RationaleError as error:
            position = error.position
        else:
            position = 0
            assert "".join(segments(parse_choices(changed))) == found.text == changed.strip()
        assert 0 <= position <= len(changed)

    @given(st.text(max_size=300))
    def test_any_text_is_refused_in_good_order(self, text):
        with pytest.raises(RationaleError):
            parse(text)

    def test_a_very_long_text_is_refused_without_being_repeated(self):
        with pytest.raises(RationaleError) as caught:
            parse("Step 1, background:" + " theta" * 100_000)
        assert len(str(caught.value)) < 400

    def test_a_rationale_survives_pickling(self):
        rationale = parse(compose(LIGHT, Stage.N2))
        assert pickle.loads(pickle.dumps(rationale)) == rationale


class TestRules:
    def test_ids_begin_with_their_stage_and_every_stage_has_a_pattern_rule(self):
        for rule in RULES.values():
            assert rule.id.partition(".")[0] == rule.stage.name
        assert {f"{stage.name}.0" for stage in STAGES} <= set(RULES)

    def test_every_rule_names_its_source(self):
        assert all(rule.source.startswith("AASM manual v3, adult stage") for rule in RULES.values())
