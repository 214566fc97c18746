"""A chat model behind the picture: its tokenizer cut down without a change to any text of the grammar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from eegvlm_train.model.language_models import CHAT_PROMPT, fit_language_model, main
from eegvlm_train.model.tokenizer import corpus
from eegvlm_train.model.vocabulary import add_words, pruned
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import eegvlm_rt.rationale.grammar as prose
from eegvlm_rt.prompt import Mode, PromptSpec
from eegvlm_rt.rationale import RULES

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unused>")


def foreign_tokenizer() -> Tokenizer:
    """A byte-level BPE learned from English and code, not from the grammar alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([Path(prose.__file__).read_text(encoding="utf-8")], trainer)
    return tokenizer


FOREIGN = foreign_tokenizer()


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def tiny_llama(*, tied: bool) -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=FOREIGN.get_vocab_size(),
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=3,
        num_key_value_heads=1,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
    )
    return LlamaForCausalLM(config).eval()


def test_a_pruned_tokenizer_cuts_its_texts_as_before() -> None:
    texts = corpus(CHAT_PROMPT)
    small, old = pruned(FOREIGN, texts, SPECIAL[:3])
    assert small.get_vocab_size() == len(old) < FOREIGN.get_vocab_size()
    for text in texts:
        assert [old[token] for token in ids(small, text)] == ids(FOREIGN, text)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=4), st.text(max_size=20))
def test_any_texts_are_cut_as_before_and_any_other_survives(texts: list[str], other: str) -> None:
    small, old = pruned(FOREIGN, texts, SPECIAL[:1])
    for text in texts:
        if not any(token in text for token in SPECIAL):
            assert [old[token] for token in ids(small, text)] == ids(FOREIGN, text)
    assert small.decode(ids(small, other), skip_special_tokens=False) == other


def test_words_become_tokens_of_their_own_where_they_were_not() -> None:
    small, _ = pruned(FOREIGN, corpus(CHAT_PROMPT), SPECIAL[:3])
    single = next(text for text in (" of", " the") if len(ids(small, text)) == 1)
    assert add_words(small, [" N1", single, " N2.1"]) == [" N1", " N2.1"]
    assert [len(ids(small, word)) for word in (" N1", " N2.1", single)] == [1, 1, 1]
    assert small.decode(ids(small, "stage N1, rule N2.1:")) == "stage N1, rule N2.1:"


def test_other_tokenizers_are_refused() -> None:
    words = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    with pytest.raises(ValueError, match="WordLevel over other units than bytes"):
        pruned(words, [], [])
    with pytest.raises(ValueError, match=r"no token <\|no\|>; use one of a chat model"):
        pruned(FOREIGN, [], ["<|no|>"])


@pytest.mark.parametrize("tied", [True, False])
def test_a_fitted_model_speaks_as_before_with_fewer_tokens(tied: bool) -> None:
    model = tiny_llama(tied=tied)
    fitted, small = fit_language_model(model, FOREIGN)
    text = CHAT_PROMPT.question(Mode.COT).replace("N1", "W")
    new, old = ids(small, text), ids(FOREIGN, text)
    with torch.no_grad():
        before = model(input_ids=torch.tensor([old])).logits[..., ids(FOREIGN, "a")]
        after = fitted.eval()(input_ids=torch.tensor([new])).logits[..., ids(small, "a")]
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)
    assert fitted.config.vocab_size % 64 == 0
    assert fitted.config.rope_parameters["rope_theta"] == 5000.0


def test_stages_and_rules_are_single_tokens_that_start_as_the_mean_of_their_pieces() -> None:
    model = tiny_llama(tied=False)
    fitted, small = fit_language_model(model, FOREIGN)
    assert len(set(CHAT_PROMPT.stage_token_ids(small))) == 5
    rules = [ids(small, f" {rule.id}") for rule in RULES.values()]
    assert {len(rule) for rule in rules} == {1}
    rule = next(iter(RULES.values())).id
    pieces = ids(FOREIGN, f" {rule}")
    for now, before in (
        (fitted.get_input_embeddings(), model.get_input_embeddings()),
        (fitted.get_output_embeddings(), model.get_output_embeddings()),
    ):
        torch.testing.assert_close(now.weight[rules[0][0]], before.weight[pieces].mean(0))


def test_the_command_writes_a_folder_that_transformers_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    tiny_llama(tied=True).save_pretrained(source)
    PreTrainedTokenizerFast(tokenizer_object=FOREIGN).save_pretrained(source)
    assert main([str(source), str(out)]) == 0
    assert "tokens" in capsys.readouterr().out
    model = LlamaForCausalLM.from_pretrained(out)
    assert model.dtype == torch.float16
    assert Tokenizer.from_file(str(out / "tokenizer.json")).get_vocab_size() <= model.config.vocab_size
    prompt = PromptSpec.from_dict(json.loads((out / "prompt.json").read_text()))
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    for token in (prompt.image, prompt.night):
        assert ids(tokenizer, token) == [tokenizer.token_to_id(token)]


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.gguf: no GGUF file"):
        main([str(tmp_path / "none.gguf"), str(tmp_path / "out")])
