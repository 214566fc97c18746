"""eegvlm-rt stream: a night staged while it is recorded."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..bundle.find import find_bundle
from ..errors import EegVlmError, SourceAbsentError
from ..files.outputs import check_outputs
from ..night.files import make_folder, night_paths
from ..night.night import Night
from ..signal.units import EPOCH_S
from ..sources.live import LiveSource
from ..sources.replay import ReplaySource
from ..sources.spec import open_source, parse_source
from ..streaming.options import StreamOptions
from .console import report_error
from .live_screen import Screen
from .stage import formats_of
from .staging import ONE_STOP_S, load_stager
from .stream_end import Ending
from .stream_output import JsonLines, Lines, NightFacts, event_words, is_warning
from .stream_start import begin_journal, earlier_night, lights_off_s, night_start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..journal.writer import Journal
    from ..prediction import StagePrediction
    from ..sources.remark import Remark
    from ..sources.spec import SourceSpec
    from ..stager import Stager
    from ..streaming.stager import StreamingStager
    from ..streaming.status import StreamEvent, StreamStatus
    from .stream_output import Outlet
    from .stream_start import Earlier

__all__ = ["run"]

DONE, CLOSED_PIPE, LOST, SOURCE_FAILED, NOT_YET, AT_ONCE = 0, 1, 5, 6, 75, 130
LIVE_DEADLINE_S = 20.0
_CHUNK_S = 0.25
_DROPPED_SHARE = 0.001


def run(args: argparse.Namespace) -> int:
    """Stream one night. Status: 0 ended in order, 1 nobody reads and nothing is kept, 5 records or files were
    lost, 6 the source failed for good, 75 the source is not there yet, 130 stopped at once. Raises
    EegVlmError for what cannot begin.
    """
    logging.getLogger("eegvlm_rt").addHandler(logging.NullHandler())
    formats = formats_of(args)
    spec = parse_source(args.source)
    _check_targets(args, spec, formats)
    folder = None if args.out is None else make_folder(args.out)
    earlier = earlier_night(args.journal, resume=args.resume)
    with ExitStack() as stack:
        chunk_s = min(1.0, _CHUNK_S * spec.speed)
        try:
            source = _opened(args, spec, chunk_s)
        except SourceAbsentError as error:
            if args.wait_s is None:
                raise
            report_error(str(error))
            return NOT_YET
        stack.callback(source.close)
        stager = load_stager(
            args.bundle, args.mode, args.threads, backend=args.backend, trusted_keys=args.trusted_keys
        )
        night = _StreamedNight(args, source, stager, earlier, stack)
        ended, status = night.stream_to_its_end()
    stream = night.stream
    warnings = [*night.warnings, *_dropped(stream.night, night.news, source.sfreq)]
    ending = Ending(night.news, stream.night, night.journal, ended, warnings, position_s=stream.position_s)
    if folder is not None:
        ending.leave_files(folder, formats, overwrite=args.overwrite)
    if status in (DONE, SOURCE_FAILED) and (ending.failed or ending.night.journal_losses):
        status = status or LOST
    ending.tell(night.outlet, status, as_json=args.json)
    return status


def _dropped(night: StreamStatus, news: NightFacts, sfreq: float) -> Iterator[str]:
    """A warning where the night has lost samples whose timestamps lie where others are already. Those before
    lights-off are dropped on purpose and cannot be told apart here.
    """
    share = night.dropped_samples / max(1.0, night.total * EPOCH_S * sfreq + night.dropped_samples)
    if share >= _DROPPED_SHARE and news.facts.get("lights_off") is None:
        yield (
            f"samples: {night.dropped_samples:,} ({share:.1%}) were dropped, their timestamps lie where "
            "there are samples already; see the events, and whether the device or this machine falls behind"
        )


def _check_targets(args: argparse.Namespace, spec: SourceSpec, formats: tuple[str, ...]) -> None:
    """Raises OutputError, before the night begins, where its files or its journal would replace an input or
    one another. What a person put into the folder stops no night: the files then go beside it (`Ending`).
    """
    source = spec.target if spec.kind == "edf" else None
    inputs = [source, args.trusted_keys, find_bundle(args.bundle)]
    if args.journal is not None:
        # A journal that is there is resumed or refused, never replaced.
        check_outputs([args.journal], inputs=inputs, overwrite=True)
    if args.out is not None:
        paths = night_paths(args.out, formats, record="night.json")
        paths = [path for path in paths if path.is_file() or not path.exists()]
        check_outputs(paths, inputs=[*inputs, args.journal], overwrite=True)


def _remarks(source: ReplaySource | LiveSource) -> tuple[Remark, ...]:
    return source.remarks if isinstance(source, ReplaySource) else ()


def _opened(args: argparse.Namespace, spec: SourceSpec, chunk_s: float) -> ReplaySource | LiveSource:
    """The source; one that is not there is looked for again and again for as long as `--wait-s` says."""
    until = time.monotonic() + (args.wait_s or 0.0)
    while True:
        try:
            return open_source(spec, args.channel, unit=args.unit, timeout_s=args.timeout_s, chunk_s=chunk_s)
        except SourceAbsentError:
            if time.monotonic() >= until:
                raise
            time.sleep(min(1.0, max(0.0, until - time.monotonic())))


class _StreamedNight:
    """A night with all that belongs to it, from the first chunk to the last."""

    def __init__(
        self,
        args: argparse.Namespace,
        source: ReplaySource | LiveSource,
        stager: Stager,
        earlier: Earlier | None,
        stack: ExitStack,
    ) -> None:
        self._args, self._source = args, source
        self._outlet: Outlet | None = None
        self.warnings: list[str] = [f"recording: {remark.text}" for remark in _remarks(source)]
        deadline = args.deadline_s
        if deadline is None and isinstance(source, LiveSource):
            deadline = LIVE_DEADLINE_S
        facts = _facts(args, source, stager, deadline)
        lights_off = lights_off_s(args.lights_off, source, datetime.now())
        self.journal: Journal | None
        self.journal, resumed = begin_journal(args.journal, facts, earlier)
        if self.journal is not None:
            stack.callback(self.journal.close)
        if (
            resumed is not None
            and isinstance(source, ReplaySource)
            and resumed.grid_start_device_s is not None
        ):
            source.seek(max(0.0, resumed.grid_start_device_s + EPOCH_S * resumed.next_epoch_index))
        self.stream: StreamingStager = stager.stream(
            source.sfreq,
            channel=source.channel,
            options=StreamOptions(
                deadline_s=deadline,
                hop_s=args.hop_s,
                lights_off_s=lights_off,
                memory=not args.no_memory,
                smooth=args.smooth,
                lag_warning_s=args.lag_warning_s,
                tolerance_s=args.tolerance_s,
            ),
            journal=self.journal,
            resume=resumed,
            on_text=self._text,
            on_event=self._event,
        )
        title = f"{args.source}  {source.channel}, {source.sfreq:g} Hz, {facts['bundle']} {args.mode}"
        if resumed is not None:
            title += f", goes on at epoch {resumed.next_epoch_index + 1}"
        rows = Night(keep=False) if earlier is None else Night.from_journal(earlier.records, keep=False)
        self.news = NightFacts(title, facts, lambda: night_start(source, self.stream.night), rows)
        self.outlet = self._outlet = self._chosen_outlet()

    def stream_to_its_end(self) -> tuple[str, int]:
        """Go through the source; why the night ended, and the exit status so far."""
        ended, status = "source", DONE
        try:
            with self._signals() as stopped:
                self.outlet.begin(self.news)
                try:
                    for prediction in self.stream.run(self._source):
                        self._take(prediction)
                        if self.outlet.broken and self._args.journal is None and self._args.out is None:
                            self.stream.abandon()
                            return "nobody reads", CLOSED_PIPE
                except Exception as error:
                    is_ours = isinstance(error, EegVlmError)
                    ended = str(error) if is_ours else f"{type(error).__name__}: {error}"
                    status = SOURCE_FAILED
                    for prediction in self.stream.flush():
                        self._take(prediction)
                if stopped and status == DONE:
                    ended = stopped[0]
        except KeyboardInterrupt:
            self.stream.abandon()
            return "stopped at once", AT_ONCE
        finally:
            self.outlet.close()
        return ended, status

    def _take(self, prediction: StagePrediction) -> None:
        if not prediction.provisional:
            self.news.rows.add(prediction)
        self.outlet.prediction(prediction)

    def _text(self, index: int, text: str) -> None:
        self.outlet.text(index, text)

    def _event(self, event: StreamEvent) -> None:
        if is_warning(event):
            self.warnings.append(event_words(event))
        if self._outlet is not None:
            self._outlet.event(event)

    def _chosen_outlet(self) -> Outlet:
        if self._args.json:
            return JsonLines()
        if sys.stdout.isatty() and not self._args.plain:
            screen = Screen(
                lambda: self.stream.night, lambda: self.stream.position_s, self._args.lag_warning_s
            )
            if screen.usable:
                return screen
        return Lines()

    @contextmanager
    def _signals(self) -> Iterator[list[str]]:
        """The first SIGINT, SIGTERM or SIGHUP ends the night in order, a later one at once; its name. Those
        within a second are one: `timeout` sends its signal to the process and to its group.
        """
        stopped: list[str] = []
        if threading.current_thread() is not threading.main_thread():
            yield stopped
            return

        first_at = 0.0

        def on_signal(number: int, _frame: object) -> None:
            nonlocal first_at
            if stopped and time.monotonic() - first_at < ONE_STOP_S:
                return
            if stopped:
                raise KeyboardInterrupt
            stopped.append(signal.Signals(number).name)
            first_at = time.monotonic()
            self.outlet.ending()
            self._source.stop()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, on_signal)
        try:
            yield stopped
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _facts(
    args: argparse.Namespace, source: ReplaySource | LiveSource, stager: Stager, deadline: float | None
) -> dict[str, Any]:
    start = source.start if isinstance(source, ReplaySource) else None
    return {
        "source": args.source,
        "channel": source.channel,
        "sfreq": source.sfreq,
        "bundle": stager.bundle.manifest.model_id,
        "bundle_digest": stager.bundle.digest,
        "mode": args.mode,
        "deadline_s": deadline,
        "hop_s": args.hop_s,
        "memory": not args.no_memory,
        "smooth": args.smooth is not None,
        "lights_off": args.lights_off,
        "recording_start": None if start is None else start.isoformat(),
        "utc_offset_s": time.localtime().tm_gmtoff,
    }
