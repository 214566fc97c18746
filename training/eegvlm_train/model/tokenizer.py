"""nano's tokenizer: byte-level BPE learned from the questions and the rationale grammar alone.

`python -m eegvlm_train tokenizer OUT.json`. Words keep their leading space; every word of the grammar, each
stage answer among them, is one token; any other text falls back to bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from eegvlm_rt.files import write_file
from eegvlm_rt.prompt import Mode, PromptSpec
from eegvlm_rt.rationale import Slot, grammar_of

from ..outputs import add_overwrite

__all__ = ["MAX_VOCABULARY", "build_tokenizer", "corpus", "main", "model_vocabulary"]

MAX_VOCABULARY = 1024
_VOCABULARY_STEP = 64


def corpus(prompt: PromptSpec) -> list[str]:
    """Every segment a prompt or an answer is made of, once."""
    texts = [prompt.question(Mode.DIRECT), prompt.question(Mode.COT), *prompt.stage_answers]
    if prompt.system:
        texts.append(prompt.system)
    grammar = grammar_of(prompt.grammar)
    for part in (*grammar.parts, *(grammar.night_parts or ())):
        texts += part.choices if isinstance(part, Slot) else [part.text]
    return list(dict.fromkeys(texts))


def build_tokenizer(prompt: PromptSpec | None = None) -> Tokenizer:
    """The tokenizer of a prompt; the same every time.

    Raises InputError where a stage answer is not one token.
    """
    spec = prompt or PromptSpec()
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(r" ?[^\s]+|\s"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MAX_VOCABULARY,
        min_frequency=1,
        special_tokens=list(spec.special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(spec), trainer)
    spec.stage_token_ids(tokenizer)
    return tokenizer


def model_vocabulary(tokenizer: Tokenizer) -> int:
    """Rows of the embedding: the tokenizer's size, rounded up to a multiple of 64."""
    return -(-tokenizer.get_vocab_size() // _VOCABULARY_STEP) * _VOCABULARY_STEP


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train tokenizer", description=__doc__)
    parser.add_argument("out", type=Path, help="tokenizer.json to write")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    tokenizer = build_tokenizer()
    write_file(args.out, tokenizer.to_str(pretty=True).encode(), overwrite=args.overwrite)
    print(f"{tokenizer.get_vocab_size()} tokens; the model needs {model_vocabulary(tokenizer)} rows")
    return 0
