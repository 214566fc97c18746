"""The stager: signal in, stage with reasons out."""

from __future__ import annotations

import os
import threading
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .backends.ort_options import ort_options
from .bundle.find import find_bundle
from .bundle.opening import Bundle
from .calibration.recording import smoothed
from .decoding.on_text import TextCallback, epoch_and_text
from .decoding.stopping import stop_when
from .errors import InputError
from .night.night import Night, NightInfo
from .pipeline.groups import predictions_of_groups
from .pipeline.load_options import accelerator_of, text_count, thread_count, warn_of_draft
from .pipeline.pipeline import Pipeline
from .pipeline.side_by_side import predictions_of_rows
from .prompt import Mode
from .signal.epochs import GridEpoch, epoch_of_samples, epochs_of
from .signal.units import is_real
from .sources.lights import lights_of
from .sources.rows import recording_of, rows_of
from .streaming.options import StreamOptions, with_old_keywords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike
    from onnxruntime import SessionOptions

    from .backends.base import Accelerator
    from .backends.ort_options import Provider
    from .bundle.trust import TrustPolicy
    from .journal.resume import NightState
    from .journal.writer import Journal
    from .memory.state import MemoryState
    from .prediction import StagePrediction
    from .signal.quality import Quality
    from .streaming.stager import StreamingStager
    from .streaming.status import StreamEvent

__all__ = ["Stager", "StreamOptions", "predict_epoch"]


