"""How far a bundle's numbers lie from the checkpoint's, measured through the runtime that will run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from time import perf_counter
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from eegvlm_rt.backends import (
    LanguageModel,
    StageHead,
    TowerOutput,
    VisionTower,
    load_head,
    load_language_model,
    load_tower,
)
from eegvlm_rt.bundle import Bundle
from eegvlm_rt.decoding import prompt_tokens
from eegvlm_rt.stages import STAGES, Stage

from ..weights.checkpoint import Checkpoint
from ..weights.reference import decoder_with, pictures, reference_language_model

__all__ = ["Measured", "measure_parity"]

Float32 = NDArray[np.float32]
P = ParamSpec("P")
T = TypeVar("T")

_LOGIT_EPOCHS: Final = 16
_OUTPUTS: Final = ("stage_logits", "high", "visual_tokens")


@dataclass(frozen=True, slots=True)
class Measured:
    """`parity` is the same for the same files; `speed_ms` (medians) depends on the machine and its load."""

    parity: dict[str, Any]
    speed_ms: dict[str, float]


@dataclass(slots=True)
class _Difference:
    """Running differences of one array from its reference."""

    count: int = 0
    absolute: float = 0.0
    largest: float = 0.0
    square: float = 0.0
    energy: float = 0.0
    other_energy: float = 0.0
    product: float = 0.0

    def add(self, reference: Float32, other: Float32) -> None:
        delta = np.abs(other.astype(np.float64) - reference)
        self.count += delta.size
        self.absolute += float(delta.sum())
        self.largest = max(self.largest, float(delta.max()))
        self.square += float(np.square(delta).sum())
        self.energy += float(np.square(reference, dtype=np.float64).sum())
        self.other_energy += float(np.square(other, dtype=np.float64).sum())
        self.product += float(np.sum(np.multiply(reference, other, dtype=np.float64)))

    def to_dict(self) -> dict[str, float]:
        relative = (self.square / self.energy) ** 0.5 if self.energy else float(self.square > 0)
        norms = (self.energy * self.other_energy) ** 0.5
        return {
            "max_abs": _short(self.largest),
            "mean_abs": _short(self.absolute / self.count),
            "relative_rms": _short(relative),
            "cosine": round(self.product / norms, 8) if norms else float(self.square == 0),
        }


@dataclass(slots=True)
class _Opinions:
    """Stage probabilities of a reference and of what is compared with it."""

    reference: list[NDArray[np.float64]] = field(default_factory=list)
    others: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, reference: Mapping[Stage, float], other: Mapping[Stage, float]) -> None:
        self.reference.append(np.array([reference[stage] for stage in STAGES]))
        self.others.append(np.array([other[stage] for stage in STAGES]))

    def to_dict(self) -> dict[str, float]:
        """Share of equal stages; mean shift, half the sum of |difference| over the five probabilities."""
        a, b = np.stack(self.reference), np.stack(self.others)
        return {
            "agreement": _short(float((a.argmax(1) == b.argmax(1)).mean())),
            "shift": _short(float(np.abs(a - b).sum(1).mean() / 2)),
        }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _softmax(logits: Float32) -> dict[Stage, float]:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return dict(zip(STAGES, (weights / weights.sum()).tolist(), strict=True))


def measure_parity(
    bundle: Bundle,
    checkpoint: Checkpoint,
    epochs: Float32,
    *,
    reasoning_epochs: int,
    threads: int = 2,
) -> Measured:
    """Compare every precision in the bundle with the checkpoint on `epochs` (n, samples).

    Per tower: differences of its outputs, stage agreement of the head. Per pair of tower and language model
    in which one is the default: stage agreement of the direct answer. For the default pair and the first
    (evenly spread) `reasoning_epochs`: stage agreement of the reasoning, and how often the text is the
    same. Language models are also compared alone: logits of the question after the checkpoint's own visual
    tokens.
    """
    towers = _towers(bundle, threads)
    models = _language_models(bundle, threads)
    bench = _Bench(checkpoint, towers, models, load_head(bundle, threads=threads))
    chosen = set(np.linspace(0, len(epochs) - 1, reasoning_epochs).round().astype(int).tolist())
    index = 0
    for batch in pictures(epochs, checkpoint.processor.render):
        reference, others = bench.towers_on(batch)
        for i in range(len(batch)):
            bench.answers_on(
                np.asarray(reference.visual_tokens)[i],
                {name: np.asarray(output.visual_tokens)[i] for name, output in others.items()},
                compare_logits=index < _LOGIT_EPOCHS,
                reason=index in chosen,
            )
            index += 1
    return bench.measured(len(epochs), len(chosen))


def _towers(bundle: Bundle, threads: int) -> dict[str, VisionTower]:
    return {
        name: load_tower(bundle, threads=threads, precision=name) for name in _precisions(bundle, "tower")
    }


def _language_models(bundle: Bundle, threads: int) -> dict[str, LanguageModel]:
    return {
        name: load_language_model(bundle, threads=threads, precision=name)
        for name in _precisions(bundle, "llm")
    }


def _precisions(bundle: Bundle, part: str) -> list[str]:
    component = bundle.component(part)
    return [component.precision, *component.variants]


class _Bench:
    """The checkpoint and every precision side by side, with what was measured so far."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        towers: dict[str, VisionTower],
        models: dict[str, LanguageModel],
        head: StageHead | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._head, self._head_answers = head, _Opinions()
        self._towers, self._models = towers, models
        self._tower, self._llm = next(iter(towers)), next(iter(models))
        processor = checkpoint.processor
        self._prompt = prompt_tokens(processor.prompt, processor.tokenizer)
        self._reference_lm = reference_language_model(checkpoint)
        self._reference = decoder_with(checkpoint, self._reference_lm, self._prompt)
        self._decoders = {name: decoder_with(checkpoint, lm, self._prompt) for name, lm in models.items()}
        pairs = [(self._tower, name) for name in models] + [(name, self._llm) for name in towers]
        self._pairs = list(dict.fromkeys(pairs))
        self._outputs = {name: {part: _Difference() for part in _OUTPUTS} for name in towers}
        self._heads = {name: _Opinions() for name in towers}
        self._direct = {pair: _Opinions() for pair in self._pairs}
        self._reasoned = _Opinions()
        self._same_texts = 0
        self._similarity = 0.0
        self._logits = {name: _Difference() for name in models}
        self._same_tokens: dict[str, list[float]] = {name: [] for name in models}
        self._ms: dict[str, list[float]] = {}

    def towers_on(self, batch: Float32) -> tuple[TowerOutput, dict[str, TowerOutput]]:
        with torch.inference_mode():
            outputs = self._checkpoint.model.visual(torch.from_numpy(batch))
        reference = TowerOutput(*(tensor.numpy() for tensor in outputs))
        others = {}
        for name, tower in self._towers.items():
            self._timed(f"tower.{name}", tower, batch[:1])
            output = others[name] = tower(batch)
            for part in _OUTPUTS:
                self._outputs[name][part].add(getattr(reference, part), getattr(output, part))
            for a, b in zip(reference.stage_logits, output.stage_logits, strict=True):
                self._heads[name].add(_softmax(a), _softmax(b))
        if self._head is not None:
            opinions = self._timed("head", self._head, np.ascontiguousarray(batch[:, : self._head.planes]))
            for a, b in zip(reference.stage_logits, opinions.stage_logits, strict=True):
                self._head_answers.add(_softmax(a), _softmax(b))
        return reference, others

    def answers_on(
        self, reference: Float32, others: dict[str, Float32], *, compare_logits: bool, reason: bool
    ) -> None:
        before = self._reference.prefix(reference)
        expected = self._reference.score_stages(before)
        for tower, llm in self._pairs:
            decoder = self._decoders[llm]
            prefix = self._timed(f"llm.{llm}.prefill", decoder.prefix, others[tower])
            answer = self._timed(f"llm.{llm}.direct", decoder.score_stages, prefix)
            self._direct[tower, llm].add(expected, answer)
            if reason and (tower, llm) == (self._tower, self._llm):
                ours = self._timed(f"llm.{llm}.cot", decoder.decode_rationale, prefix)
                theirs = self._reference.decode_rationale(before)
                self._reasoned.add(theirs.probabilities or {}, ours.probabilities or {})
                self._same_texts += ours.text == theirs.text
                self._similarity += SequenceMatcher(None, theirs.text, ours.text, autojunk=False).ratio()
        if compare_logits:
            self._compare_logits(reference)

    def _compare_logits(self, visual_tokens: Float32) -> None:
        ids = self._prompt.direct
        expected, _ = self._reference_lm.step(
            self._reference_lm.embed(ids), self._reference.prefix(visual_tokens)
        )
        for name, lm in self._models.items():
            logits, _ = lm.step(lm.embed(ids), self._decoders[name].prefix(visual_tokens))
            self._logits[name].add(expected, logits)
            self._same_tokens[name].append(float((logits.argmax(-1) == expected.argmax(-1)).mean()))

    def _timed(self, name: str, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        start = perf_counter()
        result = run(*args, **kwargs)
        self._ms.setdefault(name, []).append(1e3 * (perf_counter() - start))
        return result

    def measured(self, epochs: int, reasoned: int) -> Measured:
        # A bundle with a head of its own takes every head's answer from there.
        head = self._heads[self._tower] if self._head is None else self._head_answers
        answers = {"head": head, "direct": self._direct[self._tower, self._llm]}
        if reasoned:
            answers["cot"] = self._reasoned
        of_default = {mode: opinions.to_dict() for mode, opinions in answers.items()}
        parity: dict[str, Any] = {
            "epochs": epochs,
            "reasoning_epochs": reasoned,
            "agreement": {mode: figures["agreement"] for mode, figures in of_default.items()},
            "shift": {mode: figures["shift"] for mode, figures in of_default.items()},
            "tower": {name: self._tower_figures(name) for name in self._towers},
            "llm": {name: self._llm_figures(name) for name in self._models},
        }
        if reasoned:
            parity["agreement"]["text"] = _short(self._same_texts / reasoned)
            parity["agreement"]["text_similarity"] = _short(self._similarity / reasoned)
        return Measured(parity, {name: float(np.median(values)) for name, values in self._ms.items()})

    def _tower_figures(self, name: str) -> dict[str, Any]:
        outputs = {part: difference.to_dict() for part, difference in self._outputs[name].items()}
        return {
            **outputs,
            "head": self._heads[name].to_dict(),
            "direct": self._direct[name, self._llm].to_dict(),
        }

    def _llm_figures(self, name: str) -> dict[str, Any]:
        return {
            "logits": self._logits[name].to_dict(),
            "same_token": _short(float(np.mean(self._same_tokens[name]))),
            "direct": self._direct[self._tower, name].to_dict(),
        }
