"""Answers as weighted tokens: which tokens a sample is scored on, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from eegvlm_rt.findings import Findings
from eegvlm_rt.prompt import Mode, PromptSpec
from eegvlm_rt.rationale import (
    GRAMMAR_VERSION,
    NIGHT_GRAMMAR,
    RULES,
    SLOTS,
    NightContext,
    Slot,
    choices,
    choose_rule,
    segments,
)
from eegvlm_rt.stages import STAGES, Stage

from .findings import FindingsTable

__all__ = ["RULE_STAGES", "AnswerTexts", "TokenWeights", "Weighted", "branching", "sample_stages"]

_STAGE_SLOTS = ("rule",)
_KNOWN_SLOTS = ("previous", "course")
_RULE_IDS = {name: place for place, name in enumerate(RULES)}
RULE_STAGES: NDArray[np.int64] = np.array([int(rule.stage) for rule in RULES.values()])


@dataclass(frozen=True, slots=True)
class TokenWeights:
    """Weight of a token the grammar forces, of one that decides a slot, and of one that decides the stage."""

    literal: float = 0.02
    slot: float = 1.0
    stage: float = 2.0


@dataclass(frozen=True, slots=True)
class Weighted:
    """Token ids (k,) and the weight (k,) of each as a target."""

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]


def branching(sequences: Sequence[Sequence[int]]) -> list[list[bool]]:
    """For every token of every sequence, whether another sequence goes on differently at that place."""
    followers: dict[tuple[int, ...], set[int | None]] = {}
    for sequence in sequences:
        for place in range(len(sequence) + 1):
            end = sequence[place] if place < len(sequence) else None
            followers.setdefault(tuple(sequence[:place]), set()).add(end)
    return [[len(followers[tuple(s[:place])]) > 1 for place in range(len(s))] for s in sequences]


@dataclass(frozen=True)
class AnswerTexts:
    """Questions and answers of both modes as tokens, made once and joined per sample.

    `stage_tokens` (5,) are the direct answers; `rule_tokens` the first tokens of the rules, in the order of
    `RULES`.
    Raises ValueError where two rules begin with the same token, or for a prompt of an older grammar.
    """

    tokenizer: Tokenizer
    prompt: PromptSpec
    weights: TokenWeights = TokenWeights()
    direct_question: NDArray[np.int64] = field(init=False)
    cot_question: NDArray[np.int64] = field(init=False)
    stage_tokens: NDArray[np.int64] = field(init=False)
    rule_tokens: NDArray[np.int64] = field(init=False)
    _slots: dict[str, dict[str, Weighted]] = field(init=False)
    _literals: dict[str, Weighted] = field(init=False)

    def __post_init__(self) -> None:
        if self.prompt.grammar != GRAMMAR_VERSION:
            raise ValueError(
                f"prompt: texts of grammar {self.prompt.grammar!r} are no longer composed; "
                f"begin with a prompt of grammar {GRAMMAR_VERSION!r}"
            )
        direct = self._ids(self.prompt.question(Mode.DIRECT))
        cot = self._ids(self.prompt.question(Mode.COT))
        object.__setattr__(self, "direct_question", np.array(direct))
        object.__setattr__(self, "cot_question", np.array(cot))
        object.__setattr__(self, "stage_tokens", np.array(self.prompt.stage_token_ids(self.tokenizer)))
        slots = {name: self._encoded(name, slot.choices) for name, slot in SLOTS.items()}
        object.__setattr__(self, "_slots", slots)
        object.__setattr__(self, "_literals", {})
        rules = slots["rule"]
        firsts = np.array([weighted.ids[0] for weighted in rules.values()])
        if len(np.unique(firsts)) != len(firsts):
            raise ValueError("tokenizer: two rules begin with one token; each needs a first token of its own")
        if np.isin(firsts, self._before_rule()).any():
            raise ValueError(
                "tokenizer: a rule begins with a token of the texts before it; add one of its own"
            )
        object.__setattr__(self, "rule_tokens", firsts)

    def _ids(self, text: str) -> list[int]:
        return self.prompt.encode(self.tokenizer, [text])

    def _before_rule(self) -> list[int]:
        """Every token that can stand before the rule of a text."""
        place = next(i for i, part in enumerate(NIGHT_GRAMMAR) if part == SLOTS["rule"])
        return [
            token
            for part in NIGHT_GRAMMAR[:place]
            for text in (part.choices if isinstance(part, Slot) else [part.text])
            for token in self._ids(text)
        ]

    def _encoded(self, slot: str, texts: Sequence[str]) -> dict[str, Weighted]:
        sequences = [self._ids(text) for text in texts]
        decides = self.weights.stage if slot in _STAGE_SLOTS else self.weights.slot
        # The runtime writes the step of context from the night's record; a model only reads it.
        if slot in _KNOWN_SLOTS:
            decides = self.weights.literal
        return {
            text: Weighted(
                np.array(ids, dtype=np.int64),
                np.where(open_, decides, self.weights.literal).astype(np.float32),
            )
            for text, ids, open_ in zip(texts, sequences, branching(sequences), strict=True)
        }

    def _literal(self, text: str) -> Weighted:
        if text not in self._literals:
            ids = np.array(self._ids(text), dtype=np.int64)
            weights = np.full(len(ids), self.weights.literal, dtype=np.float32)
            self._literals[text] = Weighted(ids, weights)
        return self._literals[text]

    @property
    def eos(self) -> int:
        return self.prompt.token_id(self.tokenizer, self.prompt.eos)

    @property
    def pad(self) -> int:
        return self.prompt.token_id(self.tokenizer, self.prompt.pad)

    def prefix(self) -> list[int]:
        """What stands before the visual tokens."""
        return self.prompt.encode(self.tokenizer, self.prompt.prefix_segments())

    def night(self) -> list[int]:
        """What stands for the night memory, between the visual tokens and the question."""
        return self.prompt.encode(self.tokenizer, self.prompt.night_segments())

    def rationale(self, table: FindingsTable, index: int, stage: Stage, runner_up: Stage) -> Weighted:
        """The rationale of one epoch for `stage`, its end token included."""
        return self.stated(table.row(index), stage, runner_up)

    def stated(
        self,
        findings: Findings,
        stage: Stage,
        runner_up: Stage,
        slips: frozenset[str] = frozenset(),
        context: NightContext | None = None,
    ) -> Weighted:
        """The rationale of some findings for `stage`; the slots in `slips` are read but no targets."""
        chosen = choices(findings, stage, runner_up, context)
        names = [name for name in SLOTS if name in chosen]
        pieces, weights = [], []
        # Literals and slots alternate, a literal first.
        for place, text in enumerate([*segments(chosen), self.prompt.eos]):
            slot = names[place // 2] if place % 2 and place // 2 < len(names) else ""
            piece = self._slots[slot][text] if slot else self._literal(text)
            pieces.append(piece.ids)
            weights.append(np.zeros_like(piece.weights) if slot in slips else piece.weights)
        return Weighted(np.concatenate(pieces), np.concatenate(weights))

    def rule_shares(
        self, findings: Findings, teacher: NDArray[np.float32], context: NightContext | None = None
    ) -> NDArray[np.float32]:
        """(rules,) what a teacher of probabilities (5,) says about the rule of a text that states `findings`:
        each stage's probability at the rule that `compose` would cite for it."""
        shares = np.zeros(len(_RULE_IDS), dtype=np.float32)
        for stage, share in zip(STAGES, teacher, strict=True):
            shares[_RULE_IDS[choose_rule(findings, stage, context).id]] += share
        return shares


def sample_stages(
    teacher: NDArray[np.float32], sharpen: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every row of (n, 5) probabilities a stage drawn from them to the power `sharpen`, and the most
    probable other stage."""
    mass = np.maximum(teacher.astype(np.float64), 1e-9) ** sharpen
    cumulative = np.cumsum(mass, axis=1)
    draws = rng.random(len(teacher))[:, None] * cumulative[:, -1:]
    stages = np.minimum((draws >= cumulative).sum(axis=1), len(STAGES) - 1)
    others = mass.copy()
    others[np.arange(len(teacher)), stages] = -1.0
    return stages, others.argmax(axis=1)
