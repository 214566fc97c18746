"""Metrics for Prometheus, by its own client library."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from .hub import Hub

__all__ = ["CONTENT_TYPE", "metrics"]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_GAUGES: Final = (
    ("sample_age_s", "sample_age_seconds", "Seconds since the latest sample"),
    ("decision_age_s", "decision_age_seconds", "Seconds since the latest decision"),
    ("lag_s", "lag_seconds", "How far the latest decision stood behind its signal"),
    ("recording", "recording", "1 while a night is recorded"),
    ("journal_bytes", "journal_bytes", "Size of the night's journal"),
    ("signal_bytes", "signal_bytes", "Size of the night's raw signal"),
    ("paused_s", "alarms_paused_seconds", "Seconds for which alarms are still paused"),
)
_COUNTERS: Final = (
    ("samples", "samples", "Samples taken from the source"),
    ("missing", "samples_missing", "Samples that came without a value"),
    ("lost_samples", "samples_lost", "Samples that could not be recorded"),
    ("lost_frames", "signal_frames_lost", "Frames of the night's signal that the disk never got"),
    ("journal_losses", "journal_records_lost", "Records of the night's journal that could not be written"),
    ("reconnects", "reconnects", "How often the source came back"),
    ("clock_steps", "clock_steps", "How often the host's clock was set"),
)


class _Collector:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        hub, state = self._hub, self._hub.state
        yield GaugeMetricFamily("eegvlm_up", "1 while the recorder is heard of", float(hub.fresh))
        yield GaugeMetricFamily("eegvlm_page_clients", "Listeners of the page", len(hub.clients))
        yield CounterMetricFamily("eegvlm_page_clients_dropped", "Listeners that did not read", hub.dropped)
        if not state:
            return
        yield GaugeMetricFamily("eegvlm_ready", "1 while the service is ready", float(state["ready"]))
        yield from _of_beds(state["beds"])
        yield from _of_service(state)


def metrics(hub: Hub) -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(hub))
    return generate_latest(registry)


def _of_beds(beds: list[dict[str, Any]]) -> Iterator[Metric]:
    for key, name, text in _GAUGES:
        gauge = GaugeMetricFamily(f"eegvlm_{name}", text, labels=["bed"])
        for bed in beds:
            if bed[key] is not None:
                gauge.add_metric([bed["id"]], float(bed[key]))
        yield gauge
    for key, name, text in _COUNTERS:
        counter = CounterMetricFamily(f"eegvlm_{name}", text, labels=["bed"])
        for bed in beds:
            counter.add_metric([bed["id"]], float(bed[key]))
        yield counter
    epochs = CounterMetricFamily("eegvlm_epochs", "Decisions by outcome", labels=["bed", "outcome"])
    for bed in beds:
        for outcome, count in bed["epochs_total"].items():
            epochs.add_metric([bed["id"], outcome], float(count))
    yield epochs
    for key, name, text in (
        ("stage_ms", "stage_seconds", "From an epoch to its stage"),
        ("total_ms", "reason_seconds", "From an epoch to its stage with all reasons"),
    ):
        histogram = HistogramMetricFamily(f"eegvlm_{name}", text, labels=["bed"])
        for bed in beds:
            entry = bed[key]
            sums = list(accumulate(entry["counts"]))
            bounds = [*(str(bound / 1000) for bound in entry["bounds"]), "+Inf"]
            histogram.add_metric([bed["id"]], list(zip(bounds, sums, strict=True)), entry["sum"] / 1000)
        yield histogram


def _of_service(state: dict[str, Any]) -> Iterator[Metric]:
    alarms = GaugeMetricFamily(
        "eegvlm_alarm", "1 for each alarm that is shown", labels=["bed", "kind", "priority", "state"]
    )
    for alarm in state["alarms"]:
        alarms.add_metric([alarm["bed"], alarm["kind"], alarm["priority"], alarm["state"]], 1.0)
    yield alarms
    yield CounterMetricFamily("eegvlm_alarms", "Alarm conditions so far", state["alarms_raised"])
    model = GaugeMetricFamily("eegvlm_model_state", "1 for the state of the model", labels=["state"])
    for name in ("loading", "running", "restarting", "safe mode", "stopped"):
        model.add_metric([name], float(state["model"]["state"] == name))
    yield model
    yield CounterMetricFamily("eegvlm_model_restarts", "Deaths of the model", state["model"]["restarts"])
    yield CounterMetricFamily("eegvlm_page_restarts", "Deaths of the page", state["page"]["restarts"])
    memory = GaugeMetricFamily("eegvlm_memory_bytes", "Resident memory", labels=["process"])
    for name, value in state["memory"].items():
        if value is not None:
            memory.add_metric([name], float(value))
    yield memory
    for key, name, text in (
        ("disk_free_bytes", "disk_free_bytes", "Free space for nights"),
        ("temperature_c", "temperature_celsius", "Hottest zone of the board"),
        ("power_w", "power_watts", "Power of the board"),
        ("threads", "threads", "Threads of the recorder"),
        ("files", "open_files", "Open files of the recorder"),
    ):
        if state.get(key) is not None:
            yield GaugeMetricFamily(f"eegvlm_{name}", text, float(state[key]))
    outlets = state["outlets"]
    for key in ("webhook_delivered", "webhook_failed", "webhook_dropped", "mqtt_published"):
        yield CounterMetricFamily(f"eegvlm_{key}", key.replace("_", ": "), float(outlets[key]))
    if outlets["mqtt_connected"] is not None:
        yield GaugeMetricFamily(
            "eegvlm_mqtt_connected", "1 while connected", float(outlets["mqtt_connected"])
        )
