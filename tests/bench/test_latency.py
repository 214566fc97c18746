"""The latency benchmark: every figure is there and says what it is of. How fast anything is, is not asked
here.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._common import environment, fresh, percentiles
from benchmarks.latency import main
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("latency") / "tiny")


@pytest.fixture(scope="module")
def results(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict:
    path = tmp_path_factory.mktemp("out") / "deep" / "latency.json"
    assert main(["--bundle", str(bundle.path), "--epochs", "4", "--threads", "1", "--json", str(path)]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_model_and_the_machine_are_named(results: dict, bundle: Bundle) -> None:
    assert results["bundle"]["digest"] == bundle.digest
    assert results["environment"]["threads"] == 1
    assert results["environment"]["packages"]["numpy"] == np.__version__
    assert results["environment"]["cpu"]


@pytest.mark.parametrize(
    ("mode", "phases"),
    [
        ("head", {"render_ms", "tower_ms", "total_ms", "stage_ms"}),
        ("direct", {"render_ms", "tower_ms", "prefill_ms", "decode_ms", "total_ms", "stage_ms"}),
        (
            "cot",
            {
                "render_ms",
                "tower_ms",
                "prefill_ms",
                "decode_ms",
                "total_ms",
                "stage_ms",
                "first_token_ms",
                "per_token_ms",
            },
        ),
    ],
)
def test_every_phase_of_a_mode_has_its_percentiles(results: dict, mode: str, phases: set[str]) -> None:
    found = {name: value for name, value in results["modes"][mode].items() if isinstance(value, dict)}
    assert set(found) == phases
    for value in found.values():
        assert value["n"] == 4
        assert 0 < value["p50"] <= value["p95"] <= value["p99"]


def test_text_is_counted_in_tokens_and_runs(results: dict) -> None:
    cot = results["modes"]["cot"]
    assert cot["tokens_per_epoch"] > cot["steps_per_epoch"] > 1
    assert cot["tokens_per_s"] > 0


def test_each_mode_is_also_measured_in_a_process_of_its_own(results: dict) -> None:
    assert set(results["fresh"]) == {"head", "direct", "cot"}
    for mode, found in results["fresh"].items():
        assert found["mode"] == mode
        assert found["epochs"] == 7
        assert found["peak_mib"] >= found["loaded_mib"] > 0
        assert found["import_s"] > 0
        assert found["load_s"] > 0


def test_a_bundle_that_is_not_there_ends_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--bundle", str(tmp_path), "--epochs", "1"]) == 2
    assert "manifest.json" in capsys.readouterr().err.replace("\n", "")


def test_no_epochs_is_an_error_of_use() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--epochs", "0"])
    assert caught.value.code == 2


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_lie_between_the_extremes_in_order(values: list[float]) -> None:
    found = percentiles(values)
    assert min(values) <= found["p50"] <= found["p95"] <= found["p99"] <= max(values)
    assert found["n"] == len(values)


def test_percentiles_are_those_of_numpy() -> None:
    values = list(range(101))
    assert percentiles(values) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "n": 101}


def test_a_failing_process_is_an_error_with_its_message() -> None:
    with pytest.raises(RuntimeError, match="no_such_module"):
        fresh("no_such_module")


def test_the_environment_is_plain_json() -> None:
    facts = environment(3)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
