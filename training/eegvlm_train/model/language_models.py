"""A chat model as the language model of EEG-VLM.

`python -m eegvlm_train language-model SOURCE OUT`: SOURCE is a GGUF file or a folder of transformers with a
Llama that speaks ChatML and has a byte-level BPE, such as SmolLM2-135M-Instruct. OUT becomes a folder that
`train-language --language-model` takes: half-precision weights, the tokenizer cut down to what questions and
grammar need (`vocabulary`), and the prompt. Stages and rules become tokens of their own, so that one step of
decoding settles each; a new token starts as the mean of the tokens it replaces.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from eegvlm_rt.decoding import compile_grammar
from eegvlm_rt.files import claim_folder
from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.rationale import RULES

from ..outputs import add_overwrite
from .assembly import NIGHT_TOKEN, PROMPT_FILE
from .tokenizer import corpus, model_vocabulary
from .vocabulary import add_words, pruned

__all__ = ["CHAT_PROMPT", "fit_language_model", "main", "read_source"]

_DIRECT = PromptSpec().direct_question.removesuffix("\nStage:")
_COT = PromptSpec().cot_question.removesuffix("\n")
_TURN = "<|im_end|>\n<|im_start|>assistant\n"
_TABLES = ("model.embed_tokens.weight", "lm_head.weight")
CHAT_PROMPT = PromptSpec(
    bos="<|im_start|>",
    eos="<|im_end|>",
    pad="<|endoftext|>",
    system="user\n",
    night=NIGHT_TOKEN,
    direct_question=f"\n{_DIRECT}{_TURN}Stage:",
    cot_question=f"\n{_COT}{_TURN}",
)
"""The questions of `PromptSpec` as ChatML: one turn of the user with the picture in it, one answer."""


def read_source(source: Path) -> tuple[LlamaForCausalLM, Tokenizer]:
    """The model in single precision and its tokenizer, from a GGUF file (dequantised) or a folder.

    Raises FileNotFoundError where there is neither, ValueError for another kind of model.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no GGUF file and no folder")
    folder = source if source.is_dir() else source.parent
    more: dict[str, Any] = {} if source.is_dir() else {"gguf_file": source.name}
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, **more)
    return model, AutoTokenizer.from_pretrained(folder, **more).backend_tokenizer


def fit_language_model(
    model: LlamaForCausalLM, tokenizer: Tokenizer, prompt: PromptSpec = CHAT_PROMPT
) -> tuple[LlamaForCausalLM, Tokenizer]:
    """A copy of the model with the tokens that `prompt` and the grammar need alone, and their tokenizer.

    Raises ValueError for a tokenizer that cannot be cut down, InputError for one in which the grammar would
    be ambiguous.
    """
    texts = corpus(prompt)
    small, old = pruned(tokenizer, texts, (prompt.pad, prompt.bos, prompt.eos))
    pictured = [prompt.image, *prompt.night_segments()]
    small.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in pictured])
    words = add_words(small, [*prompt.stage_answers, *(f" {rule.id}" for rule in RULES.values())])
    pieces = [tokenizer.encode(word, add_special_tokens=False).ids for word in words]
    pieces = [*([] for _ in pictured), *pieces]
    prompt.stage_token_ids(small)
    compile_grammar(
        lambda text: small.encode(text, add_special_tokens=False).ids,
        prompt.token_id(small, prompt.eos),
        prompt.grammar,
    )
    rows = model_vocabulary(small)
    state = model.state_dict()
    for name, table in zip(
        _TABLES, (model.get_input_embeddings(), model.get_output_embeddings()), strict=True
    ):
        state[name] = _table(table.weight.detach(), old, pieces, rows)
    names = set(LlamaConfig().to_dict())
    fields = {name: value for name, value in model.config.to_dict().items() if name in names}
    fields |= {"vocab_size": rows, "tie_word_embeddings": False}
    for name, token in (("bos", prompt.bos), ("eos", prompt.eos), ("pad", prompt.pad)):
        fields[f"{name}_token_id"] = prompt.token_id(small, token)
    fitted = LlamaForCausalLM(LlamaConfig(**fields))
    fitted.load_state_dict(state)
    return fitted, small


def _table(weight: Tensor, old: Sequence[int], pieces: Sequence[Sequence[int]], rows: int) -> Tensor:
    """Rows of the kept tokens, of the new ones as means of their pieces (of all where there are none), and
    of unused ones as the mean of all."""
    mean = weight.mean(0)
    new = [weight[list(ids)].mean(0) if ids else mean for ids in pieces]
    padding = [mean] * (rows - len(old) - len(new))
    return torch.cat([weight[list(old)], torch.stack([*new, *padding])]).contiguous()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train language-model", description=__doc__)
    parser.add_argument("source", type=Path, help="GGUF file, or folder of a Llama of transformers")
    parser.add_argument("out", type=Path, help="folder to write")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    claim_folder(args.out, "language-model", inputs=[args.source], overwrite=args.overwrite)
    logging.disable_progress_bar()
    model, tokenizer = fit_language_model(*read_source(args.source))
    model.half().save_pretrained(args.out)
    tokenizer.save(str(args.out / "tokenizer.json"))
    text = json.dumps(CHAT_PROMPT.to_dict(), indent=2, ensure_ascii=False) + "\n"
    (args.out / PROMPT_FILE).write_text(text, encoding="utf-8")
    print(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M weights, "
        f"{tokenizer.get_vocab_size()} tokens ({model.config.vocab_size} rows)"
    )
    return 0
