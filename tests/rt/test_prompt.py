"""The prompt: shared prefix, two questions, answers in segments."""

from __future__ import annotations

import json

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from eegvlm_rt.errors import InputError, RationaleError
from eegvlm_rt.findings import Findings, Rhythm
from eegvlm_rt.prompt import Mode, PromptSpec
from eegvlm_rt.rationale import choices, compose
from eegvlm_rt.stages import STAGES, Stage

SPEC = PromptSpec()
LIGHT = choices(Findings(Rhythm.THETA, 0.0, 1, 0, 0.0, 50.0), Stage.N2)


def byte_tokenizer(*words: str) -> Tokenizer:
    """Byte-level tokenizer with the special tokens and some whole words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*SPEC.special_tokens, *alphabet])}
    merges = []
    for word in words:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append((word[: end - 1], word[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPEC.special_tokens])
    return tokenizer


STAGE_WORDS = ("ĠW", "ĠN1", "ĠN2", "ĠN3", "ĠR")


def test_both_questions_share_the_visual_prefix():
    direct, cot = (SPEC.segments(mode, visual_tokens=3) for mode in (Mode.DIRECT, Mode.COT))
    assert direct[:4] == cot[:4] == ["<s>", "<image>", "<image>", "<image>"]
    assert direct[4].endswith("\nStage:")
    assert cot[4].endswith("\n")


def test_a_system_text_comes_first():
    assert PromptSpec(system="You read EEG.").prefix_segments() == ["<s>", "You read EEG."]


@pytest.mark.parametrize("stage", STAGES)
def test_a_direct_answer_is_one_segment_and_the_end(stage):
    assert SPEC.segments(Mode.DIRECT, stage)[-2:] == [f" {stage.name}", "</s>"]


def test_a_rationale_is_answered_part_by_part():
    answer = SPEC.answer_segments(Mode.COT, LIGHT)
    assert "".join(answer[:-1]) == compose(Findings(Rhythm.THETA, 0.0, 1, 0, 0.0, 50.0), Stage.N2)
    assert len(answer) == 22
    assert answer[-3:] == [" N2", ".", "</s>"]


def test_an_answer_must_fit_the_mode():
    with pytest.raises(InputError, match="answer"):
        SPEC.segments(Mode.DIRECT, LIGHT)
    with pytest.raises(InputError, match="answer"):
        SPEC.segments(Mode.COT, Stage.N2)
    with pytest.raises(RationaleError, match="stage"):
        SPEC.segments(Mode.COT, {**LIGHT, "stage": " N4"})


def test_the_head_asks_no_question():
    with pytest.raises(InputError, match="direct and cot"):
        SPEC.question(Mode.HEAD)


@pytest.mark.parametrize(("text", "mode"), [("head", Mode.HEAD), ("direct", Mode.DIRECT), ("cot", Mode.COT)])
def test_modes_are_named(text, mode):
    assert Mode.parse(text) is mode


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match="head, direct or cot"):
        Mode.parse("COT ")


def test_ids_are_joined_segment_by_segment():
    tokenizer = byte_tokenizer(*STAGE_WORDS)
    segments = SPEC.segments(Mode.DIRECT, Stage.N2, visual_tokens=2)
    ids = SPEC.encode(tokenizer, segments)
    bos, image, eos, n2 = (tokenizer.token_to_id(token) for token in ("<s>", "<image>", "</s>", "ĠN2"))
    assert ids[:3] == [bos, image, image]
    assert ids[-2:] == [n2, eos]
    assert ids[3:-2] == tokenizer.encode(SPEC.direct_question, add_special_tokens=False).ids


def test_each_stage_answer_is_one_token_of_its_own():
    tokenizer = byte_tokenizer(*STAGE_WORDS)
    assert SPEC.stage_token_ids(tokenizer) == tuple(tokenizer.token_to_id(word) for word in STAGE_WORDS)


def test_a_tokenizer_that_splits_a_stage_answer_is_refused():
    with pytest.raises(InputError, match=" N3; every stage answer must be one token"):
        SPEC.stage_token_ids(byte_tokenizer("ĠW", "ĠN1", "ĠN2", "ĠR"))


def test_a_tokenizer_without_the_special_tokens_is_refused():
    with pytest.raises(InputError, match="special token"):
        PromptSpec(image="<picture>").encode(byte_tokenizer(), ["<picture>"])


def test_a_spec_survives_json():
    spec = PromptSpec(system="a", direct_question="b\n")
    assert PromptSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("change", [{"extra": "x"}, {"bos": 1}, {"system": None}])
def test_a_damaged_spec_is_refused(change):
    with pytest.raises(InputError, match="prompt"):
        PromptSpec.from_dict({**SPEC.to_dict(), **change})


def test_a_prompt_older_than_the_versions_of_the_grammar_has_the_first():
    fields = PromptSpec().to_dict()
    assert fields.pop("grammar") == "2"
    assert PromptSpec.from_dict(fields).grammar == "1"
