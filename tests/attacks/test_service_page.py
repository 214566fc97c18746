"""Hostile requests to the page: all refused, nothing told, acquisition undisturbed."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.rt.service.running import Running, configuration, night_file, serving, until

if TYPE_CHECKING:
    from collections.abc import Iterator

VIEW, OPERATE = "view-0123456789-abcdefghij", "operate-0123456789-abcdefghij"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with tokens, which the network may reach."""
    folder = tmp_path_factory.mktemp("hostile")
    tokens = folder / "tokens"
    tokens.write_text(f"view {VIEW}\noperate {OPERATE}\n")
    tokens.chmod(0o600)
    recording = night_file(folder, hours=1.0, sfreq=64.0)
    text = configuration(folder / "data")
    text = text.replace('loopback_role = "operate"', f'tokens_file = "{tokens}"\nhost = "0.0.0.0"')
    text += f'[[beds]]\nid = "one"\nsource = "edf:{recording}@10x"\n'
    text += '[[beds]]\nid = "two"\nsource = "edf:/nowhere/at/all/night.edf"\n'
    with serving(folder, text) as running:
        until(lambda: running.get("/healthz").status_code == 200, running)
        yield running


@pytest.fixture(autouse=True)
def undisturbed(running: Running) -> Iterator[None]:
    """Whatever is sent: samples go on coming, nothing is lost, and the page answers afterwards."""
    before = samples(running)
    yield
    until(lambda: samples(running) > before, running)
    assert "lost" not in running.log


def samples(running: Running) -> int:
    found = sorted(running.config.parent.glob("data/one/*/signal-*.frames"))
    return sum(path.stat().st_size for path in found)


def address(running: Running) -> tuple[str, int]:
    return "127.0.0.1", int(running.url.rpartition(":")[2])


def raw(running: Running, data: bytes, seconds: float = 10.0) -> bytes:
    """What the server answers to these bytes."""
    got = b""
    with socket.create_connection(address(running), timeout=seconds) as line, suppress(OSError):
        line.sendall(data)
        while piece := line.recv(65536):
            got += piece
    return got


def get(target: str, *headers: str) -> bytes:
    return "\r\n".join(
        [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    ).encode()


@pytest.mark.parametrize(
    "path",
    [
        "/events",
        "/metrics",
        "/readyz",
        "/api/state",
        "/api/role",
        "/api/beds/one",
        "/api/beds/one/epochs/0",
        "/api/beds/one/trace.png",
    ],
)
def test_without_a_token_nothing_is_told(running: Running, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {VIEW}"},
        {"Authorization": f"Bearer {VIEW[:-1]}"},
        {"Cookie": f"eegvlm_session={VIEW}"},
        {"X-Forwarded-For": "127.0.0.1"},
    ):
        answer = running.get(path, headers=headers)
        assert answer.status_code in (401, 429)
        assert answer.content == b""


def test_a_viewer_may_look_and_not_touch(running: Running) -> None:
    time.sleep(0)
    # Wrong tokens before may have locked the address: that passes after a minute; sessions begin anew here.
    until(lambda: running.get("/api/role", headers=bearer(VIEW)).status_code == 200, running, 90)
    for path in ("/api/acknowledge", "/api/pause", "/api/model/retry"):
        assert running.post(path, {}, headers=bearer(VIEW)).status_code == 403
    answer = running.post("/api/pause", {"bed": "one", "seconds": 0}, headers=bearer(OPERATE))
    assert answer.status_code == 202
    with httpx.Client(base_url=running.url) as client:
        assert client.post("/login", json={"token": OPERATE}).json() == {"role": "operate"}
        cookie = client.cookies.jar.__iter__().__next__()
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "strict"
        assert client.get("/api/role").json() == {"role": "operate"}
        client.post("/logout", json={})
        client.cookies.set("eegvlm_session", cookie.value or "")
        assert client.get("/api/role").status_code == 401


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "target",
    [
        "/../../../../etc/passwd",
        "/static/../../config.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/app.js/../../hub.py",
        "//etc/passwd",
        "/api/beds/..%2f..%2fnight.journal",
        "/api/beds/one/epochs/-1",
        "/api/beds/one/epochs/99999999999999999999999",
        "/index.html%00.png",
        "/.env",
    ],
)
def test_no_path_leads_to_a_file(running: Running, target: str) -> None:
    answer = raw(running, get(target, f"Authorization: Bearer {OPERATE}"))
    status = int(answer.split(b" ", 2)[1])
    assert status in (400, 401, 404, 429)
    assert answer.partition(b"\r\n\r\n")[2] in (b"", b"Not Found", b"Invalid HTTP request received.")


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00" * 40, (400,)),
        (b"GET / HTTP/1.1\r\n\r\n", (400, 421)),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: 127.0.0.1\r\n\r\n", (400, 421)),
        (get("/").replace(b"127.0.0.1", b"rebinding.example"), (421,)),
        (get("/").replace(b"127.0.0.1", b"127.0.0.1.rebinding.example"), (421,)),
        (get("/" + "a" * 5000), (414,)),
        (get("/?" + "a" * 5000), (414,)),
        (get("/", *(f"X-{i}: 1" for i in range(200))), (431,)),
        (get("/", "X: " + "a" * 300_000), (400, 431)),
        (get("/").replace(b"GET", b"TRACE"), (405,)),
        (get("/").replace(b"GET", b"PUT"), (405,)),
        (get("/events").replace(b"GET", b"HEAD"), (405, 401, 429)),
        (get("/login").replace(b"GET", b"POST"), (415,)),
        (
            b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            (400, 422),
        ),
        (
            b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999999\r\n\r\n" + b"a" * 10_000,
            (413,),
        ),
        (
            b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Origin: https://elsewhere.example\r\nContent-Length: 2\r\n\r\n{}",
            (403,),
        ),
        (
            b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Sec-Fetch-Site: cross-site\r\nContent-Length: 2\r\n\r\n{}",
            (403,),
        ),
        (
            b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: 4000\r\n\r\n" + b"[" * 4000,
            (422,),
        ),
    ],
)
def test_what_no_browser_sends_is_refused(running: Running, data: bytes, statuses: tuple[int, ...]) -> None:
    answer = raw(running, data)
    assert answer == b"" or int(answer.split(b" ", 2)[1]) in statuses
    for word in (b"Traceback", b"/eegvlm_rt", b".py", b"uvicorn", b"starlette"):
        assert word not in answer


