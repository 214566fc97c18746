"""The page in a real browser, and twenty listeners of which some are slow and some dead."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .chromium import Tab, browser
from .running import Running, configuration, night_file, serving, until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two beds, one of them without its source."""
    folder = tmp_path_factory.mktemp("page")
    recording = night_file(folder, hours=1.5, sfreq=64.0)
    text = configuration(folder / "data", "nano").replace('mode = "head"', 'mode = "cot"')
    text = text.replace("deadline_s = 2", "deadline_s = 20").replace("hang_s = 5", "hang_s = 60")
    text += f'[[beds]]\nid = "one"\nlabel = "Bed <1> & window"\nsource = "edf:{recording}@20x"\n'
    text += '[[beds]]\nid = "two"\nsource = "brainflow:playback_file?file=/no.csv&master_board=cyton"\n'
    text += "alarms.source_gone_s = 1\n"
    with serving(folder, text) as running:
        until(lambda: running.state()["beds"] and running.state()["beds"][0]["last"], running)
        yield running


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


def of_page(expression: str) -> str:
    """An expression with what the module of the page knows."""
    return f"import('/page.js').then(({{ page, since }}) => {expression})"


def opened(tab: Tab, running: Running) -> None:
    tab.size(1280, 900)
    tab.open(f"{running.url}/")
    tab.until("document.getElementById('link') && document.getElementById('link').textContent === 'live'")


def test_all_beds_and_one_in_detail(tab: Tab, running: Running) -> None:
    opened(tab, running)
    labels = tab.run("[...document.querySelectorAll('.bed .label')].map((e) => e.textContent)")
    assert labels == ["Bed <1> & window", "two"]
    tab.until("['W', 'N1', 'N2', 'N3', 'R'].includes(document.getElementById('stage').textContent)")
    tab.until("document.getElementById('text').textContent.includes('Background:')")
    tab.until("document.querySelectorAll('#claims li').length > 2")
    tab.until("document.getElementById('trace').naturalWidth === 1200")
    painted = (
        "(id) => document.getElementById(id).getContext('2d').getImageData(0, 0, 900, 60).data.some((v) => v)"
    )
    assert tab.run(f"({painted})('hypnogram') && ({painted})('density')")
    assert "source gone" in tab.run("document.getElementById('alarms').textContent")
    assert tab.run("document.querySelectorAll('#happenings li').length") > 0
    assert tab.problems == []


def test_nothing_is_fetched_from_elsewhere(tab: Tab, running: Running) -> None:
    opened(tab, running)
    names = tab.run("performance.getEntriesByType('resource').map((e) => e.name)")
    assert names
    assert all(name.startswith(running.url) for name in names)


def test_the_keyboard_chooses_beds_and_epochs(tab: Tab, running: Running) -> None:
    opened(tab, running)
    tab.until(of_page("page.rows.filter(Boolean).length > 2"))
    tab.key("ArrowLeft")
    tab.until("document.getElementById('epoch').textContent.includes('chosen')")
    tab.key("Escape")
    tab.until("!document.getElementById('epoch').textContent.includes('chosen')")
    tab.key("2")
    tab.until(of_page("page.bed === 'two'"))
    assert tab.run("document.getElementById('age-sample').textContent") == "never"
    tab.run("location.hash = '#one'")
    tab.until(of_page("page.bed === 'one' && page.rows.length > 2"))
    before = tab.run("document.documentElement.classList.contains('night')")
    tab.key("n")
    assert tab.run("document.documentElement.classList.contains('night')") is not before
    assert tab.problems == []


@pytest.mark.parametrize(("width", "height"), [(360, 740), (768, 1024), (1280, 800)])
def test_no_width_needs_scrolling_to_the_side(tab: Tab, running: Running, width: int, height: int) -> None:
    opened(tab, running)
    tab.size(width, height, phone=width < 500)
    tab.until(f"document.documentElement.scrollWidth <= {width}")


def test_ages_grow_while_nothing_is_heard(tab: Tab, running: Running) -> None:
    opened(tab, running)
    process = running.child("service.page")
    process.kill()
    tab.until("document.getElementById('link').textContent.startsWith('no word for')", 30)
    assert tab.run("document.getElementById('cut').textContent").startswith("No connection to the service")
    assert tab.run("getComputedStyle(document.querySelector('.now')).opacity") == "0.35"
    first = tab.run(of_page("since(page.state.beds.find((bed) => bed.id === page.bed).sample_age_s)"))
    assert first >= 5
    # With port 0 the new process listens elsewhere.
    until(lambda: running.log.count("listens at") >= 2, running)
    assert running.child("service.page").pid != process.pid
    tab.problems.clear()
    opened(tab, running)
    tab.until(of_page("page.rows.filter(Boolean).length > 2"))


