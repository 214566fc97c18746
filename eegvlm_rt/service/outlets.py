"""Everything that leaves the machine: webhooks and the MQTT broker, together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .alarms import AlarmState
from .config import OUTPUTS, file_fingerprint
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
        self._files = _secrets(configuration)

    def start(self) -> None:
        """Begin to deliver."""
        configuration = self._configuration
        self._files = _secrets(configuration)
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
        if not same or self._files != _secrets(configuration):
            self.stop()
            self.start()
            for alarm in self._alarms.current():
                self.alarm(alarm)
        if self._mqtt is not None:
            self._mqtt.keep({bed.id for bed in configuration.beds if "mqtt" in bed.outputs})

    def alarm(self, alarm: Alarm) -> None:
        """An alarm changed."""
        outputs = self._outputs(alarm.bed)
        for hook in self._webhooks if "webhooks" in outputs else ():
            hook.put(alarm)
        if self._mqtt is not None and "mqtt" in outputs:
            self._mqtt.alarm(alarm, [a for a in self._alarms.current() if a.state is not AlarmState.OVER])

    def row(self, night: BedNight, row: dict[str, Any], *, final: bool) -> None:
        """A decision."""
        if self._mqtt is not None and final and "mqtt" in night.bed.outputs:
            self._mqtt.row(night.bed.id, night.folder.name, row)

    def state(self, state: dict[str, Any]) -> None:
        """The state of the service, every second."""
        if self._mqtt is not None:
            beds = [bed for bed in state["beds"] if "mqtt" in self._outputs(bed["id"])]
            self._mqtt.state({**state, "beds": beds})

    def _outputs(self, bed: str) -> frozenset[str]:
        """Where a bed's news go; those of the whole service (and of a bed that is gone) go everywhere."""
        outputs = [settings.outputs for settings in self._configuration.beds if settings.id == bed]
        return outputs[0] if outputs else OUTPUTS

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


def _secrets(configuration: Configuration) -> tuple[object, ...]:
    names = [name for hook in configuration.webhooks for name in (hook.token_file, hook.ca)]
    if configuration.mqtt is not None:
        names += [configuration.mqtt.password_file, configuration.mqtt.ca]
    return file_fingerprint(name for name in names if name is not None)
