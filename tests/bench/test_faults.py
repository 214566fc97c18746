"""The benchmark of faults: a few of each kind are survived, and a promise that is broken is found."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.faults import disk
from benchmarks.faults.command import KINDS, main, measure
from benchmarks.faults.compare import accounted, compare, epochs_of, expected_epochs
from benchmarks.faults.kinds import WIRE_KINDS
from benchmarks.faults.signals import Signal, real_signals
from benchmarks.faults.wire import settling_s
from eegvlm_rt.journal import Journal
from eegvlm_rt.signal.conditioner import Conditioner
from eegvlm_rt.signal.conditioning import condition_recording
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.streaming.timeline import Timeline
from eegvlm_rt.streaming.worker import EpochWorker
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.signal.epochs import GridEpoch


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_bundle(tmp_path_factory.mktemp("faults") / "tiny").path)


@pytest.fixture(scope="module")
def signals() -> list[Signal]:
    return [
        Signal(
            f"simulated at {rate:g} Hz", False, simulate_night(9, hours=1 / 6, sfreq=rate).samples_uv, rate
        )
        for rate in (100.0, 128.0)
    ]


def test_a_few_faults_of_each_kind_are_survived(bundle: str, signals: list[Signal]) -> None:
    results = measure(bundle, seed=4, count=2 * len(KINDS), signals=signals, deadline_s=1.0, threads=1)
    assert list(results["kinds"]) == list(KINDS)
    assert len(KINDS) == 17
    for kind, row in results["kinds"].items():
        wrong = [night for night in results["nights"] if night["kind"] == kind and not night["ok"]]
        assert not wrong, json.dumps(wrong, indent=1)
        assert row["faults"] == 2
        assert row["accounted"] == row["expected"] > 0
        assert row["changed"] == row["broken"] == 0
        assert row["resumed"] == row["interrupted"]
        assert row["compared"] > 0
    assert results["total"]["slipped"] > 0.9 * results["total"]["compared"]
    assert results["kinds"]["SIGKILL"]["interrupted"] == 2


def test_the_seed_says_which_faults(bundle: str, signals: list[Signal]) -> None:
    def told(seed: int) -> list[Any]:
        kinds = list(WIRE_KINDS)
        results = measure(bundle, seed=seed, count=8, signals=signals[:1], kinds=kinds, threads=1)
        return [(night["told"], night["comparison"]) for night in results["nights"]]

    assert told(1) == told(1)
    assert told(1) != told(2)


class TestABrokenPromiseIsFound:
    def result(self, bundle: str, signals: list[Signal], kind: str) -> dict[str, Any]:
        results = measure(bundle, seed=0, count=3, signals=signals[:1], kinds=[kind], threads=1)
        assert not results["total"]["ok"]
        return results["total"]

    def test_gaps_that_are_not_noticed(
        self, bundle: str, signals: list[Signal], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Timeline, "regular", lambda _, stamps, __: len(stamps))
        total = self.result(bundle, signals, "drops")
        assert total["changed"] > 0
        assert total["broken"] > 0

    def test_filters_that_never_settle(
        self, bundle: str, signals: list[Signal], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = Conditioner._run_filter

        def leaking(self: Conditioner, wide: np.ndarray) -> np.ndarray:
            self.most = max(getattr(self, "most", 0.0), float(np.abs(wide).max()))
            return run(self, wide + 0.01 * self.most * np.arange(len(wide)) % 3)

        monkeypatch.setattr(Conditioner, "_run_filter", leaking)
        assert self.result(bundle, signals, "saturation")["changed"] > 0

    def test_a_signal_that_is_moved_by_one_sample(
        self, bundle: str, signals: list[Signal], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        look = EpochWorker._look

        def failing(self: EpochWorker, epoch: GridEpoch) -> Any:
            if epoch.index % 7 == 6:
                epoch = replace(epoch, x=np.roll(epoch.x, 1))
            return look(self, epoch)

        monkeypatch.setattr(EpochWorker, "_look", failing)
        assert self.result(bundle, signals, "bursts")["changed"] > 0

    def test_records_that_are_lost_without_a_word(
        self, bundle: str, signals: list[Signal], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        append = Journal.append

        def forgetful(self: Journal, kind: str, body: Any) -> None:
            if body.get("index") != 5:
                append(self, kind, body)

        monkeypatch.setattr(Journal, "append", forgetful)
        total = self.result(bundle, signals, "duplicates")
        assert total["accounted"] < total["expected"]
        assert total["broken"] > 0


def test_a_disk_is_full_too_where_none_may_be_mounted(
    bundle: str, signals: list[Signal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.shutil, "which", lambda _: None)
    results = measure(bundle, seed=1, count=2, signals=signals[:1], kinds=["disk full"], threads=1)
    assert results["total"]["ok"]
    assert {night["facts"]["disk"] for night in results["nights"]} == {"RLIMIT_FSIZE"}
    assert results["total"]["resumed"] == 2


@pytest.mark.parametrize("sfreq", [50.0, 100.0, 256.0])
def test_after_the_settling_time_nothing_is_left_of_a_fault(sfreq: float) -> None:
    x = simulate_night(9, hours=0.1, sfreq=sfreq).samples_uv
    struck, last = x.copy(), round(70 * sfreq)
    struck[last - round(2 * sfreq) : last] = 1e5
    before, after = condition_recording(x, sfreq), condition_recording(struck, sfreq)
    settled = round((70 + settling_s(sfreq)) * 100)
    assert 20 < settling_s(sfreq) < 30
    np.testing.assert_allclose(after[settled:], before[settled:], rtol=0, atol=1e-9)
    assert (after[settled - 1500 : settled] != before[settled - 1500 : settled]).any()


def test_real_recordings_are_whole_nights(shared_data: Path) -> None:
    found = real_signals(shared_data)
    assert len(found) == 8
    assert all(
        signal.real and len(signal.samples_uv) == signal.epochs * 30 * signal.sfreq for signal in found
    )


class TestTheCommand:
    def test_it_says_what_it_did(
        self, bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        short = simulate_night(9, hours=1 / 6).samples_uv
        monkeypatch.setattr(
            "benchmarks.faults.command.simulated_signals", lambda: [Signal("short", False, short, 100.0)]
        )
        place = tmp_path / "faults.json"
        arguments = ["--bundle", bundle, "--count", "1", "--kinds", "NaN", "--data", str(tmp_path / "no")]
        assert main([*arguments, "--json", str(place)]) == 0
        printed = capsys.readouterr()
        assert "100 %" in printed.out
        assert "simulated nights only" in " ".join(printed.err.split())
        results = json.loads(place.read_text(encoding="utf-8"))
        assert results["nights"][0]["told"]

    def test_what_cannot_be_run_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--bundle", str(tmp_path), "--data", str(tmp_path)]) == 2
        assert capsys.readouterr().err
        with pytest.raises(SystemExit):
            main(["--count", "0"])


class TestComparing:
    ROW = {  # noqa: RUF012
        "outcome": "scored",
        "probabilities": {"W": 1.0},
        "findings": {"x": [1.0]},
        "start_s": 0.0,
        "head": None,
        "night": None,
    }

    def rows(self, n: int = 4) -> list[dict[str, Any]]:
        return [
            {**self.ROW, "index": i, "probabilities": {"W": 0.1 * i}, "quality": {"flags": ["flat"]}}
            for i in range(n)
        ]

    def test_the_same_is_the_same(self) -> None:
        found = compare(self.rows(), self.rows(), {1}, {2})
        assert (found.compared, found.changed, found.excluded, found.excluded_changed) == (3, (), 1, 0)
        assert found.slipped == 3

    def test_a_bit_of_a_probability_and_a_missing_row_are_changes(self) -> None:
        other = self.rows()[:3]
        other[1]["probabilities"] = {"W": float(np.nextafter(0.1, 1))}
        found = compare(other, self.rows(), {2}, set())
        assert (found.compared, found.changed) == (3, (1, 3))

    def test_measured_numbers_may_differ_in_their_last_digits(self) -> None:
        other = self.rows()
        other[0]["findings"], other[1]["findings"] = {"x": [1.0 + 1e-9]}, {"x": [1.001]}
        found = compare(other, self.rows(), set(), set())
        assert (found.changed, found.last_digits) == ((1,), 1)

    def test_flags_of_the_clock_may_differ_where_it_is_marked(self) -> None:
        other = self.rows()
        for index, flags in ((0, ["clock", "flat"]), (1, ["clock", "flat"]), (2, ["clock"])):
            other[index]["quality"] = {"flags": flags}
        assert compare(other, self.rows(), set(), {1, 2}).changed == (0, 2)

    def test_what_the_memory_says_may_differ_after_an_epoch_that_faults_touch(self) -> None:
        clean = [{**row, "head": {"probabilities": row["probabilities"]}, "night": {}} for row in self.rows()]
        other = [{**row, "probabilities": {"W": 0.7}, "night": {"stage": "W"}} for row in clean]
        assert compare(other, clean, {1}, set()).changed == (0,)
        other[3]["head"] = {"probabilities": {"W": 0.4}}
        found = compare(other, clean, {1}, set())
        assert (found.changed, found.excluded_changed) == ((0, 3), 1)

    def test_an_epoch_counts_once(self) -> None:
        rows = self.rows()
        assert accounted(rows, 4) == 4
        assert accounted([*rows, rows[1]], 4) == 3
        assert accounted(rows, 3) == 2
        assert accounted([{**rows[0], "outcome": None}, *rows[1:]], 4) == 3

    def test_intervals_reach_into_epochs(self) -> None:
        assert epochs_of([(2999, 3001), (9000, 9000)], 100) == {0, 1, 3}
        assert [expected_epochs(n, 100) for n in (1, 3000, 3001, 3002)] == [1, 1, 1, 2]