def test_twenty_listeners_slow_and_dead_ones_among_them(running: Running) -> None:
    url = running.url
    host, port = "127.0.0.1", int(url.rpartition(":")[2])
    before = running.state()["beds"][0]["samples"]
    dead = []
    for _ in range(8):
        # These never read: their window is closed soon.
        one = socket.create_connection((host, port))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.sendall(f"GET /events?bed=one HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        dead.append(one)
    counts: list[int] = []

    def listen() -> None:
        seen = 0
        with running.http.stream("GET", f"{url}/events?bed=one", timeout=20) as answer:
            for line in answer.iter_lines():
                seen += line.startswith("event: state")
                if seen == 4:
                    break
        counts.append(seen)

    threads = [threading.Thread(target=listen) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert counts == [4] * 12
    for one in dead:
        one.close()
    until(lambda: running.state()["beds"][0]["samples"] > before, running)
    alarms = running.alarms()
    assert "recording" not in alarms
    assert "safe_mode" not in alarms


def test_health_and_metrics_are_what_the_clients_of_prometheus_read(running: Running) -> None:
    assert running.get("/healthz").text == "ok\n"
    until(lambda: running.state()["model"]["state"] == "running", running)
    ready = running.get("/readyz")
    assert ready.status_code == 503
    assert ready.text == "two: the source is not there\n"
    families = {f.name: f for f in text_string_to_metric_families(running.get("/metrics").text)}
    beds = {sample.labels["bed"] for sample in families["eegvlm_samples"].samples}
    assert beds == {"one", "two"}
    for name in ("up", "sample_age_seconds", "decision_age_seconds", "lag_seconds", "epochs", "reconnects"):
        assert f"eegvlm_{name}" in families
    for name in ("stage_seconds", "reason_seconds"):
        buckets = [s for s in families[f"eegvlm_{name}"].samples if s.labels.get("le") == "+Inf"]
        assert buckets[0].value > 0
    stages = {s.labels["outcome"] for s in families["eegvlm_epochs"].samples}
    assert stages & {"scored", "late"}


def test_an_alarm_is_acknowledged_and_paused(tab: Tab, running: Running) -> None:
    until(lambda: running.alarms().get("source_gone") == "active", running)
    answer = running.post("/api/acknowledge", {"kind": "source_gone", "bed": "two"})
    assert answer.status_code == 202
    until(lambda: running.alarms().get("source_gone") == "acknowledged", running)
    assert running.post("/api/pause", {"bed": "two", "seconds": 60}).status_code == 202
    until(lambda: running.state()["beds"][1]["paused_s"] > 30, running)
    opened(tab, running)
    tab.key("2")
    tab.until("document.getElementById('paused').textContent.startsWith('Alarms of two are paused for')")
    tab.key("p")
    until(lambda: running.state()["beds"][1]["paused_s"] == 0, running)
    tab.until("document.getElementById('paused').textContent === ''")
    tab.run("document.getElementById('pause').click()")
    until(lambda: running.state()["beds"][1]["paused_s"] > 240, running)
    for wrong in ({"kind": "nothing", "bed": "two"}, {"kind": "disk"}, [], 3, {"kind": ["disk"], "bed": {}}):
        assert running.post("/api/acknowledge", wrong).status_code == 422
    for seconds in (-1, 1e9, True, "9", None):
        assert running.post("/api/pause", {"bed": "two", "seconds": seconds}).status_code == 422


def test_a_listener_gets_the_whole_night_first(running: Running) -> None:
    with running.http.stream("GET", f"{running.url}/events?bed=one", timeout=20) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines()
        names = []
        end = time.monotonic() + 20
        while "night" not in names and time.monotonic() < end:
            line = next(lines)
            if line.startswith("event: "):
                names.append(line[7:])
                told = json.loads(next(lines)[6:])
        rows = told["rows"]
    assert names[0] == "state"
    assert [row[0] for row in rows] == list(range(len(rows)))
    assert all(abs(sum(row[4:]) - 1) < 1e-3 for row in rows)