def test_no_answer_tells_a_path_of_the_machine(running: Running) -> None:
    until(lambda: running.get("/api/role", headers=bearer(VIEW)).status_code == 200, running)
    until(lambda: "two source" in running.log, running)
    texts = [running.get(path, headers=bearer(VIEW)).text for path in ("/api/state", "/metrics")]
    with running.http.stream("GET", f"{running.url}/events?bed=two", headers=bearer(VIEW)) as answer:
        lines = answer.iter_lines()
        texts += [next(lines) for _ in range(12)]
    assert any("night.edf" in text for text in texts)
    for text in texts:
        assert "/tmp" not in text
        assert "/nowhere" not in text


def test_every_answer_has_the_headers_of_a_closed_page(running: Running) -> None:
    for path in ("/", "/app.js", "/pictures.js", "/healthz", "/api/state", "/nowhere"):
        headers = running.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "server" not in headers
    page = running.get("/").text
    assert "http://" not in page
    assert "https://" not in page
    assert "style=" not in page


def test_slow_heads_and_slow_bodies_are_cut(running: Running) -> None:
    lines = [socket.create_connection(address(running), timeout=30) for _ in range(2)]
    lines[0].sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
    lines[1].sendall(
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 50\r\n\r\n{"
    )
    began = time.monotonic()
    for line in lines:
        got = b"?"
        with suppress(ConnectionError):
            while got:
                got = line.recv(4096)
        line.close()
    assert time.monotonic() - began < 25


def test_a_flood_of_event_streams_and_connections_is_bounded(running: Running) -> None:
    page = running.child("service.page")
    before = page.memory_info().rss
    lines = []
    for _ in range(120):
        with suppress(OSError):
            line = socket.create_connection(address(running), timeout=5)
            line.sendall(
                get("/events", f"Authorization: Bearer {VIEW}").replace(b"Connection: close\r\n", b"")
            )
            lines.append(line)
    time.sleep(1.0)
    assert len([c for c in page.net_connections() if c.status == psutil.CONN_ESTABLISHED]) <= 40
    assert page.memory_info().rss - before < 64 << 20
    for line in lines:
        line.close()


def test_wrong_tokens_lock_their_address_for_a_while(running: Running) -> None:
    statuses = [running.post("/login", {"token": f"{i:030d}"}).status_code for i in range(14)]
    assert set(statuses) <= {401, 429}
    assert statuses[-1] == 429
    assert running.post("/login", {"token": OPERATE}).status_code == 429


def test_more_requests_than_anybody_needs_are_refused(running: Running) -> None:
    one = get("/healthz").replace(b"Connection: close\r\n", b"")
    answer = raw(running, one * 600 + get("/healthz"), 60)
    assert b"HTTP/1.1 429" in answer
    until(lambda: running.get("/healthz").status_code == 200, running)


def test_no_token_is_in_the_log_or_in_a_command_line(running: Running) -> None:
    words = [
        *running.log.split(),
        *(w for c in psutil.Process(running.process.pid).children() for w in c.cmdline()),
    ]
    assert not [word for word in words if VIEW in word or OPERATE in word]


def test_a_token_that_was_taken_back_is_good_no_more_after_a_reload(running: Running) -> None:
    tokens = running.config.parent / "tokens"
    tokens.write_text(f"view {OPERATE[::-1]}\n")
    before = running.log.count("listens at")
    running.process.send_signal(signal.SIGHUP)
    until(lambda: running.log.count("listens at") > before, running)
    assert running.get("/api/state", headers=bearer(OPERATE)).status_code == 401
    assert running.get("/api/state", headers=bearer(VIEW)).status_code == 401
    assert running.get("/api/state", headers=bearer(OPERATE[::-1])).status_code == 200
