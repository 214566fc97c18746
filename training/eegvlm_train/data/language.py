"""Batches of step 2: one sequence a picture, with both answers as branches behind a shared visual prefix.

    prefix + visual tokens | direct question, stage, end | reasoning question, rationale, end, padding

The second branch does not see the first and its positions start anew behind the prefix, so each branch is
exactly the sequence that decoding will meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from eegvlm_rt.findings import Findings
from eegvlm_rt.rationale import NightContext
from eegvlm_rt.rendering.renderer import RenderSpec
from eegvlm_rt.stages import STAGES

from .contexts import contexts_of
from .findings import FindingsTable
from .loading import Index, PictureBatch, draw_grey
from .nightset import NightSet
from .plausible_errors import slipped
from .texts import AnswerTexts, sample_stages

__all__ = ["BranchLayout", "LanguageBatch", "LanguageBatches", "NightStates"]

_OTHER_CONTEXT_SHARE = 0.1


@dataclass(frozen=True)
class LanguageBatch(PictureBatch):
    """`ids` int64 (n, T) text behind the visual tokens; `weights` float32 (n, T) of each as a target.

    `stage_place` int64 (n,): where in `ids` the rule begins, which settles the stage. `rule_shares` float32
    (n, rules): the teacher's probabilities there, of which the text follows a draw. `remembered` bool (n,):
    the sample knows its night, by the memory's `states` float16 (n, S) and `night_logits` float32 (n, 5).
    """

    ids: Tensor
    weights: Tensor
    stage_place: Tensor
    rule_shares: Tensor
    remembered: Tensor
    states: Tensor
    night_logits: Tensor


@dataclass(frozen=True, slots=True)
class NightStates:
    """What the night memory holds after each of n epochs: `states` float16 (n, S), `logits` float32 (n,
    5)."""

    states: NDArray[np.float16]
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BranchLayout:
    """Positions and attention of a sequence with `prefix` tokens and a first branch of `direct` tokens."""

    prefix: int
    direct: int

    def positions(self, text_length: int, device: torch.device) -> Tensor:
        """(1, prefix + text_length): both branches continue the prefix."""
        first = torch.arange(self.prefix + self.direct, device=device)
        second = torch.arange(text_length - self.direct, device=device) + self.prefix
        return torch.cat([first, second])[None]

    def mask(self, text_length: int, device: torch.device) -> Tensor:
        """(1, 1, L, L) bool, true where a query may look: causal, and never from the second branch into the
        first."""
        length = self.prefix + text_length
        place = torch.arange(length, device=device)
        causal = place[:, None] >= place[None, :]
        branch = self.prefix + self.direct
        crossing = (place[:, None] >= branch) & (place[None, :] >= self.prefix) & (place[None, :] < branch)
        return (causal & ~crossing)[None, None]


@dataclass(frozen=True)
class LanguageBatches:
    """Makes language batches; the stage of a text is drawn from the teacher's probabilities.

    `findings_noise` is the share of texts that state some findings wrongly (`slips`). With a `memory`,
    `memory_share` of the samples know their night: by the memory's state, and by the step of context in their
    text; a tenth of those have the context of another epoch, so that a model does not trust the record alone.
    `memory_opinion` of the teacher's probabilities of such a sample are the memory's own.
    """

    nights: NightSet
    spec: RenderSpec
    texts: AnswerTexts
    sharpen: float = 1.0
    most_probable: bool = False
    findings_noise: float = 0.0
    memory: NightStates | None = None
    memory_share: float = 0.5
    memory_opinion: float = 0.0

    @property
    def direct_length(self) -> int:
        """Tokens of the first branch: question, stage, end."""
        return len(self.texts.direct_question) + 2

    def __call__(self, index: Index, rng: np.random.Generator) -> LanguageBatch:
        table = self.nights.findings
        if table is None:
            raise ValueError("findings: none; load the nights with findings")
        remembered = rng.random(len(index)) < (self.memory_share if self.memory is not None else 0.0)
        teacher = np.where(remembered[:, None], self._in_the_night(index), self.nights.teacher[index])
        stages, runners_up = sample_stages(teacher, self.sharpen, rng)
        if self.most_probable:
            order = np.argsort(teacher, axis=1)
            stages, runners_up = order[:, -1], order[:, -2]
        stated = [self._findings(table, index, stages, row, rng) for row in range(len(index))]
        contexts = [
            self._context(int(place), bool(knows), rng)
            for place, knows in zip(index, remembered, strict=True)
        ]
        answers = [
            self.texts.stated(findings, STAGES[stage], STAGES[other], slips, context)
            for (findings, slips), stage, other, context in zip(
                stated, stages, runners_up, contexts, strict=True
            )
        ]
        sharpened = teacher**self.sharpen
        sharpened = sharpened / sharpened.sum(axis=1, keepdims=True)
        rules = [
            self.texts.rule_shares(one, row, context)
            for (one, _), row, context in zip(stated, sharpened, contexts, strict=True)
        ]
        question, direct = self.texts.cot_question, self.direct_length
        start = direct + len(question)
        longest = max(len(answer.ids) for answer in answers)
        ids = np.full((len(index), start + longest), self.texts.pad, dtype=np.int64)
        weights = np.zeros(ids.shape, dtype=np.float32)
        ids[:, : direct - 2] = self.texts.direct_question
        ids[:, direct - 2] = self.texts.stage_tokens[stages]
        ids[:, direct - 1] = self.texts.eos
        weights[:, direct - 1] = self.texts.weights.literal
        ids[:, direct:start] = question
        places = np.empty(len(index), dtype=np.int64)
        for row, answer in enumerate(answers):
            end = start + len(answer.ids)
            ids[row, start:end] = answer.ids
            weights[row, start:end] = answer.weights
            places[row] = start + int(np.isin(answer.ids, self.texts.rule_tokens).argmax())
        return LanguageBatch(
            grey=torch.from_numpy(draw_grey(self.nights.microvolts(index), self.spec)),
            teacher=torch.from_numpy(teacher),
            ids=torch.from_numpy(ids),
            weights=torch.from_numpy(weights),
            stage_place=torch.from_numpy(places),
            rule_shares=torch.from_numpy(np.stack(rules)),
            remembered=torch.from_numpy(remembered),
            states=torch.from_numpy(self._states(index)),
            night_logits=torch.from_numpy(self._night_logits(index)),
        )

    def _in_the_night(self, index: Index) -> NDArray[np.float32]:
        """(n, 5) probabilities of who knows the night: the teacher, and the memory for its share."""
        teacher, share = self.nights.context[index], np.float32(self.memory_opinion)
        if self.memory is None or not share:
            return teacher
        own = softmax(self.memory.logits[index], axis=1)
        return np.asarray((1 - share) * teacher + share * own, dtype=np.float32)

    def _states(self, index: Index) -> NDArray[np.float16]:
        return np.zeros((len(index), 0), np.float16) if self.memory is None else self.memory.states[index]

    def _night_logits(self, index: Index) -> NDArray[np.float32]:
        return np.zeros((len(index), 5), np.float32) if self.memory is None else self.memory.logits[index]

    @cached_property
    def _contexts(self) -> list[NightContext]:
        """The record before every epoch, with the stages that the memory gave."""
        assert self.nights.findings is not None
        assert self.memory is not None
        return contexts_of(self.nights.findings, self.memory.logits, self.nights.night)

    def _context(self, place: int, remembered: bool, rng: np.random.Generator) -> NightContext | None:
        if not remembered:
            return None
        other = rng.random() < _OTHER_CONTEXT_SHARE
        return self._contexts[int(rng.integers(len(self._contexts))) if other else place]

    def _findings(
        self,
        table: FindingsTable,
        index: Index,
        stages: NDArray[np.int64],
        row: int,
        rng: np.random.Generator,
    ) -> tuple[Findings, frozenset[str]]:
        """What the text of one epoch of the batch states, and the slots in which that is wrong."""
        findings = table.row(int(index[row]))
        if rng.random() >= self.findings_noise:
            return findings, frozenset()
        alike = np.flatnonzero(stages == stages[row])
        return slipped(findings, table.row(int(index[alike[rng.integers(len(alike))]])), rng)
