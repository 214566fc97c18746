"""The parts of a bundle at work: picture, tower, language model, and what is measured beside them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np
from tokenizers import Tokenizer

from .backends import load_language_model, load_tower
from .calibration import Scoring, tempered
from .decoding import Decoded, Decoder, Finish, compile_grammar, prompt_tokens
from .decoding.stopping import Stop, never
from .errors import BundleError, InputError
from .findings import Findings, measure_batch
from .prediction import AnsweredBy, HeadOpinion, Outcome, StagePrediction, Timing, outcome_of
from .prompt import Mode, PromptSpec
from .rationale import NightContext, check, grammar_of
from .rendering.renderer import RenderSpec, render_batch
from .signal.conditioning import Preprocessing
from .signal.units import array_of
from .stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from .bundle import Bundle
    from .signal.epochs import GridEpoch
    from .tensorrt.accelerator import Accelerator

__all__ = ["Pipeline", "SeenEpoch", "default_threads"]

EPOCH_SAMPLES: Final = 3000
MAX_DEFAULT_THREADS: Final = 4
WIDE: Final = 1024
"""Hidden size from which the products of one run are worth sharing out among threads."""

Probabilities = dict[Stage, float]


@dataclass(frozen=True, slots=True, eq=False)
class SeenEpoch:
    """An epoch after the tower. `head` and `visual_tokens` (V, D) are None where it has no sample at all.

    `head` is as the model answers, without a temperature; `ood_score` is None where the bundle cannot tell.
    """

    row: GridEpoch
    findings: Findings
    head: Probabilities | None
    visual_tokens: NDArray[np.float32] | None
    measure_ms: float
    render_ms: float
    tower_ms: float
    ood_score: float | None = None

    @property
    def seen_ms(self) -> float:
        """Time spent on the epoch so far."""
        return self.measure_ms + self.render_ms + self.tower_ms


@dataclass(frozen=True, slots=True)
class _Answer:
    probabilities: Probabilities
    source: AnsweredBy
    decoded: Decoded | None = None
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    first_token_ms: float = 0.0
    stage_ms: float = 0.0
    steps: int = 0


class Pipeline:
    """A bundle's models, loaded. The tower is loaded at once, the decoder when it is first needed.

    A small model works on `workers` epochs at a time with one thread each, which wastes nothing on waiting; a
    large one on a single epoch with all threads, and so does one on an `accelerator`.

    Raises BundleError for specs in the manifest that the runtime does not know, BackendError for graphs that
    do not fit.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int,
        precision: Mapping[str, str],
        accelerator: Accelerator | None = None,
    ) -> None:
        unknown = set(precision) - {"tower", "llm"}
        if unknown:
            raise InputError("precision", sorted(unknown), "name the components tower and llm")
        self.bundle = bundle
        self.threads = threads
        self._precision = dict(precision)
        self._accelerator = accelerator
        manifest = bundle.manifest
        try:
            self.preprocessing = Preprocessing.from_dict(dict(manifest.preprocessing))
            self.render_spec = RenderSpec.from_dict(manifest.render)
            self._prompt = PromptSpec.from_dict(manifest.prompt)
            grammar_of(self._prompt.grammar)
            self.scoring = Scoring.from_dict(manifest.scoring)
        except (InputError, TypeError) as error:
            raise BundleError("manifest", str(error), "export the bundle again with this version") from error
        if self.render_spec.channels != 1 or self.preprocessing.sfreq * 30 != EPOCH_SAMPLES:
            raise BundleError("manifest", manifest.model_id, "this runtime reads one channel at 100 Hz")
        wide = manifest.hidden_size >= WIDE
        alone = wide or accelerator is not None
        self.workers = 1 if alone else threads
        self._run_threads = threads if wide else 1
        self._tower = load_tower(
            bundle,
            threads=self._run_threads,
            precision=precision.get("tower"),
            accelerator=accelerator,
        )
        self._decoder: Decoder | None = None
        self._lock = threading.Lock()
        self._local = threading.local()

    def load_decoder(self) -> Decoder:
        """The decoder, loaded at the first call."""
        with self._lock:
            if self._decoder is None:
                self._decoder = self._make_decoder()
            return self._decoder

    def check_conditioned(self, x: ArrayLike) -> NDArray[np.float32]:
        """`x` as a conditioned epoch; raises InputError for anything but (3000,) real numbers."""
        samples = array_of("x", x)
        if samples.shape != (EPOCH_SAMPLES,) or samples.dtype.kind not in "fiu":
            raise InputError("x", f"{samples.dtype} {samples.shape}", "give (3000,) µV at 100 Hz")
        return samples.astype(np.float32, copy=False)

    def see(self, rows: Sequence[GridEpoch]) -> list[SeenEpoch]:
        """Measure, draw and look at some epochs together."""
        started = perf_counter()
        epochs = np.stack([row.x for row in rows])
        findings = measure_batch(epochs)
        outliers = self.scoring.outliers
        foreign = None if outliers is None else outliers.scores(epochs)
        measured = perf_counter()
        present = [i for i, row in enumerate(rows) if np.isfinite(row.x).any()]
        heads: list[Probabilities | None] = [None] * len(rows)
        tokens: list[NDArray[np.float32] | None] = [None] * len(rows)
        drawn = measured
        if present:
            signals = np.stack([rows[i].x for i in present])
            pictures = render_batch(signals, self.render_spec, output="f32", out=self._canvas(len(present)))
            drawn = perf_counter()
            output = self._tower(pictures)
            for place, i in enumerate(present):
                heads[i] = _softmax(output.stage_logits[place])
                tokens[i] = output.visual_tokens[place]
        finished = perf_counter()
        each = 1e3 / len(rows)
        drawn_each = 1e3 / max(1, len(present))
        return [
            SeenEpoch(
                row,
                findings[i],
                heads[i],
                tokens[i],
                (measured - started) * each,
                (drawn - measured) * drawn_each if tokens[i] is not None else 0.0,
                (finished - drawn) * drawn_each if tokens[i] is not None else 0.0,
                None if foreign is None or tokens[i] is None else float(foreign[i]),
            )
            for i, row in enumerate(rows)
        ]

    def _canvas(self, n: int) -> NDArray[np.float32]:
        kept: NDArray[np.float32] | None = getattr(self._local, "canvas", None)
        if kept is None or len(kept) < n:
            kept = self._local.canvas = np.empty((n, *self.render_spec.shape("f32")), dtype=np.float32)
        return kept[:n]

    def answer(
        self,
        seen: SeenEpoch,
        mode: Mode,
        *,
        constrained: bool = True,
        on_text: Callable[[str], None] | None = None,
        stop: Stop = never,
        stage_first: bool = False,
        context: NightContext | None = None,
    ) -> StagePrediction:
        """The prediction for an epoch that was looked at. `stage_first` asks the direct question before
        reasoning; `context` is what the night's record says of the epochs before, which the reasons then
        state and are held against.
        """
        if seen.head is None or seen.visual_tokens is None:
            outcome = outcome_of(seen.row.quality)
            return StagePrediction.unanswered(
                seen.row, mode, outcome, findings=seen.findings, total_ms=seen.seen_ms
            )
        started = perf_counter()
        if mode is Mode.HEAD or stop() is not None:
            answer = _Answer(seen.head, AnsweredBy.HEAD, _unstarted(mode, stop), stage_ms=seen.seen_ms)
        elif mode is Mode.DIRECT:
            answer = self._direct(seen)
        else:
            answer = self._reason(seen, constrained, on_text, stop, stage_first, context)
        return _prediction(seen, mode, answer, seen.seen_ms + _ms(started), self.scoring, context)

    def _direct(self, seen: SeenEpoch) -> _Answer:
        decoder = self.load_decoder()
        assert seen.visual_tokens is not None
        started = perf_counter()
        prefix = decoder.prefix(seen.visual_tokens)
        prefill_ms = _ms(started)
        probabilities = decoder.score_stages(prefix)
        total_ms = _ms(started)
        return _Answer(
            probabilities,
            AnsweredBy.DIRECT,
            prefill_ms=prefill_ms,
            decode_ms=total_ms - prefill_ms,
            stage_ms=seen.seen_ms + total_ms,
            steps=1,
        )

    def _reason(
        self,
        seen: SeenEpoch,
        constrained: bool,
        on_text: Callable[[str], None] | None,
        stop: Stop,
        stage_first: bool,
        context: NightContext | None,
    ) -> _Answer:
        decoder = self.load_decoder()
        assert seen.head is not None
        assert seen.visual_tokens is not None
        started = perf_counter()
        prefix = decoder.prefix(seen.visual_tokens)
        prefill_ms = _ms(started)
        direct, direct_ms = None, 0.0
        if stage_first:
            direct, direct_ms = decoder.score_stages(prefix), _ms(started)
        first_token_ms = rule_ms = 0.0
        stream = decoder.stream_rationale(prefix, constrained=constrained, stop=stop, context=context)
        while True:
            try:
                piece = next(stream)
            except StopIteration as end:
                decoded: Decoded = end.value
                break
            first_token_ms = first_token_ms or _ms(started)
            if piece.probabilities is not None:
                rule_ms = rule_ms or _ms(started)
            if on_text is not None and piece.text:
                on_text(piece.text)
        steps = decoded.steps + int(stage_first)
        if decoded.probabilities is None and direct is None and stop() is None:
            direct, direct_ms = decoder.score_stages(prefix), _ms(started)
            steps += 1
        if decoded.probabilities is not None:
            found, source = dict(decoded.probabilities), AnsweredBy.RULE
            stage_ms = seen.seen_ms + (rule_ms or _ms(started))
        elif direct is not None:
            found, source, stage_ms = direct, AnsweredBy.DIRECT, seen.seen_ms + direct_ms
        else:
            found, source, stage_ms = seen.head, AnsweredBy.HEAD, seen.seen_ms
        return _Answer(
            found,
            source,
            decoded,
            prefill_ms,
            _ms(started) - prefill_ms,
            seen.seen_ms + first_token_ms if first_token_ms else 0.0,
            stage_ms,
            steps,
        )

    def _make_decoder(self) -> Decoder:
        bundle = self.bundle
        try:
            tokenizer = Tokenizer.from_buffer(bundle.read(bundle.component("tokenizer")))
        except ValueError as error:
            raise BundleError(
                "tokenizer", str(error), "give a tokenizer.json of the tokenizers library"
            ) from error
        prompt = self._prompt
        stage_tokens = dict(zip(STAGES, prompt.stage_token_ids(tokenizer), strict=True))
        listed = {stage: bundle.manifest.stage_tokens[stage.name] for stage in STAGES}
        if stage_tokens != listed:
            raise BundleError("stage_tokens", listed, f"the tokenizer says {stage_tokens}")
        tokens = prompt_tokens(prompt, tokenizer)
        return Decoder(
            load_language_model(
                bundle,
                threads=self._run_threads,
                precision=self._precision.get("llm"),
                accelerator=self._accelerator,
            ),
            tokens,
            compile_grammar(
                lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
                tokens.eos,
                prompt.grammar,
            ),
            lambda ids: tokenizer.decode(ids, skip_special_tokens=False),
            stage_tokens,
        )