class Stager:
    """Stages epochs and recordings with one bundle. Made by `Stager.load`; may be used from several threads.

    Attributes:
        bundle: the opened bundle.
        mode: mode of a prediction unless it names another.
        constrained: whether reasoning keeps to the grammar.
        threads: processors in use.
    """

    def __init__(
        self, bundle: Bundle, pipeline: Pipeline, *, mode: Mode = Mode.COT, constrained: bool = True
    ) -> None:
        self.bundle = bundle
        self.mode = mode
        self.constrained = constrained
        self._pipeline = pipeline

    @classmethod
    def load(
        cls,
        name_or_path: str | os.PathLike[str] = "nano",
        *,
        mode: str = "cot",
        threads: int | None = None,
        constrained: bool = True,
        verify: bool = True,
        precision: dict[str, str] | None = None,
        trust: TrustPolicy | None = None,
        backend: str | Accelerator = "onnxruntime",
        device: int = 0,
        providers: Sequence[Provider] | None = None,
        session_options: SessionOptions | None = None,
        text_batch: int | None = None,
    ) -> Stager:
        """Open, verify and load a bundle.

        Args:
            name_or_path: name of a bundle ("nano") or path of its folder.
            mode: "head", "direct" or "cot". With "head" the language model is loaded only if another mode is
                used.
            threads: processors to use; None takes those at hand, at most 4.
            constrained: False lets reasoning be any text; it is parsed afterwards.
            verify: False skips sizes and digests, for a bundle that was verified already.
            precision: precision of a component where the bundle holds several, {"llm": "int8"}.
            trust: whose signature the bundle must have, `TrustPolicy(keys, require_signature=True)`; None
                takes the device's, `TrustPolicy.from_environment()`.
            backend: "onnxruntime" on the CPU; "cuda" for ONNX Runtime on an NVIDIA GPU, "cuda+cpu" with head
                and night memory on the CPU; "tensorrt" on the GPU, with the plans that `eegvlm-rt bundle
                build-engines` built here.
            device: number of the GPU.
            providers: ONNX Runtime's execution providers in order of preference, names or (name, options);
                None is the CPU. With another than the CPU answers differ by rounding.
            session_options: an `onnxruntime.SessionOptions` for all graphs of this stager; None takes this
                package's, with which the same input gives the same output to the last bit. Its
                `intra_op_num_threads` count within a graph; `threads` says then how many epochs are worked
                on at a time. Give every stager an object of its own: weights may be added to it.
            text_batch: epochs of a recording whose texts are decoded in the same runs of the language model,
                1..256, in "direct" and "cot" where reasoning keeps to the grammar. None takes 128, or as many
                as have their keys and values in 1 GiB, where the model reads several texts in one run ("cuda"
                with a graph of standard operators, such as "int4"), and 1 elsewhere. Answers to several at a
                time differ by rounding from those to one.

        A bundle that was published as a draft is loaded with a DraftWarning, and its files are marked.

        Raises:
            BundleError: no such bundle, or one that breaks the schema. SignatureError: not signed as `trust`
            asks. IntegrityError: a file is not what the manifest lists. BackendError: a graph that does not
            fit, no GPU, no plan for it, or a provider that did not start. InputError: an unknown mode,
            backend or provider.
        """
        own_mode = Mode.parse(mode)
        accelerator = accelerator_of(backend, device)
        own_options = providers is not None or session_options is not None
        if accelerator is not None and own_options:
            raise InputError("backend", backend, "providers and session_options are for onnxruntime")
        bundle = Bundle.open(find_bundle(name_or_path), verify=verify, trust=trust)
        warn_of_draft(bundle.manifest)
        pipeline = Pipeline(
            bundle,
            threads=thread_count(threads),
            precision=precision or {},
            accelerator=accelerator,
            ort_options=ort_options(providers, session_options) if own_options else None,
            text_batch=text_count(text_batch),
        )
        if own_mode is not Mode.HEAD:
            _ = pipeline.text_batch
        return cls(bundle, pipeline, mode=own_mode, constrained=constrained)

    @property
    def threads(self) -> int:
        """Processors in use."""
        return self._pipeline.threads

    @property
    def places(self) -> dict[str, str]:
        """Where each network of the bundle runs: "cpu", or "gpu" for a backend that computes elsewhere."""
        return self._pipeline.places

    def predict_epoch(
        self,
        x: ArrayLike,
        sfreq: float,
        unit: str = "uV",
        *,
        channel: str | None = None,
        mode: str | None = None,
        start_s: float = 0.0,
        index: int = 0,
        on_text: TextCallback | None = None,
        cancelled: Callable[[], bool] | None = None,
        deadline_s: float | None = None,
        memory: MemoryState | None = None,
    ) -> StagePrediction:
        """Stage one epoch.

        Args:
            x: (n_samples,) of exactly 30 s, give or take one sample; NaN where samples are missing.
            sfreq: rate in Hz, 50..4096.
            unit: "uV", "µV", "mV", "V" or "nV".
            channel: name of the channel, carried to the prediction.
            mode: "head", "direct" or "cot"; None takes the stager's.
            start_s: start of the epoch in s, carried to the prediction.
            index: number of the epoch, carried to the prediction.
            on_text: called with (index, text) for each piece of the reasoning as it is decided; a function
                of one argument gets the text alone.
            cancelled: asked before every run of the language model; true ends the reasoning early.
            deadline_s: seconds from now after which the reasoning ends early. The direct question is then
                asked first, so that a stage is known however soon the reasoning ends.
            memory: the night memory after the epoch before, from `new_memory` or from that epoch's
                prediction; the next one is the prediction's `memory`. None stages the epoch alone.

        Raises:
            InputError: not one channel of 30 s (field `n_samples`), or an unknown mode. UnitError: an
            amplitude no EEG has in that unit. SamplingRateError: rate not supported. BackendError: the model
            failed.
        """
        own_mode = self._mode(mode)
        row = epoch_of_samples(
            x, sfreq, unit, self._pipeline.preprocessing, channel=channel, index=index, start_s=start_s
        )
        return self._one(row, own_mode, on_text, cancelled, deadline_s, memory)

    def new_memory(self) -> MemoryState:
        """The night memory before the first epoch of a night.

        Raises:
            InputError: this bundle has no night memory.
        """
        if self._pipeline.memory is None:
            raise InputError("memory", "none", "this bundle has no night memory; stage without one")
        return self._pipeline.memory.start()

    def predict_conditioned(
        self,
        x: ArrayLike,
        quality: Quality,
        *,
        channel: str | None = None,
        mode: str | None = None,
        start_s: float = 0.0,
        index: int = 0,
        on_text: TextCallback | None = None,
        cancelled: Callable[[], bool] | None = None,
        deadline_s: float | None = None,
        memory: MemoryState | None = None,
    ) -> StagePrediction:
        """Stage an epoch that is conditioned already: (3000,) µV at 100 Hz, with the quality of its raw
        samples.

        Everything else is as in `predict_epoch`.

        Raises:
            InputError: another shape, or an unknown mode.
        """
        row = GridEpoch(index, start_s, self._pipeline.check_conditioned(x), quality, channel)
        return self._one(row, self._mode(mode), on_text, cancelled, deadline_s, memory)

    def predict_recording(
        self,
        source: Any,
        channel: str | None = None,
        *,
        sfreq: float | None = None,
        unit: str | None = None,
        mode: str | None = None,
        cancelled: Callable[[], bool] | None = None,
        batch: int = 1,
        smooth: str | None = None,
        memory: bool = True,
    ) -> Iterator[StagePrediction]:
        """Stage a recording, one prediction per 30 s, in order.

        A recording is conditioned as a whole by causal filters and cut on the 30 s grid from its first
        sample. A last epoch that is not whole is a row too, with what is missing marked. Separate epochs are
        each conditioned on their own, as in `predict_epoch`.

        Args:
            source: path of an EDF file, a `Recording`, MNE `Raw` or `Epochs`, a sequence of `Epoch`, or an
                array: (n_samples,) is one recording, (n_epochs, n_samples) are separate epochs.
            channel: channel to read; may be left out where there is only one.
            sfreq: rate of an array in Hz.
            unit: unit of an array (None: uV), or of the physical values of a file whose header is wrong
                about it (None: the header's).
            mode: "head", "direct" or "cot"; None takes the stager's.
            cancelled: asked before every run of the language model, also from other threads; true ends the
                iteration, and epochs in work are not among the predictions.
            batch: epochs that go through the tower together, 1..64. With 1 every prediction is that of
                `predict_conditioned` to the last bit; with more, probabilities differ by float32 rounding.
                Where texts are decoded side by side (`text_batch`), it is 16 at least.
            smooth: "causal", "viterbi" or "cycles" fills `smoothed` from the course of the night: of the
                epochs so far, or of the whole recording, whose predictions then come all at its end; "cycles"
                knows the cycles of a night too. `stage` and `probabilities` stay as they are without it.
            memory: the night memory, where the bundle has one; False stages every epoch alone. Time between
                epochs that do not follow each other passes for it too.

        Returns:
            An iterator; reading and checking is done before it is returned. It belongs to the process that
            began it: in a forked child it raises BackendError.

        Raises:
            InputError and its subclasses for a source that cannot be used, BackendError where the model
            fails.
        """
        own_mode = self._mode(mode)
        if not isinstance(batch, int) or not 1 <= batch <= 64:
            raise InputError("batch", batch, "give an integer from 1 to 64")
        rows = rows_of(source, self._pipeline.preprocessing, channel=channel, sfreq=sfreq, unit=unit)
        pipeline, constrained = self._pipeline, self.constrained
        if constrained and own_mode is not Mode.HEAD and pipeline.text_batch > 1:
            predictions = predictions_of_groups(
                pipeline, rows, own_mode, batch, cancelled, remembering=memory
            )
        else:
            predictions = predictions_of_rows(
                pipeline, rows, own_mode, batch, cancelled, constrained=constrained, remembering=memory
            )
        return predictions if smooth is None else smoothed(predictions, self._pipeline.scoring, smooth)

    def predict_night(
        self,
        source: Any,
        channel: str | None = None,
        *,
        sfreq: float | None = None,
        unit: str | None = None,
        mode: str | None = None,
        cancelled: Callable[[], bool] | None = None,
        batch: int = 1,
        smooth: str | None = None,
        memory: bool = True,
    ) -> Night:
        """Stage a recording as one night: iterate over it for predictions as they come, or ask it for its
        hypnogram, table, statistics and files, which stages what is left.

        Arguments and errors are those of `predict_recording`; `source` is one recording, not separate
        epochs.
        """
        recording = recording_of(source, channel=channel, sfreq=sfreq, unit=unit)
        own_mode = self._mode(mode)
        predictions = self.predict_recording(
            recording, mode=own_mode, cancelled=cancelled, batch=batch, smooth=smooth, memory=memory
        )
        lights_off_s, lights_on_s = lights_of(recording)
        info = NightInfo(
            source="" if recording.path is None else recording.path.name,
            channel=recording.channel or None,
            sfreq=recording.sfreq,
            start=recording.start,
            duration_s=recording.duration_s,
            model_id=self.bundle.manifest.model_id,
            model_digest=self.bundle.digest,
            mode=str(own_mode),
            options={} if smooth is None else {"smooth": smooth},
            lights_off_s=lights_off_s,
            lights_on_s=lights_on_s,
            remarks=recording.remarks,
        )
        expected = epochs_of(len(recording.samples_uv), recording.sfreq)
        return Night(predictions, info, recording=recording, expected=expected)

    def stream(
        self,
        sfreq: float,
        *,
        channel: str | None = None,
        unit: str = "uV",
        mode: str | None = None,
        options: StreamOptions | None = None,
        journal: Journal | None = None,
        resume: NightState | None = None,
        on_text: TextCallback | None = None,
        on_event: Callable[[StreamEvent], None] | None = None,
        **old: Any,
    ) -> StreamingStager:
        """A stream that stages a night while it is recorded; see docs/streaming.md.

        Args:
            sfreq: nominal rate of the samples in Hz, 50..4096.
            channel: name of the channel, carried to the predictions.
            unit: "uV", "µV", "mV", "V" or "nV".
            mode: "head", "direct" or "cot"; None takes the stager's.
            options: deadline, provisional predictions, lights-off, smoothing, tolerances; see
                `StreamOptions`.
            journal: where everything is written down; the caller closes it.
            resume: the night so far, from `Journal.resume`: the grid goes on.
            on_text: as in `predict_epoch`; with a deadline it is called from another thread.
            on_event: called with what is worth knowing beside the predictions.
            old: keywords of version 0.1 (`deadline`, `hop` ...); they warn and name the option to use.

        Raises:
            InputError and its subclasses for an option that cannot be used, BundleError where smoothing is
            asked of a bundle without smoother.
        """
        from .streaming.stager import StreamingStager

        own_mode = self._mode(mode)
        if own_mode is not Mode.HEAD:
            self._pipeline.load_decoder()
        return StreamingStager(
            self._pipeline,
            own_mode,
            constrained=self.constrained,
            sfreq=sfreq,
            unit=unit,
            channel=channel,
            options=with_old_keywords(options, old),
            journal=journal,
            resume=resume,
            on_text=epoch_and_text(on_text),
            on_event=on_event,
        )

    def _one(
        self,
        row: GridEpoch,
        mode: Mode,
        on_text: TextCallback | None,
        cancelled: Callable[[], bool] | None,
        deadline_s: float | None,
        memory: MemoryState | None,
    ) -> StagePrediction:
        if deadline_s is not None and not (is_real(deadline_s) and deadline_s >= 0):
            raise InputError("deadline_s", deadline_s, "give seconds from now, 0 or more")
        listener = epoch_and_text(on_text)
        deadline = None if deadline_s is None else perf_counter() + deadline_s
        if memory is not None and self._pipeline.memory is not None:
            memory = self._pipeline.memory.check(memory)
        look = self._pipeline.see([row], mode)[0]
        return self._pipeline.answer(
            look,
            mode,
            constrained=self.constrained,
            on_text=None if listener is None else partial(listener, row.index),
            stop=stop_when(cancelled, deadline),
            stage_first=deadline is not None,
            remembered=None if memory is None else self._pipeline.remember(look, memory),
        )

    def _mode(self, mode: str | None) -> Mode:
        return self.mode if mode is None else Mode.parse(mode)


_default: Stager | None = None
_lock = threading.Lock()


def predict_epoch(
    x: ArrayLike, sfreq: float, unit: str = "uV", *, channel: str | None = None, mode: str | None = None
) -> StagePrediction:
    """`Stager.predict_epoch` on the bundle `nano`, loaded at the first call and kept."""
    global _default
    with _lock:
        if _default is None:
            _default = Stager.load()
    return _default.predict_epoch(x, sfreq, unit, channel=channel, mode=mode)
