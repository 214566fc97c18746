"""The streaming stager."""

from __future__ import annotations

import logging
import threading
import time
from asyncio import to_thread
from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from ..calibration.recording import scored_probabilities
from ..calibration.smoothing import CausalSmoother
from ..errors import BundleError, InputError, UnitError
from ..prediction import Outcome
from ..signal.conditioning import check_sfreq, lookahead_s
from ..signal.epochs import EpochCutter
from ..signal.quality import QualityFlag
from ..signal.units import array_of, check_amplitude, is_real, one_channel, to_microvolts
from ..sources.chunk import chunks_of, chunks_of_async
from .clocks import DriftMeter, HostClock, age_s
from .recorder import NightRecorder, SourceRecorder
from .resumption import memory_of, stages_of
from .stamps import StampReader
from .status import StreamEvent, StreamEventKind, StreamStatus, Teller
from .timeline import Step, Timeline
from .troubles import Troubles
from .worker import Answer, EpochWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from ..journal.resume import NightState
    from ..journal.writer import Journal
    from ..pipeline.pipeline import Pipeline
    from ..prediction import StagePrediction
    from ..prompt import Mode
    from ..signal.epochs import GridEpoch
    from ..sources.chunk import Chunk, ChunkSource, SourceLike
    from .options import StreamOptions

__all__ = ["StreamingStager"]

_CALM: Final = (StreamEventKind.SOURCE, StreamEventKind.CAUGHT_UP, StreamEventKind.STAMPS)
_OF_THE_CLOCK: Final = (StreamEventKind.STAMPS, StreamEventKind.RATE, StreamEventKind.SIGNAL)
"""NightFacts of how the device stamps and sends: they are in the journal too, as events of the source."""

COARSEST_S: Final = 1.0
"""Steps between timestamps of half or single precision, in s, above which they say nothing."""

_log = logging.getLogger("eegvlm_rt.streaming")


