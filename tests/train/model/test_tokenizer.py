"""The tokenizer: small, the same every time, whole words of the grammar, any text at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from eegvlm_train.model.tokenizer import MAX_VOCABULARY, build_tokenizer, corpus, main, model_vocabulary
from tokenizers import Tokenizer

from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.rationale import GRAMMAR, RULES, SLOTS, Slot


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_tokenizer()


def test_it_is_the_same_every_time(tokenizer: Tokenizer) -> None:
    assert build_tokenizer().to_str() == tokenizer.to_str()


def test_it_is_small(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() <= model_vocabulary(tokenizer) <= MAX_VOCABULARY
    assert model_vocabulary(tokenizer) % 64 == 0


def test_special_tokens_take_the_ids_the_presets_name(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in ("<pad>", "<s>", "</s>", "<image>")] == [0, 1, 2, 3]


def test_every_stage_answer_is_one_token(tokenizer: Tokenizer) -> None:
    assert len(set(PromptSpec().stage_token_ids(tokenizer))) == 5


def test_every_word_of_the_grammar_is_one_token(tokenizer: Tokenizer) -> None:
    for text in corpus(PromptSpec()):
        words = len(text.replace("\n", " \n ").split(" "))
        assert len(tokenizer.encode(text, add_special_tokens=False).ids) <= words


def test_rules_differ_in_their_first_token(tokenizer: Tokenizer) -> None:
    firsts = {tokenizer.encode(choice, add_special_tokens=False).ids[0] for choice in SLOTS["rule"].choices}
    assert len(firsts) == len(RULES)


def test_segments_and_any_other_text_survive_the_round_trip(tokenizer: Tokenizer) -> None:
    texts = [part.choices[0] if isinstance(part, Slot) else part.text for part in GRAMMAR]
    for text in [*texts, "Schlafstadium «N2»?", "\t\n  \u00b5V 100 %", "睡眠"]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_the_command_writes_a_file_the_runtime_can_read(
    tokenizer: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "tokenizer.json")]) == 0
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).to_str() == tokenizer.to_str()
    assert f"{tokenizer.get_vocab_size()} tokens" in capsys.readouterr().out
