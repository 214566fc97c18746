"""The tokenizer of a LLaVA-1.5, made to cut the prompt and the grammar of EEG-VLM segment by segment."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eegvlm_train.model.assembly import NIGHT_TOKEN
from eegvlm_train.model.tokenizer import corpus
from tokenizers import AddedToken, Tokenizer

from eegvlm_rt.decoding import compile_grammar
from eegvlm_rt.errors import CheckpointError, InputError
from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.rationale import NIGHT_GRAMMAR, RULES, Slot

from .llava_config import SpecialTokens

__all__ = ["ImportedTokens", "import_tokens"]

_FILE: Final = "tokenizer.json"
_ANOTHER: Final = "use the tokenizer of a Llama"


@dataclass(frozen=True, slots=True)
class ImportedTokens:
    """A tokenizer, the prompt in its special tokens, the tokens that it lacked and their ids; `notes` for the
    user."""

    tokenizer: Tokenizer
    prompt: PromptSpec
    added: dict[str, int]
    notes: tuple[str, ...]


def import_tokens(
    folder: Path, special: SpecialTokens, adapter: Path | None = None, *, night: bool = False
) -> ImportedTokens:
    """The tokenizer in `folder`, or in the folder of an adapter that added tokens to it.

    Every stage answer becomes one token, every rule begins with one of its own, and special tokens that the
    prompt needs are added where there are none. A text is encoded as it stands: the space that tokenizers of
    Llama put before every text, and so before every segment, goes.

    Raises CheckpointError where there is no tokenizer or it cannot write the prompt and the grammar.
    """
    tokenizer, notes = _exact(_chosen(folder, adapter)), []
    tokenizer.no_padding()
    tokenizer.no_truncation()
    prompt = _prompt(tokenizer, special, NIGHT_TOKEN if night else "")
    before = tokenizer.get_vocab(with_added_tokens=True)
    missing = [token for token in prompt.special_tokens if token not in before]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in missing])
    coded = [tuple(_ids(tokenizer, answer)) for answer in prompt.stage_answers]
    answers = [
        answer
        for answer, ids in zip(prompt.stage_answers, coded, strict=True)
        if len(ids) != 1 or coded.count(ids) > 1
    ]
    _add_words(tokenizer, answers)
    rules = [] if _rules_begin_apart(tokenizer) else [f" {rule.id}" for rule in RULES.values()]
    _add_words(tokenizer, rules)
    _check(tokenizer, prompt)
    places = tokenizer.get_vocab(with_added_tokens=True)
    added = {token: places[token] for token in (*missing, *answers, *rules)}
    if added:
        notes.append(f"{len(added)} tokens are new: {', '.join(token.strip() for token in added)}")
    return ImportedTokens(tokenizer, prompt, added, tuple(notes))


def _chosen(folder: Path, adapter: Path | None) -> Tokenizer:
    tokenizer = _opened(folder)
    if adapter is None or not (adapter / _FILE).is_file():
        return tokenizer
    theirs = _opened(adapter)
    ours, all_ = tokenizer.get_vocab(with_added_tokens=True), theirs.get_vocab(with_added_tokens=True)
    if ours == all_:
        return tokenizer
    moved = sorted(token for token, place in ours.items() if all_.get(token) != place)
    if moved:
        raise CheckpointError(
            "adapter: tokenizer.json", moved[0], "the base has another id for it: give the adapter's own base"
        )
    return theirs


def _opened(folder: Path) -> Tokenizer:
    file = folder / _FILE
    if not file.is_file():
        raise CheckpointError(
            "checkpoint",
            f"{folder} has no {_FILE}",
            "write it with transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(f"checkpoint: {_FILE}", str(error), _ANOTHER) from error


def _exact(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer without the space that it puts before a text, and takes away as it decodes."""
    fields: dict[str, Any] = json.loads(tokenizer.to_str())
    fields["normalizer"] = _without(fields["normalizer"], "normalizers", "Prepend")
    fields["decoder"] = _without(fields["decoder"], "decoders", "Strip")
    for part in ("pre_tokenizer", "decoder"):
        for step in _steps(fields[part]):
            if step["type"] == "Metaspace":
                step["prepend_scheme"] = "never"
                step.pop("add_prefix_space", None)
            elif step["type"] == "ByteLevel" and part == "pre_tokenizer":
                step["add_prefix_space"] = False
    return Tokenizer.from_str(json.dumps(fields))


def _steps(step: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A step and the steps inside it."""
    if step is None:
        return []
    lists = [step[name] for name in ("normalizers", "pretokenizers", "decoders") if name in step]
    return [step, *(deep for inner in lists for one in inner for deep in _steps(one))]


def _without(step: dict[str, Any] | None, inner: str, kind: str) -> dict[str, Any] | None:
    if step is None or step["type"] == kind:
        return None
    if inner in step:
        step[inner] = [one for one in step[inner] if one["type"] != kind]
    return step


def _prompt(tokenizer: Tokenizer, special: SpecialTokens, night: str) -> PromptSpec:
    """The prompt with the tokens that the configuration names where the tokenizer calls them special."""
    texts = {
        place: token.content for place, token in tokenizer.get_added_tokens_decoder().items() if token.special
    }
    usual = PromptSpec()

    def named(ids: Iterable[int], default: str) -> str:
        return next((texts[place] for place in ids if place in texts), default)

    bos, eos = named(special.bos, usual.bos), named(special.eos, usual.eos)
    pad = named(special.pad, usual.pad)
    return PromptSpec(bos=bos, eos=eos, pad=usual.pad if pad in (bos, eos) else pad, night=night)


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def _add_words(tokenizer: Tokenizer, words: list[str]) -> None:
    """Make tokens that stand for a whole word: " R" is not the beginning of " REM"."""
    tokenizer.add_tokens([AddedToken(word, normalized=False, single_word=True) for word in words])


def _rules_begin_apart(tokenizer: Tokenizer) -> bool:
    """Whether the first token of each rule is its own, and none of them stands in a text before the rule."""
    parts = NIGHT_GRAMMAR
    place = next(i for i, part in enumerate(parts) if isinstance(part, Slot) and part.name == "rule")
    firsts = [_ids(tokenizer, f" {rule.text}")[0] for rule in RULES.values()]
    before = {
        token
        for part in parts[:place]
        for text in (part.choices if isinstance(part, Slot) else [part.text])
        for token in _ids(tokenizer, text)
    }
    return len(set(firsts)) == len(firsts) and not before & set(firsts)


def _check(tokenizer: Tokenizer, prompt: PromptSpec) -> None:
    """Raises CheckpointError where a text comes back changed, or two texts of the grammar look alike."""
    for text in corpus(prompt):
        back = tokenizer.decode(_ids(tokenizer, text), skip_special_tokens=False)
        if back != text:
            raise CheckpointError("tokenizer", repr(text), f"it comes back as {back!r}: {_ANOTHER}")
    try:
        prompt.stage_token_ids(tokenizer)
        eos = prompt.token_id(tokenizer, prompt.eos)
        compile_grammar(lambda text: _ids(tokenizer, text), eos, prompt.grammar)
    except InputError as error:
        raise CheckpointError(
            "tokenizer", f"{error.field}: {error.value}", f"{error.cure}: {_ANOTHER}"
        ) from error
