"""The files of deploy/ are what the tools that read them take."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from eegvlm_rt.service import parse_configuration
from eegvlm_rt.service.page.hub import Hub
from eegvlm_rt.service.page.metrics import metrics

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


def metric_names() -> set[str]:
    """Names of all series that the service exports."""
    numbers = (
        "sample_age_s decision_age_s lag_s recording journal_bytes signal_bytes paused_s samples missing "
        "lost_samples lost_frames journal_losses reconnects clock_steps"
    )
    bed: dict[str, object] = dict.fromkeys(numbers.split(), 1)
    histogram = {"bounds": [1.0], "counts": [1, 0], "sum": 1.0}
    bed |= {"id": "one", "epochs_total": {"scored": 1}, "stage_ms": histogram, "total_ms": histogram}
    alarm = {"bed": "one", "kind": "lag", "priority": "low", "state": "active"}
    hub = Hub()
    hub.state = {
        "beds": [bed],
        "alarms": [alarm],
        "ready": True,
        "alarms_raised": 1,
        "model": {"state": "running", "restarts": 0},
        "page": {"restarts": 0},
        "memory": {"recorder": 1},
        "outlets": dict.fromkeys(
            ["webhook_delivered", "webhook_failed", "webhook_dropped", "mqtt_published", "mqtt_connected"], 1
        ),
        **dict.fromkeys(["disk_free_bytes", "temperature_c", "power_w", "threads", "files"], 1),
    }
    return {line.split("{")[0].split(" ")[0] for line in metrics(hub).decode().splitlines() if line[0] != "#"}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"eegvlm_[a-z_]+", text))


def test_rules_and_dashboard_ask_for_metrics_that_there_are() -> None:
    known = metric_names()
    rules = yaml.safe_load((DEPLOY / "prometheus" / "eegvlm-rt.rules.yml").read_text())
    texts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert len(texts) >= 8
    dashboard = json.loads((DEPLOY / "grafana" / "eegvlm-rt.json").read_text())
    texts += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for text in texts:
        assert names_in(text)
        assert names_in(text) <= known, text
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_example_configuration_is_right(tmp_path: Path) -> None:
    text = (DEPLOY / "beds.toml").read_text().replace("/var/lib/eegvlm-rt", str(tmp_path))
    assert len(parse_configuration(text.encode()).beds) == 2
    # So is it with the sections that are comments.
    for name in ("webhook.token", "mqtt.password", "broker-ca.pem"):
        (tmp_path / name).touch(mode=0o600)
    lines = [
        line.removeprefix("# ") if "=" in line or "[[" in line or "[mqtt" in line else line
        for line in text.splitlines()
    ]
    found = parse_configuration("\n".join(lines).replace("/etc/eegvlm-rt", str(tmp_path)).encode())
    assert found.mqtt is not None
    assert found.mqtt.port == 8883
    assert len(found.webhooks) == 1


def test_containers_build_for_the_three_boards_and_run_as_nobody() -> None:
    files = sorted((DEPLOY / "containers").glob("Containerfile.*"))
    assert [file.suffix for file in files] == [".jetpack6", ".jetpack7", ".x86-64"]
    for file in files:
        text = file.read_text()
        assert re.search(r"^USER 10001$", text, re.MULTILINE)
        assert "serve" in text


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    text = (DEPLOY / "eegvlm-rt.service").read_text()
    path = tmp_path / "eegvlm-rt.service"
    path.write_text(re.sub(r"/opt/eegvlm-rt/bin/eegvlm-rt", sys.executable, text))
    return path


def test_systemd_takes_the_unit_and_finds_it_hardened(unit: Path) -> None:
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is needed: apt-get install systemd"
    done = subprocess.run([program, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "eegvlm-rt.service" in line]
    assert complaints == []
    limit = "--threshold=30"
    done = subprocess.run(
        [program, "security", "--offline=yes", "--no-pager", limit, unit],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr
