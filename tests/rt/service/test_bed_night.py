"""A night of a bed: what it keeps in memory tells the same as its journal, and is small."""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.hypnogram import write_edf
from eegvlm_rt.hypnogram.text import to_csv
from eegvlm_rt.journal import night_state, read
from eegvlm_rt.night import Night
from eegvlm_rt.service import Window
from eegvlm_rt.service.config import BedSettings
from eegvlm_rt.service.night import JOURNAL, BedNight
from eegvlm_rt.service.page.hub import Hub
from eegvlm_rt.stages import STAGES
from tests.rt.journal.records import epoch

BED = BedSettings(id="one", source="edf:night.edf")
WINDOW = Window(date(2026, 11, 1), 0.0, 0.0)
FACTS = {"sfreq": 64.0, "channel": "EEG", "recording_start": None, "utc_offset_s": 3600, "mode": "cot"}
CLOCK = {"grid_start_device_s": 5.0, "grid_start_wall_s": 1.7e9}
OTHERS = (
    ("clock", CLOCK),
    ("clock", {"grid_start_wall_s": 1.8e9}),
    ("config", {"bundle": "tiny"}),
    ("source", {"kind": "stalled"}),
    ("alarm", {"kind": "lag"}),
)
REOPEN = ("reopen", {})


def opened(folder: Path) -> BedNight:
    return BedNight.open(folder, BED, WINDOW, FACTS)


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An early stage or a final answer of one of eight epochs."""
    outcome = draw(st.sampled_from(["scored", "late", "failed"]))
    body = epoch(draw(st.integers(0, 7)), outcome, draw(st.sampled_from(STAGES)).name)
    body["resume_frame"] = draw(st.integers(0, 99))
    if draw(st.booleans()):
        body["smoothed"] = {"W": 0.0, "N1": 0.25, "N2": 0.25, "N3": 0.0, "R": 0.5}
    if draw(st.booleans()):
        body["memory"] = {"numbers": "AAAA", "epochs": body["index"]}
    return draw(st.sampled_from(["stage", "prediction"])), body


@settings(deadline=None, max_examples=25)
@given(st.lists(st.one_of(answers(), st.sampled_from(OTHERS), st.just(REOPEN)), max_size=25))
def test_whatever_the_order_of_records_the_night_is_the_one_in_its_journal(records):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        night = opened(folder)
        for kind, body in records:
            if kind == "reopen":
                night.leave()
                night = opened(folder)
                assert night.resumed
            else:
                night.record(kind, body)
        stored = read(night.folder / JOURNAL).records
        whole = Night.from_journal(stored).hypnogram
        assert night.hypnogram() == whole
        state = night_state([r for r in stored if r.kind != "stage"])
        # The journal adds facts of its own to the start, and records of each opening.
        kept, told = night.state(), replace(state, records=0, header={}, finished=False)
        assert replace(kept, records=0, header={}, finished=False) == told
        assert kept.header.items() >= FACTS.items()
        predictions = [r.body for r in stored if r.kind == "prediction"]
        assert night.resume_frame == (predictions[-1]["resume_frame"] if predictions else 0)
        assert night.begun == any(r.kind == "clock" for r in stored)
        night.finish("complete")
        if len(whole):
            for written, write in (("hypnogram.edf", write_edf), ("hypnogram.csv", to_csv)):
                again = write(whole, folder / written)
                assert (night.folder / written).read_bytes() == again.read_bytes()


def test_the_page_is_told_every_decision_and_the_latest_is_whole(tmp_path):
    night = opened(tmp_path)
    assert (night.rows.to_json(), night.rows.last()) == (b"[]", None)
    for index in range(3):
        night.record("prediction", {**epoch(index), "rationale_text": "90 µV"})
    rows = json.loads(night.rows.to_json())
    assert [(row["index"], row["stage"], row["text"]) for row in rows] == [
        (i, "N2", "90 µV") for i in range(3)
    ]
    assert night.rows.last() == rows[-1]
    hub = Hub()
    hub.take({"t": "night", "bed": "one", "key": night.key}, night.rows.to_json())
    assert [row[:2] for row in hub.night("one")["rows"]] == [[i, "N2"] for i in range(3)]
    assert hub.night("one")["last"] == rows[-1]
    night.finish("complete")


def test_a_night_keeps_what_its_records_tell_and_not_they(tmp_path):
    """A record of an epoch with its reasons has 6 kB in the journal, and as objects several times that."""
    night = opened(tmp_path)
    night.journal.sync = lambda: None  # type: ignore[method-assign]
    text = json.dumps(
        {
            **epoch(0),
            "rationale_text": "Background: alpha activity. " * 12,
            "checks": [{"kind": "rhythm", "value": f"{i} %", "verdict": "supported"} for i in range(12)],
            "findings": {f"finding {i}": [i / 7] * 8 for i in range(20)},
            "memory": {"numbers": "A" * 2000},
        }
    )
    tracemalloc.start()
    try:
        for index in range(400):
            if index == 100:
                before, _ = tracemalloc.get_traced_memory()
            early = {**json.loads(text), "index": index}
            night.record("stage", early)
            night.record("prediction", {**json.loads(text), "index": index})
            night.record("clock", CLOCK)
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(night.hypnogram()) == 400
    assert growth / 300 < 2000
    night.finish("complete")


def test_a_finished_night_holds_no_signal_and_can_still_be_read(tmp_path):
    night = opened(tmp_path)
    for first in range(0, 640, 64):
        samples = np.arange(first, first + 64, dtype=np.float32)
        night.signal.append(samples, samples / 64.0, 100.0)
    before = night.signal.read(3)
    night.end_signal()
    night.finish("complete")
    after = night.signal.read(3)
    assert [frame.sequence for frame in after] == list(range(3, 10))
    assert not night.signal._recent
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
