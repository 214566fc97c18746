"""The tokenizer of an imported model: exact segments, stages and rules as tokens, rows at the mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from eegvlm_export.weights.checkpoint import Checkpoint
from eegvlm_export.weights.llava_config import SpecialTokens
from eegvlm_export.weights.llava_tokens import ImportedTokens, import_tokens
from eegvlm_train.data.texts import AnswerTexts
from eegvlm_train.model.tokenizer import build_tokenizer, corpus
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers

from eegvlm_rt.decoding import compile_grammar
from eegvlm_rt.errors import CheckpointError
from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.rationale import RULES
from tests.export.weights.llava_models import (
    ROWS,
    imported,
    llama_tokenizer,
    random_llava,
    save_llava,
    stored,
)

KINDS = ("normalizer", "metaspace", "bytes")
LLAMA_2 = SpecialTokens((1,), (2,), (0,))
LLAMA_3 = SpecialTokens((0,), (1, 2), ())


def brought(
    folder: Path, tokenizer: Tokenizer, special: SpecialTokens = LLAMA_2, **options: Any
) -> ImportedTokens:
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return import_tokens(folder, special, **options)


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.fixture(scope="module", params=KINDS)
def tokens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ImportedTokens:
    special = LLAMA_3 if request.param == "bytes" else LLAMA_2
    return brought(tmp_path_factory.mktemp("tokens") / "source", llama_tokenizer(request.param), special)


def test_every_segment_comes_back_as_it_was(tokens: ImportedTokens) -> None:
    texts = corpus(tokens.prompt)
    for text in texts:
        assert tokens.tokenizer.decode(ids(tokens.tokenizer, text), skip_special_tokens=False) == text
    joined = [token for text in texts for token in ids(tokens.tokenizer, text)]
    assert tokens.tokenizer.decode(joined, skip_special_tokens=False) == "".join(texts)


def test_stages_are_tokens_and_rules_begin_with_one_of_their_own(tokens: ImportedTokens) -> None:
    texts = AnswerTexts(tokens.tokenizer, tokens.prompt)
    assert len(set(texts.stage_tokens.tolist())) == 5
    assert len(set(texts.rule_tokens.tolist())) == len(RULES)
    compile_grammar(lambda text: ids(tokens.tokenizer, text), texts.eos)


def test_a_stage_is_not_the_beginning_of_a_word(tokens: ImportedTokens) -> None:
    stages = set(tokens.prompt.stage_token_ids(tokens.tokenizer)) & set(tokens.added.values())
    assert stages
    for text in (" REM sleep", " Weak", " N1x"):
        assert not stages & set(ids(tokens.tokenizer, text))


def test_the_prompt_has_the_special_tokens_of_the_model(tmp_path: Path) -> None:
    prompt = brought(tmp_path / "3", llama_tokenizer("bytes"), LLAMA_3).prompt
    assert (prompt.bos, prompt.eos, prompt.pad) == ("<|begin_of_text|>", "<|end_of_text|>", "<pad>")
    assert brought(tmp_path / "2", llama_tokenizer()).prompt == PromptSpec(pad="<unk>")
    # ids that are no special tokens name nothing
    named = brought(tmp_path / "no", llama_tokenizer(), SpecialTokens((300,), (99999,), (2,))).prompt
    assert named == PromptSpec()


def test_a_tokenizer_that_has_all_is_left_alone(tmp_path: Path) -> None:
    tokens = brought(tmp_path, build_tokenizer(), SpecialTokens((1,), (2,), (0,)))
    assert tokens.added == {}
    assert tokens.tokenizer.get_vocab() == build_tokenizer().get_vocab()


def test_padding_and_truncation_of_a_saved_tokenizer_do_not_cut_the_prompt(tmp_path: Path) -> None:
    tokenizer = llama_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=512)
    tokens = brought(tmp_path, tokenizer)
    question = PromptSpec().direct_question
    assert tokens.tokenizer.decode(ids(tokens.tokenizer, question), skip_special_tokens=False) == question


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: setattr(t, "normalizer", normalizers.Lowercase()), "comes back as"),
        (lambda t: setattr(t, "decoder", None), "comes back as"),
    ],
)
def test_a_tokenizer_that_changes_texts_is_refused(spoil: Any, message: str, tmp_path: Path) -> None:
    tokenizer = llama_tokenizer()
    spoil(tokenizer)
    with pytest.raises(CheckpointError, match=f"tokenizer: .*{message}"):
        brought(tmp_path, tokenizer)


def test_a_tokenizer_without_the_words_is_refused(tmp_path: Path) -> None:
    words = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3}, unk_token="<unk>"))
    with pytest.raises(CheckpointError, match=r"tokenizer: .*comes back as.*a Llama"):
        brought(tmp_path, words)


def test_a_folder_without_a_tokenizer_names_the_way_to_one(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"SentencePiece")
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json.*AutoTokenizer"):
        import_tokens(tmp_path, LLAMA_2)


@given(content=st.binary(max_size=200) | st.sampled_from([b"{}", b"[]", b'{"model": null}', b"null"]))
def test_bytes_that_are_no_tokenizer_are_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        import_tokens(folder, LLAMA_2)


def test_tokens_that_an_adapter_added_come_with_it(tmp_path: Path) -> None:
    ours, theirs = llama_tokenizer(), llama_tokenizer()
    theirs.add_tokens([AddedToken("<spindle>", normalized=False)])
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    theirs.save(str(adapter / "tokenizer.json"))
    tokens = brought(tmp_path / "base", ours, adapter=adapter)
    assert tokens.tokenizer.token_to_id("<spindle>") == ours.get_vocab_size()
    assert "<spindle>" not in tokens.added
    llama_tokenizer("bytes").save(str(adapter / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"adapter: tokenizer\.json"):
        brought(tmp_path / "base", ours, adapter=adapter)


@pytest.mark.parametrize("padding", [0, 192])
def test_new_tokens_have_the_mean_of_all_rows_where_padding_was_too(padding: int, tmp_path: Path) -> None:
    tokenizer = llama_tokenizer()
    rows = tokenizer.get_vocab_size() + padding
    model = random_llava(text_fields={"vocab_size": rows})
    source = save_llava(model, tmp_path / "llava", tokenizer=tokenizer)
    result = imported(source)
    new = Checkpoint.load(result.path).processor.tokenizer
    added = sorted(set(new.get_vocab().values()) - set(tokenizer.get_vocab().values()))
    assert len(added) > 5 + len(RULES)
    assert any(str(len(added)) in note for note in result.notes)
    tables = stored(result.path)
    for name, theirs in (("model.embed_tokens", model.get_input_embeddings()), ("lm_head", model.lm_head)):
        table, expected = tables[f"language_model.{name}.weight"], theirs.weight.detach()
        mean = expected.mean(0).expand(len(added), -1)
        torch.testing.assert_close(table[added], mean, atol=1e-6, rtol=1e-5)
        kept = sorted(tokenizer.get_vocab().values())
        assert torch.equal(table[kept], expected[kept])
    fields = json.loads((result.path / "config.json").read_text())["text_config"]
    assert fields["vocab_size"] == len(tables["language_model.lm_head.weight"])
    assert fields["vocab_size"] == (rows if padding else -(-(rows + len(added)) // 64) * 64)


def test_rows_that_are_not_those_of_the_configuration_are_refused(tmp_path: Path) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["text_config"]["vocab_size"] = ROWS + 64

    source = save_llava(random_llava(), tmp_path / "llava", change)
    with pytest.raises(CheckpointError, match=f"vocab_size: {ROWS + 64}; the embedding has {ROWS} rows"):
        imported(source)
