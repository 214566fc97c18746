"""The staging benchmark: every stager's figures are there and say what they are of; not how fast it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.staging import OURS, PEERS, READS_AHEAD, main, markdown, summarize
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.bundle import Bundle

EPOCHS = 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("staging") / "tiny")


@pytest.fixture(scope="module")
def stager_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stager of band powers, trained on a few made nights."""
    from eegvlm_train.sleep_edf.tables import TableNight
    from eegvlm_train.teachers.band_power_training import train_stager

    nights = []
    for number in range(3):
        rng = np.random.default_rng(number)
        stages = np.repeat(rng.integers(0, 5, 60), 10).astype(np.int8)
        powers = rng.standard_normal((600, 2, 5)) + stages[:, None, None]
        nights.append(TableNight(f"SC4{number}", "20", stages, powers.astype(np.float32), powers))
    folder = tmp_path_factory.mktemp("band-power")
    train_stager(nights, rounds=2, threads=1).save(folder, {"source": "made"})
    return folder


@pytest.fixture(scope="module")
def results(bundle: Bundle, stager_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("out") / "deep" / "staging.json"
    few = ["--epochs", str(EPOCHS), "--threads", "1", "--rounds", "1", "--json", str(path)]
    names = ["head", "direct", "band powers", "band powers, causal"]
    run = ["--bundle", str(bundle.path), "--band-power", str(stager_folder), *few, "--only", *names]
    assert main(run) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def test_each_stager_has_its_times_and_memory(results: dict[str, Any], bundle: Bundle) -> None:
    assert results["bundle"]["digest"] == bundle.digest
    assert results["epochs"] == EPOCHS
    assert results["environment"]["threads"] == 1
    assert list(results["stagers"]) == ["head", "direct", "band powers", "band powers, causal"]
    assert results["missing"] == {}
    for one in results["stagers"].values():
        assert one["first_s"] > 0
        assert one["warm_cpu_s"] > 0
        assert one["peak_mib"] >= one["loaded_mib"] > 10
        assert len(one["all_warm_s"]) == 1


def test_the_table_says_what_each_stager_reads_of_the_future(results: dict[str, Any]) -> None:
    text = markdown(results)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "nothing: causal" in lines["`head`"]
    assert "1.00x, 1.00x" in lines["`head`"]
    assert "2.5 min" in lines["band powers"]
    assert f"A night of {EPOCHS} epochs" in text
    assert set(READS_AHEAD) == {*OURS, *PEERS}


def test_a_stager_that_is_not_installed_is_named_and_the_others_are_measured(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A module of that name that cannot be imported, before the installed one.
    (tmp_path / "yasa.py").write_text("raise ModuleNotFoundError('no yasa', name='yasa')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    run = ["--bundle", str(bundle.path), "--epochs", "2", "--threads", "1", "--rounds", "1"]
    assert main([*run, "--only", "head", "YASA", "--markdown"]) == 0
    out = capsys.readouterr().out
    assert "YASA: yasa is not installed." in out
    assert "| `head` |" in out


def test_a_bundle_that_is_absent_ends_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--bundle", str(tmp_path), "--epochs", "1"]) == 2
    assert "manifest.json" in capsys.readouterr().err.replace("\n", "")


@pytest.mark.parametrize("name", ["epochs", "threads", "rounds", "warm"])
def test_nothing_to_measure_is_an_error_of_use(name: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--{name}", "0"])
    assert caught.value.code == 2


def test_rounds_are_summed_up_by_their_median() -> None:
    runs = [
        {
            "load_s": s,
            "first": {"wall_s": 2 * s, "cpu_s": s},
            "warm": [{"wall_s": s, "cpu_s": s}],
            "loaded_mib": 1.0,
            "peak_mib": s,
        }
        for s in (1.0, 2.0, 9.0)
    ]
    found = summarize(runs)
    assert (found["first_s"], found["warm_s"], found["peak_mib"]) == (4.0, 2.0, 9.0)
