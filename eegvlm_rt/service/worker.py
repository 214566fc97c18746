"""The model's process: it asks for signal, answers with decisions, and may hang or die at any time.

It owns nothing: what it has not handed over is done again by the next one. Not started by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from ..decoding.result import Finish
from ..errors import EegVlmError
from ..heap import fill_small_blocks, keep_one_heap, return_freed_memory
from ..journal.frames import RecordKind, encode_body
from ..journal.resume import NightState
from ..prediction import Outcome
from ..sources.chunk import Chunk, SourceEvent, SourceEventKind
from ..stager import Stager
from ..streaming.options import StreamOptions
from .child import die_with_parent, limit_memory, yield_memory
from .wire import Wire

if TYPE_CHECKING:
    from ..journal.writer import Journal
    from ..prediction import StagePrediction
    from ..streaming.stager import StreamingStager
    from ..streaming.status import StreamEvent

__all__ = ["main"]

FRESH_S: Final = 2.0
"""Signal that is older than this is not live any more: its deadline counts from when it is read."""
OUTSTANDING: Final = 2
STUCK: Final = 3
FAILING: Final = 3
CANNOT_LOAD, REASONS_STUCK, EPOCHS_FAIL = 71, 72, 73


class RemoteJournal:
    """Stands for the journal in this process: records go to the service, which writes them.

    Of an epoch that was decided late, after a restart of the model, the lag is the true one, and where the
    deadline was over the outcome is `late`.
    """

    losses = 0
    loss = ""
    error: str | None = None

    def __init__(self, wire: Wire, key: str, deadline_s: float) -> None:
        self._wire, self._key, self._deadline_s = wire, key, deadline_s
        self.current = 0
        self.begins: dict[int, int] = {}
        self.received_s: dict[int, float] = {}

    def append(self, kind: str, body: dict[str, Any]) -> None:
        """Hand a record over."""
        index = body.get("index")
        if kind in (RecordKind.PREDICTION, RecordKind.STAGE) and isinstance(index, int):
            body = {**body, "resume_frame": self.begins.get(index + 1, self.current)}
            behind_s = time.time() - self.received_s.get(index, time.time())
            if behind_s > (body.get("lag_s") or 0.0) + FRESH_S:
                body["lag_s"] = behind_s
                if behind_s > self._deadline_s + FRESH_S and body.get("outcome") == Outcome.SCORED:
                    body["outcome"] = str(Outcome.LATE)
        self._wire.send({"t": "record", "key": self._key, "kind": str(kind)}, encode_body(body))

    def sync(self) -> None:
        """Nothing: the service brings a record to the disk when it gets it."""

    def forget(self, before: int) -> None:
        """Let go of what is known of epochs that are decided."""
        for table in (self.begins, self.received_s):
            for index in [i for i in table if i < before]:
                del table[index]


@dataclass(slots=True)
class Running:
    """A night in this process."""

    stream: StreamingStager
    journal: RemoteJournal
    next_frame: int
    ends: bool = False
    last: int | None = None
    open_epochs: int = 0
    stuck: int = 0
    failed: int = 0
    indices: set[int] = field(default_factory=set)


class Worker:
    """Runs the streams of all nights with one model."""

    def __init__(self, wire: Wire, stager: Stager, settings: dict[str, Any]) -> None:
        self._wire, self._stager, self._settings = wire, stager, settings
        self._nights: dict[str, Running] = {}

    def run(self) -> None:
        """Ask and answer until the service is gone."""
        while True:
            open_nights = {
                key: night.next_frame
                for key, night in self._nights.items()
                if night.open_epochs < OUTSTANDING and not night.ends
            }
            self._wire.send({"t": "pull", "want": open_nights, "open": list(self._nights)})
            answer = self._wire.receive()
            assert answer is not None
            message, blob = answer
            for facts in message["begin"]:
                self._begin(facts)
            for key in message["drop"]:
                night = self._nights.pop(key, None)
                if night is not None:
                    night.stream.abandon()
                    del night
                    return_freed_memory()
            busy = self._feed(message["frames"], blob)
            for key, last in message["end"].items():
                if key in self._nights:
                    self._nights[key].last = last
            self._collect()
            if not busy:
                time.sleep(0.02)

    def _begin(self, facts: dict[str, Any]) -> None:
        key = facts["key"]
        journal = RemoteJournal(self._wire, key, self._settings["deadline_s"])
        options = StreamOptions(
            deadline_s=self._settings["deadline_s"], smooth="causal" if self._settings["smooth"] else None
        )
        if facts["tolerance_s"] is not None:
            options = replace(options, tolerance_s=facts["tolerance_s"])
        try:
            stream = self._stager.stream(
                facts["sfreq"],
                channel=facts["channel"],
                options=options,
                journal=cast("Journal", journal),
                resume=None if facts["state"] is None else NightState(**facts["state"]),
                on_text=lambda index, text: self._text(key, index, text),
                on_event=lambda event: self._event(key, event),
            )
        except EegVlmError as error:
            self._wire.send({"t": "refused", "key": key, "error": str(error)})
            return
        self._nights[key] = Running(stream, journal, facts["first_frame"])

    def _feed(self, frames: list[dict[str, Any]], blob: bytes) -> bool:
        place = 0
        for facts in frames:
            count = facts["n"]
            samples = np.frombuffer(blob, "<f4", count, place)
            stamps = np.frombuffer(blob, "<f8", count, place + 4 * count)
            place += 12 * count
            night = self._nights.get(facts["key"])
            if night is not None and facts["sequence"] >= night.next_frame:
                self._take(night, facts, samples.astype(np.float64), stamps)
        return bool(frames)

    def _take(self, night: Running, facts: dict[str, Any], samples: Any, stamps: Any) -> None:
        before, received_s = night.stream.next_index, facts["received_s"]
        events = tuple(
            SourceEvent(SourceEventKind(e["kind"]), e["at_s"], e["detail"])
            for e in facts["events"]
            if e["kind"] in tuple(SourceEventKind)
        )
        # Signal that waited counts its deadline from now; the journal gets the true lag. The first piece
        # keeps its time: it says where a clock that began anew stands in the night.
        first = not night.journal.begins
        live = first or time.time() - received_s < FRESH_S
        night.journal.begins.setdefault(before, facts["sequence"])
        night.journal.received_s[before] = received_s
        night.journal.current = facts["sequence"]
        chunk = Chunk(samples, stamps, received_s if live else time.time(), events)
        for prediction in night.stream.take(chunk):
            self._follow(night, prediction)
        for index in range(before + 1, night.stream.next_index + 1):
            night.journal.begins.setdefault(index, facts["sequence"])
            night.journal.received_s[index - 1] = received_s
        night.next_frame = facts["sequence"] + 1

    def _collect(self) -> None:
        for key, night in list(self._nights.items()):
            for prediction in night.stream.poll():
                self._follow(night, prediction)
            if night.last is not None and night.next_frame > night.last and not night.ends:
                night.ends = True
                for prediction in night.stream.flush():
                    self._follow(night, prediction)
                self._wire.send({"t": "flushed", "key": key})

    def _follow(self, night: Running, prediction: StagePrediction) -> None:
        """Count what is under way; notice reasoning that never comes to an end, and a model that only fails.
        Another process may have the memory that this one lacks.
        """
        if prediction.provisional:
            night.open_epochs += prediction.index not in night.indices
            night.indices.add(prediction.index)
            return
        if prediction.index in night.indices:
            night.indices.discard(prediction.index)
            night.open_epochs -= 1
        night.journal.forget(prediction.index)
        cut = prediction.finish is Finish.DEADLINE and not prediction.rationale_text
        night.stuck = night.stuck + 1 if cut else 0
        if night.stuck >= STUCK:
            self._wire.send({"t": "stuck", "why": "reasoning came to no end in three epochs"})
            os._exit(REASONS_STUCK)
        night.failed = night.failed + 1 if prediction.outcome is Outcome.FAILED else 0
        if night.failed >= FAILING:
            self._wire.send({"t": "stuck", "why": f"three epochs failed: {prediction.error}"})
            os._exit(EPOCHS_FAIL)

    def _text(self, key: str, index: int, text: str) -> None:
        self._wire.send({"t": "text", "key": key, "index": index, "text": text})

    def _event(self, key: str, event: StreamEvent) -> None:
        fields = {"kind": str(event.kind), "index": event.index, "detail": event.detail}
        self._wire.send({"t": "event", "key": key, **fields})


def load(settings: dict[str, Any]) -> Stager:
    """The model that the service asks for."""
    return Stager.load(
        settings["bundle"],
        mode=settings["mode"],
        threads=settings["threads"],
        backend=settings["backend"],
    )


def main() -> int:
    """Entry of the process: `python -m eegvlm_rt.service.worker --fd N --parent PID`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    die_with_parent(args.parent)
    yield_memory(800)
    keep_one_heap()
    fill_small_blocks()
    wire = Wire(args.fd)
    try:
        answer = wire.receive(30.0)
        if answer is None:
            return CANNOT_LOAD
        settings = answer[0]
        limit_memory(settings["memory_mb"])
        try:
            stager = load(settings)
        except EegVlmError as error:
            wire.send({"t": "refused", "key": "", "error": str(error)})
            return CANNOT_LOAD
        manifest = stager.bundle.manifest
        facts = {"bundle": manifest.model_id, "bundle_digest": stager.bundle.digest}
        wire.send({"t": "loaded", "facts": facts, "pid": os.getpid()})
        Worker(wire, stager, settings).run()
    except (EOFError, OSError, json.JSONDecodeError) as error:
        print(f"model process: {error or type(error).__name__}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