def default_threads() -> int:
    """Processors this process may use, at most 4."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_DEFAULT_THREADS, usable)


_MODE_OF: Final = {AnsweredBy.HEAD: Mode.HEAD, AnsweredBy.DIRECT: Mode.DIRECT, AnsweredBy.RULE: Mode.COT}


def _prediction(
    seen: SeenEpoch,
    mode: Mode,
    answer: _Answer,
    total_ms: float,
    scoring: Scoring,
    context: NightContext | None,
) -> StagePrediction:
    assert seen.head is not None
    stage = _most_probable(answer.probabilities)
    head = HeadOpinion(_most_probable(seen.head), tempered(seen.head, scoring.temperature_of(Mode.HEAD)))
    decoded = answer.decoded
    rationale = decoded.rationale if decoded else None
    return StagePrediction(
        index=seen.row.index,
        start_s=seen.row.start_s,
        stage=stage,
        probabilities=tempered(answer.probabilities, scoring.temperature_of(_MODE_OF[answer.source])),
        mode=mode,
        source=answer.source,
        head=head,
        agrees=head.stage is stage,
        rationale=rationale,
        rationale_text=decoded.text if decoded else "",
        finish=decoded.finish if decoded else Finish.NONE,
        findings=seen.findings,
        checks=check(rationale, seen.findings, context) if rationale else (),
        timing=Timing(
            render_ms=seen.render_ms,
            tower_ms=seen.tower_ms,
            prefill_ms=answer.prefill_ms,
            decode_ms=answer.decode_ms,
            total_ms=total_ms,
            tokens=decoded.tokens if decoded else 0,
            steps=answer.steps,
            first_token_ms=answer.first_token_ms,
            stage_ms=answer.stage_ms,
        ),
        quality=seen.row.quality,
        channel=seen.row.channel,
        outcome=_outcome(seen),
        ood_score=seen.ood_score,
    )


def _outcome(seen: SeenEpoch) -> Outcome:
    outcome = outcome_of(seen.row.quality)
    foreign = seen.ood_score is not None and seen.ood_score > 1.0
    return Outcome.UNSCORABLE if foreign and outcome is Outcome.SCORED else outcome


def _unstarted(mode: Mode, stop: Stop) -> Decoded | None:
    finish = stop() if mode is Mode.COT else None
    return Decoded("", None, None, finish, 0, 0) if finish else None


def _softmax(logits: NDArray[np.float32]) -> Probabilities:
    weights = np.exp(logits.astype(np.float64) - float(logits.max()))
    return {stage: float(p) for stage, p in zip(STAGES, weights / weights.sum(), strict=True)}


def _most_probable(probabilities: Mapping[Stage, float]) -> Stage:
    return max(STAGES, key=probabilities.__getitem__)


def _ms(started: float) -> float:
    return (perf_counter() - started) * 1e3
