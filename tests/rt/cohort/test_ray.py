"""Nights on a Ray of one's own, with an actor killed on the way."""

from __future__ import annotations

import os
import signal

from eegvlm_rt.cohort import Status, find_nights, receipts_in, score_nights

from .nights import options_of, save_nights


def test_an_actor_that_is_killed_takes_no_night_along(tiny_bundle, tmp_path):
    save_nights(tmp_path / "data", "a b c")
    tasks = find_nights([str(tmp_path / "data")], tmp_path / "out")

    def kill_once(receipt):
        if receipt.night == "a":
            os.kill(int(receipt.worker.split()[1]), signal.SIGKILL)

    options = options_of(tiny_bundle)
    result = score_nights(tasks, tmp_path / "out", options, workers=1, ray="local", on_receipt=kill_once)
    assert result.counts == {Status.SCORED: 3}
    workers = {r.night: r.worker for r in receipts_in(tmp_path / "out")}
    assert len(workers) == 3
    assert workers["a"] != workers["b"] == workers["c"]
