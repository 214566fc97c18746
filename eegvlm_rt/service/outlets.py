"""Everything that leaves the machine: webhooks and the MQTT broker, together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .alarms import AlarmState
from .mqtt import MqttOutlet
from .webhook import Webhook

if TYPE_CHECKING:
    from .alarms import Alarm, Alarms
    from .config import Configuration
    from .night import BedNight

__all__ = ["Outlets"]

_log = logging.getLogger("eegvlm_rt.service")


class Outlets:
    """Hands alarms, decisions and states over to each outlet; none of these calls waits for a network."""

    def __init__(self, configuration: Configuration, alarms: Alarms) -> None:
        self._alarms = alarms
        self._configuration = configuration
        self._webhooks: list[Webhook] = []
        self._mqtt: MqttOutlet | None = None

    def start(self) -> None:
        """Begin to deliver."""
        configuration = self._configuration
        self._webhooks = [Webhook(hook, configuration.device) for hook in configuration.webhooks]
        for hook in self._webhooks:
            hook.start()
        if configuration.mqtt is not None:
            self._mqtt = MqttOutlet(configuration.mqtt, configuration.device)
            self._mqtt.start()

    def stop(self) -> None:
        """Deliver no more; the broker is told that the service ended in order."""
        for hook in self._webhooks:
            hook.stop()
        self._webhooks = []
        if self._mqtt is not None:
            self._mqtt.stop()
            self._mqtt = None

    def reload(self, configuration: Configuration) -> None:
        """Other settings; outlets that stay the same go on."""
        old, self._configuration = self._configuration, configuration
        same = (old.webhooks, old.mqtt, old.device) == (
            configuration.webhooks,
            configuration.mqtt,
            configuration.device,
        )
        if not same:
            self.stop()
            self.start()
            for alarm in self._alarms.current():
                self.alarm(alarm)

    def alarm(self, alarm: Alarm) -> None:
        """An alarm changed."""
        for hook in self._webhooks:
            hook.put(alarm)
        if self._mqtt is not None:
            self._mqtt.alarm(alarm, [a for a in self._alarms.current() if a.state is not AlarmState.OVER])

    def row(self, night: BedNight, row: dict[str, Any], *, final: bool) -> None:
        """A decision."""
        if self._mqtt is not None and final:
            self._mqtt.row(night.bed.id, night.folder.name, row)

    def state(self, state: dict[str, Any]) -> None:
        """The state of the service, every second."""
        if self._mqtt is not None:
            self._mqtt.state(state)

    def trouble(self, limit_s: float) -> str:
        """What could not be delivered for longer than `limit_s`, in words; empty where all is well."""
        troubles = [hook.trouble(limit_s) for hook in self._webhooks]
        if self._mqtt is not None:
            troubles.append(self._mqtt.trouble(limit_s))
        return "; ".join(text for text in troubles if text)

    def facts(self) -> dict[str, Any]:
        """Counts for the metrics."""
        return {
            "webhook_delivered": sum(hook.delivered for hook in self._webhooks),
            "webhook_failed": sum(hook.failed for hook in self._webhooks),
            "webhook_dropped": sum(hook.dropped for hook in self._webhooks),
            "mqtt_connected": None if self._mqtt is None else self._mqtt.connected,
            "mqtt_published": 0 if self._mqtt is None else self._mqtt.published,
        }
