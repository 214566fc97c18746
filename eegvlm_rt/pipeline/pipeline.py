"""The parts of a bundle at work: picture, tower, language model, and what is measured beside them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ..backends.loading import load_head, load_memory, load_tower
from ..decoding.result import Decoded
from ..decoding.stopping import Stop, never
from ..errors import InputError
from ..findings.measure import measure_batch
from ..findings.model import Findings
from ..memory.night_memory import NightMemory
from ..prediction import AnsweredBy, Outcome, StagePrediction, Unmeasured, UnmeasuredBatch, outcome_of
from ..prompt import Mode
from ..signal.quality import mostly_missing
from ..signal.units import array_of, not_one_channel
from .answers import Answer, prediction_of
from .canvases import Canvases
from .places import places_of
from .seen_epoch import MeasuredEpoch, SeenEpoch, stage_probabilities
from .specs import EPOCH_SAMPLES, Specs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..backends.base import Accelerator, VisionTower
    from ..backends.ort_options import OrtOptions
    from ..bundle.opening import Bundle
    from ..decoding.decoder import Decoder
    from ..devices.buffers import DeviceArray
    from ..memory.night_memory import Remembered
    from ..memory.state import MemoryState
    from ..signal.epochs import GridEpoch

__all__ = ["Pipeline"]

WIDE: Final = 1024
"""Hidden size from which the products of one run are worth sharing out among threads."""


DEFAULT_TEXTS: Final = 128
TEXTS_BYTES: Final = 1 << 30
"""Texts that are decoded side by side unless another number is asked for, where the model can: so many, or as
many as have room in so much memory for their keys and values."""


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What the vision networks say of one picture."""

    stage_logits: NDArray[np.float32]
    high_level: NDArray[np.float32] | None
    visual_tokens: NDArray[np.float32] | DeviceArray | None


