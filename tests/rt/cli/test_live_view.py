"""The live view: whatever is known and however small the terminal, it fits and says what matters most."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.cli.epoch_lines import row
from eegvlm_rt.cli.live_screen import Screen
from eegvlm_rt.cli.live_view import LiveFacts, lines
from eegvlm_rt.cli.stream_output import NightFacts
from eegvlm_rt.night import Night as WholeNight
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager
from eegvlm_rt.streaming import StreamEvent, StreamEventKind, StreamStatus
from tests.rt.cli.cli_runs import save_recording
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.prediction import StagePrediction

NOW = 1_700_000_000.0
HYPNOGRAM = ("  W ", "  R ", " N1 ", " N2 ", " N3 ")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def predictions(bundle: Path) -> list[StagePrediction]:
    x = simulate_night(3, hours=0.1).samples_uv[:9000]
    return list(Stager.load(bundle, threads=1).predict_recording(x, sfreq=100))


def known_of(predictions: list[StagePrediction], **more: object) -> LiveFacts:
    rows = WholeNight(keep=False)
    for prediction in predictions:
        rows.add(prediction)
    night = StreamStatus(epochs={**dict.fromkeys(Outcome, 0), Outcome.SCORED: len(predictions)}, lag_s=0.4)
    known = LiveFacts(
        NightFacts("lsl:Amp  Fpz, 256 Hz, tiny cot", {}, lambda: None, rows), lambda: night, lambda: 100.0
    )
    known.last = predictions[-1] if predictions else None
    for name, value in more.items():
        setattr(known, name, value)
    return known


def shown(known: LiveFacts, width: int = 100, height: int = 40, now: float = NOW) -> str:
    return "\n".join(line.plain for line in lines(known, width, height, now))


class TestDrawn:
    def test_stage_probabilities_reason_hypnogram_lag_and_counts(self, predictions):
        text, last = shown(known_of(predictions)), predictions[-1]
        assert last.stage is not None
        assert f" {last.stage.name} " in text
        assert "epoch 3, 00:01:00" in text
        assert " ".join(last.rationale_text.split()[:4]) in text
        assert "lag 0.4 s" in text
        assert "scored 3" in text
        rows = [row[:4].strip() for row in text.splitlines() if row[:4] in HYPNOGRAM]
        assert rows[-5:] == ["W", "R", "N1", "N2", "N3"]
        assert "Not a medical device" in text

    def test_reasons_that_are_being_written_are_shown_as_they_come(self, predictions):
        text = shown(known_of(predictions, writing=(3, "Step 1, background: alpha\nactivity")))
        assert "Step 1, background: alpha activity▌" in text

    def test_an_opinion_on_the_latest_30_seconds_stands_beside_the_clock(self, predictions):
        opinion = replace(predictions[0], provisional=True)
        assert re.search(r"epoch 4: 10 of 30 s  now [WNR]", shown(known_of(predictions, provisional=opinion)))

    def test_an_epoch_that_was_not_scored_says_why(self, predictions):
        late = replace(predictions[-1], stage=None, outcome=Outcome.LATE, rationale=None, rationale_text="")
        text = shown(known_of([*predictions[:-1], late]))
        assert "?? " in text
        assert "late: no stage within the deadline" in text

    @pytest.mark.parametrize(("outcome", "missing"), [(Outcome.GAP, 1.0), (Outcome.UNSCORABLE, 0.6)])
    def test_signal_that_never_came_has_no_stage_no_bars_and_no_reason(self, predictions, outcome, missing):
        last = predictions[-1]
        absent = replace(
            last,
            outcome=outcome,
            stage=None if outcome is Outcome.GAP else last.stage,
            quality=replace(last.quality, missing_share=missing),
            rationale=None,
            rationale_text="",
        )
        bars = re.compile(r"^ ?(W|N1|N2|N3|R) +(\d+|·) (?!%)", re.MULTILINE)
        assert len(bars.findall(shown(known_of(predictions)))) == 5
        text = shown(known_of([*predictions[:-1], absent]))
        assert "?? " in text
        assert bars.search(text) is None
        assert "Step" not in text
        cells = row(absent, None, 200).plain.split()
        assert cells[2:9] == ["?", *(5 * ["-"]), "-"]

    def test_quiet_and_lag_are_alarms(self, predictions):
        known = known_of(predictions)
        shown(known)
        assert "no sample for 9 s" in shown(known, now=NOW + 9)
        known.night = lambda: StreamStatus(lag_s=61.0)
        assert "answers stand 61 s behind" in shown(known, now=NOW + 9)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(1, 130), st.integers(1, 60), st.integers(0, 3), st.booleans(), st.text(max_size=400))
    def test_it_never_leaves_the_terminal(self, predictions, width, height, count, writing, words):
        known = known_of(predictions[:count])
        known.alarms["journal"] = words
        known.writing = (9, words) if writing else None
        for kind in StreamEventKind:
            known.events.append(StreamEvent(kind, NOW, 3, words))
        drawn = lines(known, width, height, NOW)
        assert len(drawn) <= height
        assert all(line.cell_len <= width for line in drawn)
        assert all("\n" not in line.plain and "\x1b" not in line.plain for line in drawn)

    def test_what_matters_most_is_there_on_a_tiny_terminal(self, predictions):
        known = known_of(predictions)
        known.alarms["source"] = "nothing came"
        text = shown(known, 20, 3)
        assert predictions[-1].stage is not None
        assert predictions[-1].stage.name in text
        assert "source: nothing" in text


class TestAlarms:
    def test_trouble_stays_until_it_is_over(self, predictions):
        known = known_of(predictions)

        def told(kind: StreamEventKind, detail: str) -> dict[str, str]:
            Screen._take(known, StreamEvent(kind, NOW, 0, detail))
            return known.alarms

        assert "journal" in told(StreamEventKind.JOURNAL, "cannot be written: No space left on device")
        assert "source" in told(StreamEventKind.STALLED, "nothing came for 10 s")
        assert "source" in told(StreamEventKind.SOURCE, "disconnected: gone")
        assert "source" not in told(StreamEventKind.SOURCE, "reconnected: lsl:Amp")
        assert "journal" not in told(StreamEventKind.JOURNAL, "is written again; 3 records were lost")


def test_a_terminal_is_drawn_on_and_given_back(bundle, tmp_path):
    """A pseudo-terminal of 60 columns: the view, Ctrl-C, the summary on the ordinary screen."""
    night = save_recording(tmp_path / "night.edf", 30)
    main, other = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "eegvlm_rt.cli",
        "stream",
        "--source",
        f"edf:{night}@30x",
        "--bundle",
        str(bundle),
    ]
    process = subprocess.Popen(
        command,
        stdin=other,
        stdout=other,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "60"},
    )
    os.close(other)
    seen, asked, until = b"", False, time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([main], [], [], 0.2)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        if not asked and b"scored 2" in seen:
            asked = True
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    os.close(main)
    view, _, after = seen.partition(b"\x1b[?1049l")
    assert b"\x1b[?1049h" in view
    assert b"epoch 2" in view
    assert b"Epochs " in after
    assert b"by SIGINT, in order" in after
