"""A rule or reason that the text's own statements hardly carry gives way to one that they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eegvlm_rt.decoding import compile_grammar
from eegvlm_rt.decoding.grammar_tokens import SlotTokens
from eegvlm_rt.decoding.reader import Intake
from eegvlm_rt.decoding.result import Piece
from eegvlm_rt.decoding.stopping import never
from eegvlm_rt.decoding.strategies import talk_constrained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eegvlm_rt.rationale import Rationale

EOS = 0
LIKES = {
    "rhythm": {" theta": 0.99},
    "alpha": {" less than 10 %": 0.99},
    "spindles": {" one or two spindles": 0.98},
    "k_complexes": {" one or more K-complexes": 0.98},
    "slow_wave_pct": {" 5": 0.99},
    "amplitude_uv": {" 60": 0.99},
    "rule": {
        " N2.3: spindle and K-complex": 0.9,
        " N2.0: no sign of N2 is measured": 0.04,
        " N2.2: spindle": 0.03,
    },
    "excluded_1": {" N1: K-complex": 0.8, " N1: less typical overall": 0.1, " N1: spindle": 0.02},
    "excluded_2": {" R: K-complex": 0.8, " R: less typical overall": 0.1, " R: spindle": 0.02},
}


class Words:
    """A tokenizer with one token for each text, so that the first token decides every choice; reasons share
    the token of their stage."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def __call__(self, text: str) -> list[int]:
        stage, colon, ground = text.partition(": ")
        parts = [stage + colon, ground] if colon and "." not in stage and len(stage) < 4 else [text]
        return [self.ids.setdefault(part, len(self.ids) + 1) for part in parts]


def rationale_of(**likes: Mapping[str, float]) -> Rationale:
    """The text of a model that gives the choices of each slot these probabilities, and next to nothing to the
    others."""
    words = Words()
    grammar = compile_grammar(words, EOS)
    talk = talk_constrained(Intake(), grammar, never)
    pieces, answer = 0, None
    try:
        while True:
            item = talk.send(answer)
            if isinstance(item, Piece):
                pieces, answer = pieces + 1, None
                continue
            # A token is as likely as the likeliest choice that it leads to.
            part = grammar.segments[pieces]
            assert isinstance(part, SlotTokens)
            answer = np.full(len(words.ids) + 1, -20.0, np.float32)
            for choice, share in {**LIKES[part.name], **likes.get(part.name, {})}.items():
                ids = list(part.ids[part.choices.index(choice)])
                answer[ids] = np.maximum(answer[ids], np.log(share))
    except StopIteration as end:
        rationale: Rationale | None = end.value.rationale
    assert rationale is not None
    return rationale


def texts(rationale: Rationale) -> list[str]:
    return [rationale.rule.text, *(reason.text for reason in rationale.excluded)]


def test_the_most_probable_rule_and_reasons_stand_where_the_statements_carry_them() -> None:
    assert texts(rationale_of()) == ["N2.3: spindle and K-complex", "N1: K-complex", "R: K-complex"]


DOUBTED = {"k_complexes": {" one or more K-complexes": 0.6, " no K-complex": 0.38}}


def test_the_rule_of_two_events_gives_way_to_that_of_the_surer_one() -> None:
    # Not to N2.0, which is more probable than N2.2: it claims nothing.
    assert rationale_of(**DOUBTED).rule.text == "N2.2: spindle"


def test_a_reason_gives_way_to_a_surer_one_of_the_same_stage() -> None:
    assert texts(rationale_of(**DOUBTED))[1:] == ["N1: spindle", "R: spindle"]


def test_where_no_reason_is_sure_none_is_given() -> None:
    doubted = {**DOUBTED, "spindles": {" one or two spindles": 0.6, " no spindle": 0.38}}
    assert texts(rationale_of(**doubted))[1:] == ["N1: less typical overall", "R: less typical overall"]


def test_a_rule_that_is_not_sure_stands_where_no_other_one_is() -> None:
    # An amplitude at the bound carries no rule of N1 that the statements speak of.
    unsure = {
        "spindles": {" no spindle": 0.99, " one or two spindles": 0.001},
        "k_complexes": {" no K-complex": 0.99, " one or more K-complexes": 0.001},
        "amplitude_uv": {" 70": 0.5, " 60": 0.05, " 90": 0.45},
        "rule": {
            " N1.1: low-amplitude theta or mixed-frequency activity": 0.99,
            " N2.3: spindle and K-complex": 1e-4,
        },
    }
    assert rationale_of(**unsure).rule.text == "N1.1: low-amplitude theta or mixed-frequency activity"


def test_the_stage_does_not_depend_on_what_is_sure() -> None:
    assert rationale_of(**DOUBTED).stage is rationale_of().stage