class Pipeline:
    """A bundle's models, loaded. Head and night memory are loaded at once, tower and decoder when they are
    first needed; the tower at once too where a bundle has no head of its own.

    A small model works on `workers` epochs at a time with one thread each, which wastes nothing on waiting; a
    large one on a single epoch with all threads. Where one thread is asked for, it is the caller's. On an
    `accelerator` the models take turns, and what stays on the processor (drawing, measuring, checking) goes
    on beside them.

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
        ort_options: OrtOptions | None = None,
        text_batch: int | None = None,
    ) -> None:
        unknown = set(precision) - {"tower", "llm"}
        if unknown:
            raise InputError("precision", sorted(unknown), "name the components tower and llm")
        self.bundle = bundle
        self.threads = threads
        self._precision = dict(precision)
        self._accelerator, self._ort_options = accelerator, ort_options
        self._text_batch = text_batch
        manifest = bundle.manifest
        specs = Specs.of(manifest)
        self.preprocessing, self.render_spec = specs.preprocessing, specs.render
        self.scoring, self._prompt = specs.scoring, specs.prompt
        self.draft = manifest.model_id if manifest.draft else ""
        wide = manifest.hidden_size >= WIDE
        self.workers = 1 if wide else threads
        self._run_threads = threads if wide else 1
        self.single_thread = threads == 1 and accelerator is None
        self._head = load_head(
            bundle, threads=self._run_threads, accelerator=accelerator, ort_options=ort_options
        )
        network = None
        if self._head is not None:
            network = load_memory(
                bundle, self._head.features, accelerator=accelerator, ort_options=ort_options
            )
        self.memory = None if network is None else NightMemory(network)
        self.places = places_of(accelerator, self._head, network)
        self._tower: VisionTower | None = None
        self._decoder: Decoder | None = None
        self._lock = threading.Lock()
        self._canvases = Canvases(specs.render)
        if self._head is None:
            self._load_tower()

    def _load_tower(self) -> VisionTower:
        """The vision tower, loaded at the first call; a bundle with a head of its own needs it for the
        language model only."""
        with self._lock:
            if self._tower is None:
                self._tower = load_tower(
                    self.bundle,
                    threads=self._run_threads,
                    precision=self._precision.get("tower"),
                    accelerator=self._accelerator,
                    ort_options=self._ort_options,
                )
            return self._tower

    @property
    def has_head(self) -> bool:
        """Whether the stage head is a graph of its own, whose answers do not depend on the batch."""
        return self._head is not None

    def load_decoder(self) -> Decoder:
        """The decoder, and the tower whose tokens it reads, loaded at the first call."""
        from .decoder_of import decoder_of

        self._load_tower()
        with self._lock:
            if self._decoder is None:
                self._decoder = decoder_of(
                    self.bundle,
                    self._prompt,
                    threads=self._run_threads,
                    precision=self._precision.get("llm"),
                    accelerator=self._accelerator,
                    ort_options=self._ort_options,
                )
            return self._decoder

    @property
    def text_batch(self) -> int:
        """Epochs of a recording whose texts are decoded side by side; loads the decoder.

        Raises InputError where more were asked for than the language model reads in one run.
        """
        most = self.load_decoder().most_texts
        tokens = self.bundle.manifest.visual_tokens
        if self._text_batch is None:
            return min(DEFAULT_TEXTS, most(tokens, TEXTS_BYTES))
        if self._text_batch > most(tokens, 1 << 60):
            cure = 'this language model reads one text at a time; give 1, or take backend="cuda" with '
            cure += 'precision={"llm": "int4"}, or another graph of standard operators'
            raise InputError("text_batch", self._text_batch, cure)
        return self._text_batch

    def check_conditioned(self, x: ArrayLike) -> NDArray[np.float32]:
        """`x` as a conditioned epoch; raises InputError for anything but (3000,) real numbers."""
        samples = array_of("x", x)
        if samples.ndim != 1:
            raise not_one_channel("x", samples.shape)
        if samples.shape != (EPOCH_SAMPLES,) or samples.dtype.kind not in "fiu":
            raise InputError("x", f"{samples.dtype} {samples.shape}", "give (3000,) µV at 100 Hz")
        return samples.astype(np.float32, copy=False)

    def measure(self, rows: Sequence[GridEpoch], mode: Mode = Mode.COT) -> list[MeasuredEpoch]:
        """Measure some epochs together, each on its own; many together take less time.

        For `head` no findings are measured yet: it gives no reasons that are held against them, so they can
        wait until they are asked for.
        """
        started = perf_counter()
        epochs = np.stack([row.x for row in rows])
        findings: Sequence[Findings | Unmeasured]
        if mode is Mode.HEAD:
            batch = UnmeasuredBatch(epochs)
            findings = [Unmeasured(batch, place) for place in range(len(rows))]
        else:
            findings = measure_batch(epochs)
        outliers = self.scoring.outliers
        scores = [None] * len(rows) if outliers is None else outliers.scores(epochs).tolist()
        each_ms = _ms(started) / len(rows)
        return [MeasuredEpoch(*of_epoch, each_ms) for of_epoch in zip(findings, scores, strict=True)]

    def see(
        self,
        rows: Sequence[GridEpoch],
        mode: Mode = Mode.COT,
        measured: Sequence[MeasuredEpoch] | None = None,
    ) -> list[SeenEpoch]:
        """Draw and look at some epochs together, as far as `mode` needs it; `measured` are those of
        `measure`, which is asked where there are none yet.
        """
        if measured is None:
            measured = self.measure(rows, mode)
        started = perf_counter()
        epochs = np.stack([row.x for row in rows])
        # An epoch without a sample has nothing to draw; the others go through the networks together.
        present = np.flatnonzero(np.isfinite(epochs).any(axis=1)).tolist()
        views: list[_Look] = []
        drawing_s = 0.0
        if present:
            signals = epochs if len(present) == len(rows) else epochs[present]
            drawing_s, views = self._look(signals, mode)
        heads = stage_probabilities([look.stage_logits for look in views])
        looks = dict(zip(present, zip(views, heads, strict=True), strict=True))
        # The batch's time is shared out evenly among its epochs.
        each = 1e3 / max(1, len(present))
        tower_s = perf_counter() - started - drawing_s
        results = []
        for i, (row, of_signal) in enumerate(zip(rows, measured, strict=True)):
            look, head = looks.get(i, (None, None))
            results.append(
                SeenEpoch(
                    row,
                    of_signal.findings,
                    head,
                    None if look is None else look.visual_tokens,
                    of_signal.measure_ms,
                    0.0 if look is None else drawing_s * each,
                    0.0 if look is None else tower_s * each,
                    None if look is None else of_signal.ood_score,
                    None if look is None else look.stage_logits,
                    None if look is None else look.high_level,
                )
            )
        return results

    def _look(self, signals: NDArray[np.float32], mode: Mode) -> tuple[float, list[_Look]]:
        """Seconds of drawing, and what the vision networks say of each of (n, 3000) signals.

        A head of its own always gives the stage, so that it is the same in every mode.
        """
        drawing_s, n = 0.0, len(signals)
        stages: list[tuple[NDArray[np.float32], NDArray[np.float32] | None]] = []
        to_tower = self._head is None or mode is not Mode.HEAD
        pictures = self._canvases.room("f32", n) if to_tower else None
        drawn = False
        if self._head is not None:
            output: Literal["gray_f32", "f32"] = "gray_f32" if self._head.planes == 1 else "f32"
            # A head of the CPU reads few pictures at a time, as they are drawn.
            on_cpu = self.places["head"] == "cpu" and self._ort_options is None
            at_once = min(n, self._canvases.few(output)) if on_cpu else n
            # What the tower reads too is drawn once.
            drawn = pictures is not None and output == "f32"
            for first in range(0, n, at_once):
                some = signals[first : first + at_once]
                if pictures is not None and drawn:
                    canvas = pictures[first : first + at_once]
                else:
                    canvas = self._canvases.room(output, at_once)[: len(some)]
                drawing_s += self._canvases.draw(some, output, canvas)
                head = self._head(canvas[:, None] if output == "gray_f32" else canvas)
                stages += zip(head.stage_logits, head.high_level, strict=True)
        tower = None
        if pictures is not None:
            if not drawn:
                drawing_s += self._canvases.draw(signals, "f32", pictures)
            tower = self._load_tower()(pictures)
            if self._head is None:
                stages = [(logits, None) for logits in tower.stage_logits]
        return drawing_s, [
            _Look(*stages[i], None if tower is None else tower.visual_tokens[i]) for i in range(n)
        ]

    def remember(self, look: SeenEpoch, state: MemoryState) -> Remembered:
        """The epoch with its night in mind, `state` being the memory after the epoch before.

        An epoch without a usable signal is passed over. Raises BackendError where the network fails,
        InputError for a bundle without a memory.
        """
        if self.memory is None:
            raise InputError("memory", "none", "this bundle has no night memory; stage without one")
        if look.outcome is not Outcome.SCORED or look.stage_logits is None or look.high_level is None:
            return self.memory.pass_over(state)
        findings = None if isinstance(look.findings, Unmeasured) else look.findings
        return self.memory.read(state, look.high_level, look.stage_logits, findings)

    def answer(
        self,
        look: SeenEpoch,
        mode: Mode,
        *,
        constrained: bool = True,
        on_text: Callable[[str], None] | None = None,
        stop: Stop = never,
        stage_first: bool = False,
        remembered: Remembered | None = None,
    ) -> StagePrediction:
        """The prediction for an epoch that was looked at. `stage_first` asks the direct question before
        reasoning. `remembered` is the epoch with its night in mind: then the language model knows the night,
        and the reasons state what the record says of the epochs before.
        """
        if look.head is None:
            findings = measure_batch(look.row.x[None])[0]
            unanswered = StagePrediction.unanswered(
                look.row, mode, outcome_of(look.row.quality), findings=findings, total_ms=look.seen_ms
            )
            return unanswered if remembered is None else replace(unanswered, memory=remembered.state)
        started = perf_counter()
        night = remembered if remembered is not None and remembered.probabilities is not None else None
        if mostly_missing(look.row.quality):
            # Signal that mostly did not come has an opinion of the head, and no reasons.
            answer = self._without_language(look, night)
        elif mode is Mode.HEAD or stop() is not None:
            answer = self._without_language(look, night, _unstarted(mode, stop))
        elif mode is Mode.DIRECT:
            answer = self._direct(look, night)
        else:
            answer = self._reason(look, constrained, on_text, stop, stage_first, night)
        total_ms = look.seen_ms + _ms(started)
        return prediction_of(look, mode, answer, total_ms, self.scoring, remembered, self.draft)

    def _without_language(
        self, look: SeenEpoch, night: Remembered | None, decoded: Decoded | None = None
    ) -> Answer:
        """The memory's answer, or the head's where there is no night."""
        assert look.head is not None
        if night is None or night.probabilities is None:
            return Answer(look.head, AnsweredBy.HEAD, decoded, stage_ms=look.seen_ms)
        return Answer(night.probabilities, AnsweredBy.MEMORY, decoded, stage_ms=look.seen_ms)

    def _direct(self, look: SeenEpoch, night: Remembered | None) -> Answer:
        decoder = self.load_decoder()
        assert look.visual_tokens is not None
        started = perf_counter()
        prefix = decoder.prefix(look.visual_tokens, None if night is None else night.token)
        prefill_ms = _ms(started)
        probabilities = decoder.score_stages(prefix)
        total_ms = _ms(started)
        return Answer(
            probabilities,
            AnsweredBy.DIRECT,
            prefill_ms=prefill_ms,
            decode_ms=total_ms - prefill_ms,
            stage_ms=look.seen_ms + total_ms,
            steps=1,
        )

    def _reason(
        self,
        look: SeenEpoch,
        constrained: bool,
        on_text: Callable[[str], None] | None,
        stop: Stop,
        stage_first: bool,
        night: Remembered | None,
    ) -> Answer:
        decoder = self.load_decoder()
        assert look.visual_tokens is not None
        started = perf_counter()
        prefix = decoder.prefix(look.visual_tokens, None if night is None else night.token)
        context = None if night is None else night.context
        prefill_ms = _ms(started)
        # With a deadline the stage is asked for before the reasons, which may then be cut off.
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
        # Reasons that end without a rule say no stage: the direct question does, if there is time.
        if decoded.probabilities is None and direct is None and stop() is None:
            direct, direct_ms = decoder.score_stages(prefix), _ms(started)
            steps += 1
        # The best answer that there is: the rule's, the direct one, the memory's or the head's.
        if decoded.probabilities is not None:
            probabilities, source = dict(decoded.probabilities), AnsweredBy.RULE
            stage_ms = look.seen_ms + (rule_ms or _ms(started))
        elif direct is not None:
            probabilities, source, stage_ms = direct, AnsweredBy.DIRECT, look.seen_ms + direct_ms
        else:
            cheap = self._without_language(look, night)
            probabilities, source, stage_ms = cheap.probabilities, cheap.source, look.seen_ms
        return Answer(
            probabilities,
            source,
            decoded,
            prefill_ms,
            _ms(started) - prefill_ms,
            look.seen_ms + first_token_ms if first_token_ms else 0.0,
            stage_ms,
            steps,
        )


def _unstarted(mode: Mode, stop: Stop) -> Decoded | None:
    finish = stop() if mode is Mode.COT else None
    return Decoded("", None, None, finish, 0, 0) if finish else None


def _ms(started: float) -> float:
    return (perf_counter() - started) * 1e3
