"""A rationale read back: claims with types, errors where a text leaves the grammar."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import RationaleError
from eegvlm_rt.rationale import (
    RULES,
    Claim,
    check,
    choices,
    compose,
    parse,
    parse_choices,
    segments,
)
from eegvlm_rt.stages import Stage
from tests.rt.rationale.rationale_samples import (
    LIGHT,
    all_choices,
    stated,
)

FIRST = (
    "Step 1, background: theta activity, alpha in about 0 % of the epoch.\n"
    "Step 2, events: two spindles; one K-complex.\n"
    "Step 3, slow waves: about 10 % of the epoch; amplitude about 70 µV.\n"
    "Step 4, rule: N2.3: spindle and K-complex present. "
    "Excluded: N1: spindle present; N3: slow waves below 20 %.\n"
    "Step 5, conclusion: the stage is N2."
)


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
            Claim("alpha", "less than 10 %"),
            Claim("spindles", "one or two spindles"),
            Claim("k_complexes", "one or more K-complexes"),
            Claim("slow_wave_pct", 10),
            Claim("amplitude_uv", 70),
            Claim("rule", "N2.3"),
            Claim("excluded", "N1: spindle"),
            Claim("excluded", "N3: slow waves below 20 %"),
            Claim("argument", "N2"),
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
            (compose(LIGHT, Stage.N2).replace("theta", "gamma"), 11),
            (compose(LIGHT, Stage.N2)[:-1], len(compose(LIGHT, Stage.N2)) - 4),
            (compose(LIGHT, Stage.N2) + " And more.", len(compose(LIGHT, Stage.N2))),
            (compose(LIGHT, Stage.N2).replace("about 10 %", "about 11 %"), 124),
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
            rationale = parse(changed)
        except RationaleError as error:
            position = error.position
        else:
            position = 0
            assert "".join(segments(parse_choices(changed))) == rationale.text == changed.strip()
        assert 0 <= position <= len(changed)

    @given(st.text(max_size=300))
    def test_any_text_is_refused_in_good_order(self, text):
        with pytest.raises(RationaleError):
            parse(text)

    def test_a_text_of_the_first_version_is_still_read(self):
        rationale = parse(FIRST)
        assert rationale.claims[:3] == (Claim("rhythm", "theta"), Claim("alpha_pct", 0), Claim("spindles", 2))
        assert rationale.rule.id == "N2.3"
        assert {str(one.verdict) for one in check(rationale, LIGHT)} == {"supported"}
        assert "".join(segments(parse_choices(FIRST))) == FIRST

    def test_a_very_long_text_is_refused_without_being_repeated(self):
        with pytest.raises(RationaleError) as caught:
            parse("Step 1, background:" + " theta" * 100_000)
        assert len(str(caught.value)) < 400

    def test_a_rationale_survives_pickling(self):
        rationale = parse(compose(LIGHT, Stage.N2))
        assert pickle.loads(pickle.dumps(rationale)) == rationale
