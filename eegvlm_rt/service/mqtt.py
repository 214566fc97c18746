"""Alarms, stages and states to an MQTT broker; all topics are in docs/service.md."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from .. import __version__

if TYPE_CHECKING:
    from .alarms import Alarm
    from .config import MqttSettings

__all__ = ["MqttOutlet", "stage_schema"]

STATE_EVERY_S: Final = 30.0
MOST_WAITING: Final = 500
AGAIN_S: Final = 1.0

_log = logging.getLogger("eegvlm_rt.service")


def stage_schema() -> dict[str, Any]:
    """The JSON Schema of a decision as it is published."""
    text = resources.files(__package__).joinpath("stage.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


class MqttOutlet:
    """A connection that is held and, where it breaks, made again.

    `TOPIC/DEVICE/status` is "online", or "offline" by the broker itself (Last Will) where this service dies.
    What is true now is retained; on every connection it is published anew, so that nothing old stays.
    """

    def __init__(self, settings: MqttSettings, device: str) -> None:
        self.connected = False
        self.published = 0
        self._settings, self._device = settings, device
        self._base = f"{settings.topic}/{device}"
        self._retained: dict[str, str] = {}
        self._lock = threading.Lock()
        self._broken_since: float | None = time.monotonic()
        self._why = "no connection"
        self._stated_at: dict[str, tuple[float, str]] = {}
        self._announced: set[str] = set()
        self._topics: dict[str, set[str]] = {}
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"eegvlm-{device}"[:23], protocol=mqtt.MQTTv311
        )
        self._client.max_queued_messages_set(MOST_WAITING)
        self._client.reconnect_delay_set(1, 30)
        # The broker says "offline" in our name where this process can no longer do it: a device that died in
        # silence is seen by whoever listens.
        self._client.will_set(f"{self._base}/status", "offline", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_connect_fail = self._on_connect_fail

    def start(self) -> None:
        """Begin; the broker need not be there yet."""
        settings = self._settings
        try:
            if settings.username is not None:
                password = None
                if settings.password_file is not None:
                    password = Path(settings.password_file).read_text("utf-8").strip()
                self._client.username_pw_set(settings.username, password)
            if settings.ca is not None:
                self._client.tls_set_context(ssl.create_default_context(cafile=settings.ca))
            self._client.connect_async(settings.host, settings.port, keepalive=20)
            self._client.loop_start()
        except (OSError, ValueError) as error:
            self._why = str(error)

    def stop(self) -> None:
        """Say that the service ended in order, and leave."""
        if self.connected:
            message = self._client.publish(f"{self._base}/status", "stopped", qos=1, retain=True)
            try:
                message.wait_for_publish(2.0)
            except (RuntimeError, ValueError):
                self._why = "not told of the end"
        self._client.disconnect()
        self._client.loop_stop()

    def alarm(self, alarm: Alarm, current: list[Alarm]) -> None:
        """A change of an alarm, and what is current of its bed."""
        bed = alarm.bed or "service"
        text = json.dumps({"device": self._device, **alarm.to_dict()})
        self._publish(f"{self._base}/beds/{bed}/alarm" if alarm.bed else f"{self._base}/alarm", text)
        same = [a.to_dict() for a in current if a.bed == alarm.bed]
        place = f"beds/{alarm.bed}/alarms" if alarm.bed else "alarms"
        self._retain(place, json.dumps(same), alarm.bed)

    def row(self, bed: str, night: str, row: dict[str, Any]) -> None:
        """A decision."""
        names = ("W", "N1", "N2", "N3", "R")
        fields = {
            "version": 1,
            "device": self._device,
            "bed": bed,
            "night": night,
            "index": row["index"],
            "start_s": 30.0 * row["index"],
            "stage": row["stage"],
            "outcome": row["outcome"],
            "probabilities": dict(zip(names, row["p"], strict=True)),
            "lag_s": row["lag_s"],
            "decided_at_s": time.time(),
        }
        self._retain(f"beds/{bed}/stage", json.dumps(fields), bed)

    def state(self, state: dict[str, Any]) -> None:
        """What each bed does; published where it changes, and every half minute."""
        for bed in state["beds"]:
            fields = {
                "state": bed["state"],
                "night": bed["night"],
                "alarms": sum(alarm["bed"] == bed["id"] for alarm in state["alarms"]),
                "ready": state["ready"],
            }
            # Only what changed is sent, and all of it now and then, for those who came later.
            text = json.dumps(fields)
            at, before = self._stated_at.get(bed["id"], (0.0, ""))
            now = time.monotonic()
            if text != before or now - at >= STATE_EVERY_S:
                self._stated_at[bed["id"]] = (now, text)
                self._retain(f"beds/{bed['id']}/state", text, bed["id"])
            if self._settings.home_assistant and bed["id"] not in self._announced:
                self._announced.add(bed["id"])
                self._announce(bed["id"], bed["label"])

    def keep(self, beds: set[str]) -> None:
        """Take back what the broker holds of every other bed: nobody brings it up to date any more."""
        with self._lock:
            strangers = sorted({bed for bed in self._topics if bed not in beds})
            topics = [topic for bed in strangers for topic in sorted(self._topics.pop(bed))]
            for topic in topics:
                self._retained.pop(topic, None)
        for bed in strangers:
            self._stated_at.pop(bed, None)
            self._announced.discard(bed)
        for topic in topics:
            # An empty retained message removes what is retained (MQTT 3.1.1, 3.3.1.3).
            self._publish(topic, "", retain=True)

    def trouble(self, limit_s: float) -> str:
        """Why there is no connection for longer than `limit_s`, empty where there is one."""
        since = self._broken_since
        if since is None or time.monotonic() - since < limit_s:
            return ""
        return f"MQTT broker: {self._why}"

    def _announce(self, bed: str, label: str) -> None:
        """Home Assistant's MQTT discovery: a sensor for the stage, a binary sensor for technical alarms."""
        name = f"{self._device}_{bed}"
        common = {
            "availability_topic": f"{self._base}/status",
            "payload_available": "online",
            "payload_not_available": "offline",
            "device": {
                "identifiers": [f"eegvlm-rt-{name}"],
                "name": label,
                "model": "eegvlm-rt",
                "sw_version": __version__,
            },
        }
        stage = {
            **common,
            "name": "Sleep stage",
            "unique_id": f"eegvlm_{name}_stage",
            "state_topic": f"{self._base}/beds/{bed}/stage",
            "value_template": "{{ value_json.stage if value_json.stage else 'unknown' }}",
            "json_attributes_topic": f"{self._base}/beds/{bed}/stage",
            "icon": "mdi:sleep",
        }
        alarm = {
            **common,
            "name": "Technical alarm",
            "unique_id": f"eegvlm_{name}_alarm",
            "device_class": "problem",
            "state_topic": f"{self._base}/beds/{bed}/state",
            "value_template": "{{ 'ON' if value_json.alarms else 'OFF' }}",
        }
        for kind, part, state in (("sensor", "stage", stage), ("binary_sensor", "alarm", alarm)):
            self._retain(f"/homeassistant/{kind}/eegvlm_{name}/{part}/config", json.dumps(state), bed)

    def _retain(self, place: str, text: str, bed: str) -> None:
        """Publish what is true now. A place that begins with a slash is a topic outside the base."""
        topic = place[1:] if place.startswith("/") else f"{self._base}/{place}"
        with self._lock:
            self._retained[topic] = text
            if bed:
                self._topics.setdefault(bed, set()).add(topic)
        if self.connected:
            self._publish(topic, text, retain=True)

    def _publish(self, topic: str, text: str, *, retain: bool = False) -> None:
        try:
            self._client.publish(topic, text, qos=1, retain=retain)
            self.published += 1
        except (ValueError, RuntimeError) as error:
            self._why = str(error)

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._why = str(reason)
            return
        self.connected, self._broken_since = True, None
        client.publish(f"{self._base}/status", "online", qos=1, retain=True)
        self._state_all()
        # What was not acknowledged before is sent again by the client, after this. So what is true now is
        # said once more behind it.
        again = threading.Timer(AGAIN_S, self._state_all)
        again.daemon = True
        again.start()

    def _state_all(self) -> None:
        """Publish everything that is true now."""
        with self._lock:
            retained = dict(self._retained)
        for topic, text in retained.items():
            if self.connected:
                self._publish(topic, text, retain=True)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.connected = False
        self._broken_since = self._broken_since or time.monotonic()
        self._why = str(reason)

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        self._broken_since = self._broken_since or time.monotonic()
        self._why = "cannot be reached"
