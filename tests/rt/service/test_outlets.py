"""Alarms and stages leave the machine: to a real HTTP server and a real MQTT broker."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import jsonschema
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from eegvlm_rt.service import parse_configuration
from eegvlm_rt.service.alarms import Alarm, AlarmKind, Alarms, AlarmState, Priority
from eegvlm_rt.service.config import MqttSettings, WebhookSettings
from eegvlm_rt.service.mqtt import AGAIN_S, MqttOutlet, stage_schema
from eegvlm_rt.service.outlets import Outlets
from eegvlm_rt.service.webhook import Webhook

from .running import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW = {"index": 3, "stage": "N2", "outcome": "scored", "p": [0.0, 0.1, 0.8, 0.1, 0.0], "lag_s": 0.4}


def alarm(number: int, state: AlarmState = AlarmState.ACTIVE, kind: AlarmKind = AlarmKind.LAG) -> Alarm:
    return Alarm(kind, "one", Priority.LOW, state, "late", 1.0, 2.0, 1, number)


class Receiver(HTTPServer):
    """Keeps what it is sent; answers with `statuses` in turn, the last one for ever."""

    def __init__(self, statuses: list[int], port: int) -> None:
        self.statuses = statuses
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((dict(self.headers), json.loads(body)))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@contextmanager
def receiving(*statuses: int, port: int = 0) -> Iterator[Receiver]:
    server = Receiver(list(statuses), port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_repeats_what_was_not_taken_under_the_same_key(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-secret-secret-1\n")
    with receiving(503, 500, 204) as server:
        hook = Webhook(WebhookSettings(server.url, str(token)), "ward-3")
        hook.start()
        hook.put(alarm(7))
        until(lambda: hook.delivered == 1)
        hook.stop()
    assert len(server.got) == 3
    keys = {headers["Idempotency-Key"] for headers, _ in server.got}
    assert len(keys) == 1
    headers, body = server.got[-1]
    assert headers["Authorization"] == "Bearer secret-secret-secret-1"
    assert body["type"] == "alarm"
    assert (body["device"], body["kind"], body["state"], body["number"]) == ("ward-3", "lag", "active", 7)
    assert hook.failed == 2


def test_only_the_newest_state_of_an_alarm_waits_for_a_receiver_that_is_away() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hook = Webhook(WebhookSettings(f"http://127.0.0.1:{port}/hook?token=hidden", timeout_s=1), "ward-3")
    hook.start()
    for number in range(1000):
        hook.put(alarm(number))
    until(lambda: hook.trouble(0.0))
    assert "hidden" not in hook.trouble(0.0)
    with receiving(200, port=port) as server:
        until(lambda: hook.delivered == 1)
        time.sleep(0.3)
        assert [body["number"] for _, body in server.got] == [999]
        assert hook.trouble(0.0) == ""
        hook.stop()


def test_an_answer_that_will_not_change_is_not_asked_for_again() -> None:
    with receiving(403) as server:
        hook = Webhook(WebhookSettings(server.url), "ward-3")
        hook.start()
        hook.put(alarm(1))
        until(lambda: hook.dropped == 1)
        hook.put(alarm(2))
        until(lambda: hook.dropped == 2)
        hook.stop()
    assert len(server.got) == 2


def test_putting_never_waits_for_a_receiver_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook = Webhook(WebhookSettings(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.5), "x")
        hook.start()
        alarms = Alarms(hook.put)
        for kind in AlarmKind:
            alarms.set(kind, "one", True)
        until(lambda: hook.failed)
        hook.stop()


def test_a_bed_sends_its_news_where_it_is_asked_to(tmp_path: Path) -> None:
    with receiving(200) as server:
        text = f'data = "{tmp_path}"\n[[webhooks]]\nurl = "{server.url}"\n'
        text += '[[beds]]\nid = "one"\nsource = "lsl:A"\noutputs = ["fhir"]\n'
        text += '[[beds]]\nid = "two"\nsource = "lsl:B"\n'
        configuration = parse_configuration(text.encode())
        outlets = Outlets(configuration, Alarms(lambda _alarm: None))
        outlets.start()
        for number, bed in enumerate(("one", "two", "")):
            outlets.alarm(replace(alarm(number), bed=bed))
        until(lambda: outlets.facts()["webhook_delivered"] == 2)
        outlets.stop()
    assert [body["bed"] for _, body in server.got] == ["two", ""]


class Broker:
    """Mosquitto on loopback."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        assert program is not None, "mosquitto is needed: apt-get install mosquitto"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def listens() -> bool:
            with socket.socket() as line:
                return line.connect_ex(("127.0.0.1", self.port)) == 0

        until(listens)

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class Listener:
    """Everything that the broker holds and gets."""

    def __init__(self, port: int) -> None:
        self.got: dict[str, list[Any]] = {}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._message
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _message(self, _client: Any, _data: Any, message: Any) -> None:
        self.got.setdefault(message.topic, []).append(message.payload.decode())

    def last(self, topic: str) -> Any:
        return self.got.get(topic, [""])[-1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


def state() -> dict[str, Any]:
    bed = {"id": "one", "label": "Bed 1", "state": "recording", "night": "2026-11-28"}
    return {"beds": [bed], "alarms": [{"bed": "one"}], "ready": True}


def test_a_broker_holds_what_is_true_now_and_knows_when_the_service_dies(broker: Broker) -> None:
    outlet = MqttOutlet(MqttSettings("127.0.0.1", broker.port, home_assistant=True), "ward-3")
    outlet.start()
    outlet.row("one", "2026-11-28", ROW)
    outlet.state(state())
    outlet.alarm(alarm(1), [alarm(1)])
    until(lambda: outlet.connected)
    base = "eegvlm/ward-3"
    listener = Listener(broker.port)
    try:
        until(lambda: listener.last(f"{base}/status") == "online")
        until(lambda: listener.last(f"{base}/beds/one/stage"))
        stage = json.loads(listener.last(f"{base}/beds/one/stage"))
        jsonschema.validate(stage, stage_schema())
        assert (stage["stage"], stage["index"], stage["start_s"]) == ("N2", 3, 90.0)
        until(lambda: listener.last(f"{base}/beds/one/alarms"))
        assert json.loads(listener.last(f"{base}/beds/one/alarms"))[0]["kind"] == "lag"
        discovery = "homeassistant/sensor/eegvlm_ward-3_one/stage/config"
        until(lambda: listener.last(discovery))
        told = json.loads(listener.last(discovery))
        assert told["state_topic"] == f"{base}/beds/one/stage"
        assert told["availability_topic"] == f"{base}/status"
        until(lambda: listener.last("homeassistant/binary_sensor/eegvlm_ward-3_one/alarm/config"))
        # A bed that is no part of the service any more leaves nothing behind.
        outlet.keep(set())
        until(lambda: all(not listener.last(t) for t in (f"{base}/beds/one/stage", discovery)))
        # The socket is cut without a word, as by a kill: the broker tells of it.
        outlet._client.loop_stop()
        sock = outlet._client.socket()
        assert sock is not None
        sock.shutdown(socket.SHUT_RDWR)
        until(lambda: listener.last(f"{base}/status") == "offline")
    finally:
        outlet.stop()
        listener.close()


def test_after_an_outage_the_broker_gets_what_is_true_then(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    outlet = MqttOutlet(MqttSettings("127.0.0.1", broker.port), "ward-3")
    outlet.start()
    outlet.row("one", "2026-11-28", ROW)
    until(lambda: outlet.trouble(0.0))
    broker.start()
    until(lambda: outlet.connected)
    assert outlet.trouble(0.0) == ""
    broker.stop()
    until(lambda: not outlet.connected)
    outlet.row("one", "2026-11-28", {**ROW, "index": 4, "stage": "W"})
    broker.start()
    listener = Listener(broker.port)
    try:
        topic = "eegvlm/ward-3/beds/one/stage"
        until(lambda: listener.last(topic))
        # What was not acknowledged before may come once more; what is true now then comes behind it.
        time.sleep(AGAIN_S + 1.0)
        assert json.loads(listener.last(topic))["stage"] == "W"
        outlet.stop()
        until(lambda: listener.last("eegvlm/ward-3/status") == "stopped")
    finally:
        listener.close()
        broker.stop()
