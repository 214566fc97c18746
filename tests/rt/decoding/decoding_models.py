"""Models and decoders for the tests of decoding, and a reader with nothing to get wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from eegvlm_rt.backends.onnx_lm import OnnxLanguageModel
from eegvlm_rt.bundle import LanguageModelShape
from eegvlm_rt.decoding import Decoder, compile_grammar, prompt_tokens
from eegvlm_rt.findings import Findings, Rhythm
from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.rationale import GRAMMAR, RULES, Literal
from eegvlm_rt.rationale.consistency import consistent_choices
from eegvlm_rt.rationale.worth import worth_of
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.backends.tiny_graphs import llm_graph, scripted_llm_graph

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN = 16
PROMPT = PromptSpec()
FINDINGS = Findings(Rhythm.THETA, 0.1, 2, 1, 0.05, 60.0)


def byte_tokenizer() -> Tokenizer:
    """One token per byte: texts that begin alike share their first tokens."""
    symbols = [*PROMPT.special_tokens, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(symbols)}, []))
    tokenizer.add_special_tokens(list(PROMPT.special_tokens))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def encode(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def decoder_of(lm: OnnxLanguageModel, tokenizer: Tokenizer) -> Decoder:
    tokens = prompt_tokens(PROMPT, tokenizer)
    return Decoder(
        lm,
        tokens,
        compile_grammar(encode(tokenizer), tokens.eos),
        lambda ids: tokenizer.decode(ids, skip_special_tokens=False),
        dict(zip(STAGES, PROMPT.stage_token_ids(tokenizer), strict=True)),
    )


def random_lm(tokenizer: Tokenizer, seed: int) -> OnnxLanguageModel:
    vocab = tokenizer.get_vocab_size()
    graph = llm_graph(
        hidden=HIDDEN, layers=2, heads=2, head_dim=8, inner=24, vocab=vocab, seed=seed, gain=5.0
    )
    table = np.random.default_rng(seed).standard_normal((vocab, HIDDEN)).astype(np.float32)
    return OnnxLanguageModel(graph.SerializeToString(), table, LanguageModelShape(2, 2, 8, vocab))


def scripted_lm(tokenizer: Tokenizer, ids: list[int], start: int) -> OnnxLanguageModel:
    """A model that answers with exactly `ids` to a question that ends at position `start` - 1."""
    vocab = tokenizer.get_vocab_size()
    script = np.zeros((start + len(ids) + 300, vocab), dtype=np.float32)
    script[np.arange(len(ids)) + start - 1, ids] = 20.0
    graph = scripted_llm_graph(script, hidden=HIDDEN)
    table = np.zeros((vocab, HIDDEN), dtype=np.float32)
    return OnnxLanguageModel(graph.SerializeToString(), table, LanguageModelShape(1, 1, 1, vocab))


def visual(seed: int = 0, n: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, HIDDEN)).astype(np.float32)


def answer_start(tokenizer: Tokenizer) -> int:
    tokens = prompt_tokens(PROMPT, tokenizer)
    return len(tokens.before_image) + len(visual()) + len(tokens.reasoning)


class Plain:
    """Reads everything from the start for every single token: slow, and with nothing to get wrong."""

    def __init__(self, lm: OnnxLanguageModel, tokenizer: Tokenizer, pictures: np.ndarray) -> None:
        tokens = prompt_tokens(PROMPT, tokenizer)
        self.lm, self.tokens, self.encode = lm, tokens, encode(tokenizer)
        self.before = np.concatenate([lm.embed(tokens.before_image), pictures[None]], axis=1)

    def logits(self, ids: list[int]) -> np.ndarray:
        whole, _ = self.lm.step(np.concatenate([self.before, self.lm.embed(ids)], axis=1))
        return whole[-1].astype(np.float64)

    def softmax(self, ids: list[int], allowed: list[int]) -> np.ndarray:
        chosen = self.logits(ids)[allowed]
        weights = np.exp(chosen - chosen.max())
        return weights / weights.sum()

    def allowed(self, candidates: list[list[int]], position: int, following: int) -> list[int]:
        found = {ids[position] for ids in candidates if len(ids) > position}
        return sorted(found | {following for ids in candidates if len(ids) == position})

    def choice_probability(
        self, before: list[int], choice: list[int], all_: list[list[int]], following: int
    ) -> float:
        p, candidates = 1.0, all_
        for position, token in enumerate([*choice, following]):
            allowed = self.allowed(candidates, position, following)
            if len(allowed) > 1:
                p *= float(self.softmax(before + choice[:position], allowed)[allowed.index(token)])
            candidates = [ids for ids in candidates if [*ids, following][position : position + 1] == [token]]
        return p

    def reason(self) -> tuple[str, dict[Stage, float]]:
        ids, text, probabilities = list(self.tokens.reasoning), "", {}
        choices: dict[str, str] = {}
        best = Stage.W
        for i, part in enumerate(GRAMMAR):
            if isinstance(part, Literal):
                ids += self.encode(part.text)
                text += part.text
                continue
            following = self.encode(GRAMMAR[i + 1].text)[0]
            encoded = {choice: self.encode(choice) for choice in part.choices}
            if part.name == "rule":
                all_ = list(encoded.values())
                by_choice = {c: self.choice_probability(ids, e, all_, following) for c, e in encoded.items()}
                stage_of = {c: RULES[c.strip().split(":")[0]].stage for c in encoded}
                probabilities = {s: sum(p for c, p in by_choice.items() if stage_of[c] is s) for s in STAGES}
                best = max(STAGES, key=probabilities.__getitem__)
            left = consistent_choices(part.name, choices, best)
            if left is not None:
                encoded = {c: e for c, e in encoded.items() if part.choices.index(c) in left}
            worth = worth_of(part.name)
            if worth is not None and len({e[0] for e in encoded.values()}) == len(encoded):
                # The first token decides: each choice has its probability, and the worthiest is taken.
                shares = self.softmax(ids, [e[0] for e in encoded.values()])
                best_choice = part.choices[int(np.argmax(worth @ shares))]
                encoded = {best_choice: encoded[best_choice]}
            position = 0
            while len(encoded) > 1:
                candidates = list(encoded.values())
                allowed = self.allowed(candidates, position, following)
                logits = self.logits(ids + candidates[0][:position])
                token = max(allowed, key=lambda t: logits[t])
                encoded = {c: e for c, e in encoded.items() if [*e, following][position] == token}
                position += 1
            (choice, chosen), *_ = encoded.items()
            ids += chosen
            text += choice
            choices[part.name] = choice
        return text, probabilities
