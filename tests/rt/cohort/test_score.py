"""eegvlm-rt score: what is scored, what a second run does, and what a killed run leaves."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eegvlm_rt.cli import main
from eegvlm_rt.cli import score as score_command
from eegvlm_rt.cohort import Status, find_nights, plan, read_receipt, receipts_in, score_nights
from eegvlm_rt.cohort.local_pool import default_threads, default_workers
from eegvlm_rt.cohort.receipt import receipt_path
from eegvlm_rt.cohort.scorer import Scorer
from eegvlm_rt.errors import BundleError, OutputError
from eegvlm_rt.hypnogram import from_csv, read_edf
from eegvlm_rt.night.inputs import read_results
from tests.rt.cli.cli_runs import cli, save_recording, start_cli

from .nights import options_of, save_nights, save_scoring


@pytest.fixture(scope="module")
def scored(tmp_path_factory, tiny_bundle):
    """Four nights and what is none, scored by the command: (status, folder of data, results)."""
    folder = tmp_path_factory.mktemp("cohort")
    data, out = folder / "data", folder / "out"
    save_nights(data, "a b sub/a")
    save_scoring(data / "a-Hypnogram.edf")
    (data / "bad.edf").write_bytes(b"0       " + b" " * 400)
    save_recording(data / "two.edf", 3, channels=("EEG C3-A2", "EEG C4-A1"))
    more = ["--bundle", str(tiny_bundle), "--threads", "1", "--workers", "1", "--predictions"]
    status = main(["score", str(data), "-o", str(out), *more])
    return status, data, out


def table(out):
    with (out / "nights.csv").open(newline="", encoding="utf-8") as handle:
        return {row["night"]: row for row in csv.DictReader(handle)}


def finished(out):
    return {receipt.night: (receipt.finished, receipt.worker) for receipt in receipts_in(out)}


class TestScored:
    def test_every_night_is_a_row_with_figures_or_an_error(self, scored):
        status, _, out = scored
        assert status == 3
        rows = table(out)
        assert {name: row["status"] for name, row in rows.items()} == {
            "a": "scored",
            "b": "scored",
            "sub__a": "scored",
            "bad": "failed",
            "two": "failed",
            "a-Hypnogram": "skipped",
        }
        assert "number of signals" in rows["bad"]["error"]
        assert "EEG C3-A2" in rows["two"]["error"]
        assert (rows["a"]["epochs"], rows["a"]["recording_min"]) == ("3", "1.5")
        assert (rows["a"]["channel"], rows["a"]["start"]) == ("EEG Fpz-Cz", "2020-05-01T22:00:00")

    def test_figures_are_those_of_the_nights_own_statistics(self, scored):
        _, _, out = scored
        for name in ("a", "b", "sub__a"):
            night = read_results(out / "nights" / name)
            row, found = table(out)[name], night.statistics()
            assert float(row["sleep_min"]) == found.sleep_min
            assert float(row["W_min"]) == found.stage_min[0]
            assert row["rem_latency_min"] == (
                "" if found.rem_latency_min is None else str(found.rem_latency_min)
            )

    def test_files_of_a_night_are_those_of_stage(self, scored, capsys, tiny_bundle, tmp_path):
        _, data, out = scored
        more = ("--bundle", tiny_bundle, "--mode", "head", "--threads", "1")
        assert cli(capsys, "stage", data / "a.edf", "--out", tmp_path / "one", *more)[0] == 0
        for name in ("hypnogram.csv", "hypnogram.edf"):
            assert (out / "nights" / "a" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
        assert (
            read_edf(out / "nights" / "a" / "hypnogram.edf").stages
            == from_csv(tmp_path / "one" / "hypnogram.csv").stages
        )

    def test_nothing_half_written_is_left(self, scored):
        _, _, out = scored
        assert not list(out.rglob(".eegvlm-[!l]*"))


class TestAgain:
    """What a second run does: in this process, by the very scorer that a worker has."""

    def cohort(self, tmp_path, tiny_bundle, names="a b", **more):
        paths = save_nights(tmp_path / "data", names)
        tasks = find_nights([str(tmp_path / "data")], tmp_path / "out")
        options = options_of(tiny_bundle, **more)
        self.run(tasks, tmp_path / "out", options)
        return paths, tasks, tmp_path / "out", options

    def run(self, tasks, out, options):
        """Score what the plan leaves to do; the names of it."""
        out.mkdir(exist_ok=True)
        planned = plan(tasks, out, options)
        if planned.todo:
            scorer = Scorer(out, planned.options, planned.bundle_digest)
            for task in planned.todo:
                scorer.score(task)
        return [task.name for task in planned.todo]

    def test_only_what_is_missing_or_changed_is_scored(self, tmp_path, tiny_bundle):
        paths, tasks, out, options = self.cohort(tmp_path, tiny_bundle)
        before = finished(out)
        assert self.run(tasks, out, options) == []
        save_recording(paths[0], 4)
        assert self.run(tasks, out, options) == ["a"]
        assert read_receipt(receipt_path(out, "a")).row["epochs"] == 4
        assert finished(out)["b"] == before["b"]
        (out / "nights" / "b" / "hypnogram.csv").unlink()
        assert self.run(tasks, out, options) == ["b"]
        assert (out / "nights" / "b" / "hypnogram.csv").is_file()
        receipt_path(out, "a").write_text("{")
        assert self.run(tasks, out, options) == ["a"]

    def test_a_night_has_its_statistics_beside_it_and_its_epochs_where_they_are_asked_for(
        self, tmp_path, tiny_bundle
    ):
        _, tasks, out, options = self.cohort(tmp_path, tiny_bundle, "a")
        folder = out / "nights" / "a"
        fields = json.loads((folder / "night.json").read_text(encoding="utf-8"))
        row = read_receipt(receipt_path(out, "a")).row
        assert fields["statistics"]["sleep_min"] == row["sleep_min"]
        assert fields["recording"]["file"] == "a.edf"
        assert not (folder / "predictions.json").exists()
        for more in ({"predictions": True}, {"mode": "direct"}):
            assert self.run(tasks, out, replace(options, **more)) == ["a"]
            assert len(read_results(folder)) == 3

    def test_a_file_that_was_only_touched_is_compared_and_left(self, tmp_path, tiny_bundle):
        paths, tasks, out, options = self.cohort(tmp_path, tiny_bundle, "a")
        table = out / "nights" / "a" / "hypnogram.csv"
        before, row = table.stat().st_ino, read_receipt(receipt_path(out, "a")).row
        os.utime(paths[0], ns=(1, 1))
        assert self.run(tasks, out, options) == ["a"]
        assert table.stat().st_ino == before
        assert read_receipt(receipt_path(out, "a")).row == row
        assert self.run(tasks, out, options) == []

    def test_other_options_are_other_results(self, tmp_path, tiny_bundle):
        _, tasks, out, options = self.cohort(tmp_path, tiny_bundle, "a")
        assert self.run(tasks, out, replace(options, formats=("json",))) == ["a"]
        assert (out / "nights" / "a" / "hypnogram.json").is_file()
        assert self.run(tasks, out, replace(options, formats=("json",), threads=2)) == []

    def test_a_corrected_hypnogram_stays_and_the_night_is_not_done_again(self, tmp_path, tiny_bundle):
        _, tasks, out, options = self.cohort(tmp_path, tiny_bundle, "a")
        path = out / "nights" / "a" / "hypnogram.csv"
        path.write_text(path.read_text(encoding="utf-8") + "corrected by hand\n", encoding="utf-8")
        assert self.run(tasks, out, options) == []
        self.run(tasks, out, replace(options, formats=("json",)))
        assert path.read_text(encoding="utf-8").endswith("corrected by hand\n")
        receipt = read_receipt(receipt_path(out, "a"))
        assert (receipt.status, receipt.error_kind) == (Status.FAILED, "OutputError")

    def test_a_failed_night_is_tried_again(self, tmp_path, tiny_bundle):
        (tmp_path / "data").mkdir()
        bad = tmp_path / "data" / "a.edf"
        bad.write_bytes(b"0       ")
        out, options = tmp_path / "out", options_of(tiny_bundle)
        tasks = find_nights([str(bad)], out)
        self.run(tasks, out, options)
        assert read_receipt(receipt_path(out, "a")).status is Status.FAILED
        save_recording(bad, 3)
        assert self.run(tasks, out, options) == ["a"]
        assert read_receipt(receipt_path(out, "a")).status is Status.SCORED

    def test_the_first_of_the_channels_that_a_recording_has_is_scored(self, tmp_path, tiny_bundle):
        (tmp_path / "data").mkdir()
        save_recording(tmp_path / "data" / "x.edf", 3, channels=("EEG C3-A2", "EEG C4-A1"))
        out = tmp_path / "out"
        tasks = find_nights([str(tmp_path / "data")], out)
        self.run(tasks, out, options_of(tiny_bundle, channels=("Fpz-Cz", "C4-A1", "C3-A2")))
        assert read_receipt(receipt_path(out, "x")).row["channel"] == "EEG C4-A1"
        self.run([replace(tasks[0], channel="C3-A2")], out, options_of(tiny_bundle, channels=("C4-A1",)))
        assert read_receipt(receipt_path(out, "x")).row["channel"] == "EEG C3-A2"

    def test_what_is_no_regular_file_fails_and_nothing_waits_for_it(self, tmp_path, tiny_bundle):
        (tmp_path / "data").mkdir()
        os.mkfifo(tmp_path / "data" / "pipe.edf")
        out = tmp_path / "out"
        tasks = find_nights([str(tmp_path / "data")], out)
        self.run(tasks, out, options_of(tiny_bundle))
        assert "no regular file" in read_receipt(receipt_path(out, "pipe")).error

    def test_a_file_without_signals_is_passed_over_where_it_was_found_and_fails_where_it_is_named(
        self, tmp_path, tiny_bundle
    ):
        (tmp_path / "data").mkdir()
        path = save_scoring(tmp_path / "data" / "h.edf")
        out, options = tmp_path / "out", options_of(tiny_bundle)
        for inputs, status in (([str(tmp_path / "data")], Status.SKIPPED), ([str(path)], Status.FAILED)):
            tasks = find_nights(inputs, out)
            self.run(tasks, out, options)
            assert read_receipt(receipt_path(out, "h")).status is status
            assert bool(plan(tasks, out, options).todo) is (status is Status.FAILED)

    def test_a_worker_with_another_bundle_does_not_start(self, tmp_path, tiny_bundle):
        with pytest.raises(BundleError, match="install the same one"):
            Scorer(tmp_path, options_of(tiny_bundle), "0" * 64)

    def test_reports_and_smoothing_come_as_asked(self, tmp_path, tiny_bundle):
        _, _, out, _ = self.cohort(tmp_path, tiny_bundle, "a", report=True)
        page = (out / "nights" / "a" / "report.html").read_text(encoding="utf-8")
        assert "3 epochs of 30 s" in page


class TestCommand:
    def test_a_second_run_needs_no_worker(self, scored, capsys, tiny_bundle):
        _, data, out = scored
        before = finished(out)
        more = ("-o", out, "--bundle", tiny_bundle, "--threads", "1", "--predictions")
        status, printed, errors = cli(capsys, "score", data / "a.edf", data / "b.edf", *more)
        assert (status, errors) == (0, "")
        assert "2 scored; 2 were done before" in printed
        assert finished(out) == before
        assert len(table(out)) == 6

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["x.edf"], "add -o OUT"),
            (["-o", "out"], "give recordings, folders"),
            (["missing.edf", "-o", "out"], "no such file"),
            (["{data}", "-o", "{data}"], "did not write"),
            (["{data}", "-o", "out", "--bundle", "nothing"], "no manifest.json"),
            (["{data}", "-o", "out", "--participant-label", "01"], "BIDS"),
            (["{data}", "out", "participant"], "give a BIDS dataset"),
            (["{data}", "out", "participant", "-o", "more"], "names the folder itself; leave out -o"),
            (["{data}", "out", "group"], "run the level participant first"),
            (["{data}", "-o", "out", "--ray", "127.0.0.1:1", "--list", "none"], "cannot be read"),
        ],
    )
    def test_what_cannot_be_scored_ends_with_one_message(
        self, scored, capsys, tmp_path, monkeypatch, arguments, message
    ):
        monkeypatch.chdir(tmp_path)
        filled = [part.format(data=scored[1]) for part in arguments]
        status, printed, errors = cli(capsys, "score", *filled)
        assert (status, printed) == (2, "")
        assert message in " ".join(errors.split())

    def test_stage_of_two_files_names_score(self, capsys):
        status, _, errors = cli(capsys, "stage", "a.edf", "b.edf")
        assert status == 2
        assert "eegvlm-rt score" in errors


class TestKilled:
    def test_a_worker_that_is_killed_takes_no_night_along(self, tiny_bundle, tmp_path):
        save_nights(tmp_path / "data", "a b c")
        tasks = find_nights([str(tmp_path / "data")], tmp_path / "out")

        def kill_once(receipt):
            if receipt.night == "a":
                for process in multiprocessing.active_children():
                    os.kill(process.pid, signal.SIGKILL)

        result = score_nights(
            tasks, tmp_path / "out", options_of(tiny_bundle), workers=1, on_receipt=kill_once, group=False
        )
        assert result.counts == {Status.SCORED: 3}
        workers = {r.night: r.worker for r in receipts_in(tmp_path / "out")}
        assert len(workers) == 3
        assert workers["a"] != workers["b"] == workers["c"]
        assert multiprocessing.active_children() == []

    def test_a_night_that_kills_its_workers_is_a_row(self, capsys, tiny_bundle, tmp_path):
        save_nights(tmp_path / "data", "a")
        ended = threading.Event()

        def kill_all():
            while not ended.wait(0.01):
                for process in multiprocessing.active_children():
                    process.kill()

        killer = threading.Thread(target=kill_all)
        killer.start()
        try:
            more = ("-o", tmp_path / "out", "--bundle", tiny_bundle, "--workers", "1", "--json")
            status, printed, errors = cli(capsys, "score", tmp_path / "data", *more)
        finally:
            ended.set()
            killer.join()
        assert (status, errors) == (4, "")
        (line,) = map(json.loads, printed.splitlines())
        assert (line["night"], line["status"]) == ("a", "failed")
        assert "its worker died 2 times: ended by SIGKILL" in table(tmp_path / "out")["a"]["error"]

    def test_a_killed_run_loses_no_finished_night_and_leaves_no_process(self, tiny_bundle, tmp_path):
        data, out = tmp_path / "data", tmp_path / "out"
        save_nights(data, "a b c d", epochs=60)
        more = ("--bundle", tiny_bundle, "--workers", "1", "--threads", "1", "--json")
        process = start_cli("score", data, "-o", out, *more)
        assert json.loads(process.stdout.readline())["night"] == "a"
        with pytest.raises(OutputError, match=f"process {process.pid}"):
            score_nights([], out, options_of(tiny_bundle))
        process.kill()
        process.communicate()
        worker = Path("/proc") / read_receipt(receipt_path(out, "a")).worker.split()[1]
        deadline = time.monotonic() + 30
        while worker.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not worker.exists()
        before = finished(out)
        tasks = find_nights([str(data)], out)
        todo = {task.name for task in plan(tasks, out, options_of(tiny_bundle)).todo}
        assert "a" not in todo
        assert todo == {"a", "b", "c", "d"} - set(before)
        result = score_nights(tasks, out, options_of(tiny_bundle), workers=1)
        assert result.counts == {Status.SCORED: 4}
        assert result.unchanged == len(before)
        assert {name: finished(out)[name] for name in before} == before
        assert not list(out.rglob(".eegvlm-[!l]*"))


class TestThreads:
    def test_workers_have_no_more_threads_than_the_processors_carry(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
        assert [default_threads(workers) for workers in (None, 1, 2, 3, 4, 9)] == [2, 2, 2, 1, 1, 1]
        assert [default_workers(threads) for threads in (1, 2, 3, 8)] == [4, 2, 1, 1]

    def test_standard_output_of_json_is_json_alone_whatever_a_library_prints(
        self, tmp_path, tiny_bundle, monkeypatch, capsys
    ):
        def print_and_score(*args, **options):
            print("a worker died")
            return score_nights(*args, **options)

        monkeypatch.setattr(score_command, "score_nights", print_and_score)
        save_nights(tmp_path / "data", "a")
        arguments = [str(tmp_path / "data"), "-o", str(tmp_path / "out"), "--bundle", str(tiny_bundle)]
        assert main(["score", *arguments, "--workers", "1", "--json"]) == 0
        printed = capsys.readouterr()
        assert [json.loads(line)["night"] for line in printed.out.splitlines()] == ["a"]
        assert "a worker died" in printed.err