class StreamingStager:
    """Stages a night while it is recorded. Made by `Stager.stream`, which explains the options; a context
    manager. One thread pushes; `night` and `cancel_rationale` may be used from others.

    Attributes:
        sfreq: rate of the samples in Hz.
        lookahead_s: how much signal must follow the end of an epoch before it is answered.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        mode: Mode,
        *,
        constrained: bool,
        sfreq: float,
        unit: str,
        channel: str | None,
        options: StreamOptions,
        journal: Journal | None,
        resume: NightState | None,
        on_text: Callable[[int, str], None] | None,
        on_event: Callable[[StreamEvent], None] | None,
    ) -> None:
        self.sfreq = rate = check_sfreq(sfreq)
        to_microvolts(np.zeros(0), unit)
        smoother = pipeline.scoring.smoother
        if options.smooth and smoother is None:
            raise BundleError(
                "scoring.smoother", "none", "this bundle has no smoother; export one that was fitted"
            )
        first = 0 if resume is None else resume.next_epoch_index
        spec = pipeline.preprocessing
        self._unit = unit
        hop = None if options.hop_s is None else round(options.hop_s * spec.sfreq)
        self._cutter = EpochCutter(rate, spec, channel=channel, hop=hop, first_index=first)
        self._timeline = Timeline(
            rate,
            self._cutter.raw,
            anchor_s=options.lights_off_s if resume is None else resume.grid_start_device_s,
            resumed=resume is not None,
            tolerance_s=options.tolerance_s,
            max_gap_s=options.max_gap_s,
        )
        tell = Teller(self._tell)
        self._reader = StampReader(self._timeline, rate, tell)
        self._worker = EpochWorker(
            pipeline,
            mode,
            constrained=constrained,
            deadline_s=options.deadline_s,
            on_text=on_text,
            memory=memory_of(pipeline, options, resume),
        )
        self._smoother = None
        if options.smooth and smoother is not None:
            self._smoother = CausalSmoother(smoother, None if resume is None else stages_of(resume.smoothed))
        self._on_event = on_event
        self._recorder = NightRecorder(
            journal, tell, lost_before=0 if resume is None else resume.lost_records
        )
        self._source_recorder = SourceRecorder(self._recorder, tell)
        self._unrecorded = 0 if resume is None else len(resume.missing)
        self._drift, self._host = DriftMeter(), HostClock()
        self._grid_start_wall_s = None if resume is None else resume.grid_start_wall_s
        self._counts: Counter[Outcome] = Counter()
        for name, count in ({} if resume is None else resume.outcomes).items():
            if name in tuple(Outcome):
                self._counts[Outcome(name)] += count
        self._provisional = self._jumps = 0
        self._troubles = Troubles()
        self._clock_told = -1
        self._lag_s = self._worst_lag_s = 0.0
        self._lag_warning_s = options.lag_warning_s
        self._lagging = self._closed = self._unit_known = False
        self._started = False
        self._lock = threading.Lock()
        self.lookahead_s = lookahead_s(rate, spec)

    def push(
        self, samples: ArrayLike, timestamps: ArrayLike | None = None, *, received_s: float | None = None
    ) -> list[StagePrediction]:
        """Take samples; returns the predictions that they complete, in order.

        Args:
            samples: (n,) in the unit of the stream, NaN where missing; n from 0 to ten minutes and more.
            timestamps: (n,) seconds of the device's clock. Without, samples follow each other.
            received_s: host time (`time.time()`) at which they came; None is now. The lag counts from it.

        Raises:
            InputError: not (n,) real numbers each, or the stream is closed.
        """
        arrived, now = perf_counter(), time.time()
        # The lag is measured on the clock that nobody can set; a wall clock that was set in between is told
        # of, and what came before is not older for it.
        step_s = self._host.read(now, arrived)
        if step_s:
            self._tell(StreamEventKind.CLOCK, f"the host's clock was set by {step_s:+.1f} s")
        if received_s is not None and is_real(received_s) and abs(received_s) != np.inf:
            age = age_s(float(received_s), now, step_s)
            arrived, now = arrived - age, now - age if step_s else float(received_s)
        x, stamps = self._checked(samples, timestamps)
        with self._lock:
            if self._closed:
                raise InputError("stream", "closed", "open another one")
            predictions: list[StagePrediction] = []
            # Where a night goes on, the host clock is the only witness of how long nobody listened.
            if self._timeline.wall_place is None and len(x) and self._grid_start_wall_s is not None:
                self._timeline.wall_place = round((now - self._grid_start_wall_s) * self.sfreq) - len(x)
            for epochs in self._batches(self._reader.place(x, stamps)):
                self._begin(now)
                if epochs:
                    predictions += self._deliver(self._worker.answer(epochs, arrived))
            if len(x):
                device_s = (self._timeline.anchor_s or 0.0) + self.position_s
                self._drift.add(device_s, now - self._host.set_by_s)
            if self._worker.pending:
                predictions += self._deliver(self._worker.finished())
            return predictions

    def poll(self) -> list[StagePrediction]:
        """Predictions that were completed in the background since the last call; for use with a deadline."""
        with self._lock:
            return self._deliver(self._worker.finished())

    def flush(self) -> list[StagePrediction]:
        """End the night: the rest of the predictions, the last of an epoch that may be a part only. No sample
        is taken afterwards.
        """
        with self._lock:
            if self._closed:
                return []
            self._closed = True
            arrived = perf_counter()
            answers: list[Answer] = []
            try:
                for epochs in self._batches(self._reader.finish()):
                    self._begin(time.time())
                    answers += self._worker.answer(epochs, arrived)
            except UnitError as error:
                self._tell(StreamEventKind.UNIT, str(error))
            if epochs := list(self._cutter.flush()):
                answers += self._worker.answer(epochs, arrived)
            predictions = self._deliver(answers + self._worker.finished(wait=True))
            self._worker.close()
            self._recorder.shutdown(self.night)
            return predictions

    def close(self) -> list[StagePrediction]:
        """`flush`; may be called twice. The journal is the caller's to close."""
        return self.flush()

    def abandon(self) -> None:
        """Let go without ending the night: nothing more is answered, and the journal tells no shutdown."""
        with self._lock:
            self._closed = True
            self._worker.close()

    def cancel_rationale(self) -> None:
        """End the reasoning that is going on at its last whole sentence; the stage stays."""
        self._worker.cancel()

    def run(self, source: ChunkSource | Iterable[Chunk]) -> Iterator[StagePrediction]:
        """Predictions of a whole source, to the end of the night. A stall is told as an event."""
        for chunk in chunks_of(source, self._source_recorder.stalled):
            yield from self.poll() if chunk is None else self.take(chunk)
        yield from self.flush()

    async def aiter(self, source: SourceLike) -> AsyncIterator[StagePrediction]:
        """`run` for the event loop: `async for p in stream.aiter(source)`, over a sync or async source."""
        async for chunk in chunks_of_async(source, self._source_recorder.stalled):
            work = to_thread(self.poll) if chunk is None else to_thread(self.take, chunk)
            for prediction in await work:
                yield prediction
        for prediction in await to_thread(self.flush):
            yield prediction

    def take(self, chunk: Chunk) -> list[StagePrediction]:
        """`push` for a `Chunk`, whose samples are in µV; what befell its source goes to the journal."""
        self._source_recorder.heard(chunk)
        if self._unit not in ("uV", "µV", "μV"):
            raise InputError("unit", self._unit, "chunks are in µV: open the stream with unit='uV'")
        return self.push(chunk.samples, chunk.timestamps, received_s=chunk.received_s)

    @property
    def night(self) -> StreamStatus:
        """Counts and clocks so far."""
        return StreamStatus(
            epochs={outcome: self._counts[outcome] for outcome in Outcome},
            provisional=self._provisional,
            dropped_samples=self._timeline.dropped,
            grid_start_device_s=self._timeline.anchor_s,
            grid_start_wall_s=self._grid_start_wall_s,
            drift_ppm=self._drift.ppm,
            lag_s=self._lag_s,
            worst_lag_s=self._worst_lag_s,
            clock_jumps=self._jumps,
            journal_losses=self._recorder.losses,
            unrecorded=self._unrecorded,
        )

    @property
    def position_s(self) -> float:
        """Seconds of signal, missing samples included, from the start of epoch 0; may be read at any time."""
        return (self._cutter.raw.end + self._reader.waiting) / self.sfreq

    @property
    def next_index(self) -> int:
        """Number of the epoch in progress."""
        return self._cutter.in_progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.flush()
        else:
            self.abandon()

    def _checked(
        self, samples: ArrayLike, timestamps: ArrayLike | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        x = np.array(one_channel("samples", samples, self._unit))
        if timestamps is None:
            return x, None
        stamps = array_of("timestamps", timestamps)
        if stamps.shape != x.shape or stamps.dtype.kind not in "fiu":
            kind = f"{stamps.dtype} {stamps.shape}"
            raise InputError("timestamps", kind, f"give {len(x)} seconds, one per sample")
        seconds = stamps.astype(np.float64)
        if stamps.dtype.kind == "f" and stamps.dtype.itemsize < 8:
            # Unix time in float32 has steps of 128 s.
            with np.errstate(invalid="ignore", over="ignore"):
                seconds[np.abs(np.spacing(stamps)) > COARSEST_S] = np.nan
        return x, seconds

    def _batches(self, steps: Iterable[Step]) -> Iterator[list[GridEpoch]]:
        """Epochs by the piece: neither a long gap nor a long chunk becomes epochs all at once."""
        batch: list[GridEpoch] = []
        for step in steps:
            for epoch in self._done(step):
                batch.append(epoch)
                if len(batch) == 16:
                    yield batch
                    batch = []
        yield batch

    def _done(self, step: Step) -> Iterator[GridEpoch]:
        if step.flag is QualityFlag.CLOCK and step.samples is None:
            self._jumps += 1
            self._drift.restart()
            if self._cutter.in_progress != self._clock_told:
                self._clock_told = self._cutter.in_progress
                self._tell(StreamEventKind.CLOCK, "the device's clock jumped and is read anew")
        if step.gap:
            yield from self._cutter.skip(step.gap, step.flag)
            return
        if step.flag is not None:
            self._cutter.flag(step.flag, step.places)
        if step.samples is not None:
            yield from self._cutter.append(step.samples)

    def _begin(self, wall_s: float) -> None:
        if self._started or self._cutter.raw.end == self._cutter.raw.start:
            return
        self._started = True
        if self._grid_start_wall_s is None:
            self._grid_start_wall_s = wall_s - self._cutter.raw.end / self.sfreq
        self._record_clock(wall_s)
        self._recorder.watch()

    def _record_clock(self, wall_s: float) -> None:
        end = self._cutter.raw.end
        self._recorder.clock(
            {
                "grid_start_device_s": self._timeline.anchor_s,
                "grid_start_wall_s": self._grid_start_wall_s,
                "device_s": self._timeline.device_s(end),
                "wall_s": wall_s,
                "drift_ppm": self._drift.ppm,
                "dropped_samples": self._timeline.dropped,
                "clock_jumps": self._jumps,
            },
        )

    def _deliver(self, answers: list[Answer]) -> list[StagePrediction]:
        predictions = [self._one(answer) for answer in answers]
        # A final answer is on the disk before it is given: whoever saw a stage finds it in the journal.
        if any(not p.provisional for p in predictions):
            self._record_clock(time.time())
            self._recorder.sync()
        return predictions

    def _one(self, answer: Answer) -> StagePrediction:
        lag_s = max(0.0, perf_counter() - answer.arrived)
        prediction, epoch = answer.prediction, answer.epoch
        if not epoch.final or prediction.provisional:
            self._provisional += 1
            prediction = prediction.with_fields(provisional=True, lag_s=lag_s)
            if epoch.final:
                self._recorder.prediction(prediction, epoch, self._timeline.device_s(epoch.end - 1))
                self._recorder.sync()
            return prediction
        smoothed = None if self._smoother is None else self._smoother.update(scored_probabilities(prediction))
        prediction = prediction.with_fields(lag_s=lag_s, smoothed=smoothed)
        self._counts[prediction.outcome] += 1
        self._check_unit(epoch)
        self._watch_lag(lag_s)
        for trouble in self._troubles.add(epoch.quality, self._timeline.drifted, epoch.n_samples):
            self._tell(StreamEventKind.SIGNAL, trouble)
        if prediction.outcome is Outcome.FAILED:
            self._tell(StreamEventKind.FAILED, prediction.error)
        self._recorder.prediction(prediction, epoch, self._timeline.device_s(epoch.end - 1))
        return prediction

    def _check_unit(self, epoch: GridEpoch) -> None:
        if self._unit_known or epoch.quality.missing_share > 0.5:
            return
        self._unit_known = True
        try:
            check_amplitude(epoch.x, self._unit)
        except UnitError as error:
            self._tell(StreamEventKind.UNIT, str(error))

    def _watch_lag(self, lag_s: float) -> None:
        self._lag_s, self._worst_lag_s = lag_s, max(self._worst_lag_s, lag_s)
        if (lag_s > self._lag_warning_s) != self._lagging:
            self._lagging = not self._lagging
            kind = StreamEventKind.LAG if self._lagging else StreamEventKind.CAUGHT_UP
            self._tell(kind, f"answers stand {lag_s:.1f} s behind the wire")

    def _tell(self, kind: StreamEventKind, detail: str) -> None:
        _log.log(logging.INFO if kind in _CALM else logging.WARNING, "%s: %s", kind, detail)
        if kind in _OF_THE_CLOCK:
            self._recorder.source(str(kind), time.time(), detail)
        if self._on_event is not None:
            self._on_event(StreamEvent(kind, time.time(), self._cutter.in_progress, detail))
