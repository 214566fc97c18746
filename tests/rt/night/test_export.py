"""A journal as a hypnogram: every epoch in its place, in each form that it can be exported in."""

from __future__ import annotations

import json

import pytest

from eegvlm_rt.errors import InputError
from eegvlm_rt.hypnogram import from_csv, read_edf
from eegvlm_rt.journal import Journal, read
from eegvlm_rt.night import Night
from eegvlm_rt.night.export import export_journal
from eegvlm_rt.stages import Stage
from tests.rt.journal.records import epoch


def test_the_hypnogram_of_a_journal_keeps_every_epoch_in_its_place(tmp_path):
    with Journal.create(tmp_path / "j", {}) as journal:
        journal.append("clock", {"grid_start_device_s": 0.0, "grid_start_wall_s": 1.7e9})
        for body in (
            epoch(0),
            epoch(1, "artefact"),
            epoch(2, "gap", None),
            epoch(4, "scored", "R"),
            epoch(4, "scored", "W"),
        ):
            journal.append("prediction", body)
    records = read(tmp_path / "j").records
    night = Night.from_journal(records).hypnogram
    assert night.stages == (Stage.N2, None, None, None, Stage.R)
    assert night.start is not None
    assert night.start.isoformat() == "2023-11-14T22:13:20"
    assert from_csv(export_journal(records, tmp_path / "h.csv")).stages == night.stages
    assert read_edf(export_journal(records, tmp_path / "h.edf")).stages == night.stages
    lines = export_journal(records, tmp_path / "h.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["kind"] for line in lines] == [r.kind for r in records]
    with pytest.raises(InputError, match=r"\.jsonl, \.csv, \.edf"):
        export_journal(records, tmp_path / "h.txt")
