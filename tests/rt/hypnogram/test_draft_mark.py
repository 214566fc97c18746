"""A night that the draft of a model staged: every file of it says so, and is read back with the mark."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from eegvlm_rt.bundle.draft import is_draft_name
from eegvlm_rt.errors import InputError
from eegvlm_rt.hypnogram import (
    FORMATS,
    Hypnogram,
    from_csv,
    from_json,
    plot,
    read_edfbrowser,
    to_csv,
    to_json,
    write_format,
)
from eegvlm_rt.night import Night, NightInfo
from eegvlm_rt.night.files import night_dict
from eegvlm_rt.service.fhir import DRAFT, observations
from eegvlm_rt.stages import Stage
from tests.rt.hypnogram.readers import READERS

NAME = "my--tiny_1.0-draft"
STAGES = (Stage.W, Stage.N2, None)
ROWS = ((0.6, 0.1, 0.1, 0.1, 0.1), (0.1, 0.1, 0.6, 0.1, 0.1), None)
START = datetime(2020, 5, 1, 22)


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_names_the_draft_and_is_read_back(form: str, tmp_path: Path) -> None:
    file = write_format(Hypnogram(STAGES, START, ROWS, NAME), tmp_path, form)
    assert NAME.encode() in file.read_bytes()
    back = READERS[form](file)
    assert (back.stages, back.draft) == (STAGES, NAME)


@pytest.mark.parametrize("form", FORMATS)
def test_no_form_of_another_model_speaks_of_a_draft(form: str, tmp_path: Path) -> None:
    file = write_format(Hypnogram(STAGES, START, ROWS), tmp_path, form)
    assert b"raft" not in file.read_bytes()
    assert READERS[form](file).draft == ""


def test_the_recording_field_of_edf_is_marked_within_its_80_bytes(tmp_path: Path) -> None:
    raw = write_format(Hypnogram(STAGES, START, None, "x" * 122 + "-draft"), tmp_path, "edf").read_bytes()
    # EDF+, 2.1.3.4: the local recording identification is bytes 88 to 168 of the header.
    assert raw[88:168].decode().split()[-1] == "draft"


def test_a_part_of_a_draft_is_a_draft() -> None:
    assert Hypnogram(STAGES, START, ROWS, NAME).window(1, 5).draft == NAME


def test_a_table_and_json_that_were_copied_keep_the_mark(tmp_path: Path) -> None:
    table = from_csv(to_csv(Hypnogram(STAGES, START, ROWS, NAME), tmp_path / "a.csv"))
    assert table == Hypnogram(STAGES, START, ROWS, NAME)
    assert from_json(to_json(table, tmp_path / "a.json")) == table


@pytest.mark.parametrize("name", ["two words", "a\tb", "a,b", "-->", " ", "x" * 129])
def test_a_mark_that_is_no_name_of_a_model_is_none(name: str, tmp_path: Path) -> None:
    assert not is_draft_name(f"{name}-draft")
    with pytest.raises(InputError, match="draft"):
        Hypnogram(STAGES, draft=name)
    file = write_format(Hypnogram(STAGES, draft="NAME"), tmp_path, "edfbrowser")
    file.write_text(file.read_text().replace("Draft model NAME", f'"Draft model {name}"'))
    assert read_edfbrowser(file).draft == ""


def test_the_picture_says_so() -> None:
    figure = plot.draw_night(Hypnogram(STAGES, START, ROWS, NAME), title="night.edf")
    assert "Draft of a model, not for use. night.edf" in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("model", "draft"), [("tiny-draft", "tiny-draft"), ("tiny", ""), ("draft", ""), ("odd name-draft", "")]
)
def test_a_night_is_a_draft_by_the_name_of_its_model(model: str, draft: str) -> None:
    night = Night(info=NightInfo(model_id=model))
    assert night.hypnogram.draft == draft
    assert night_dict(night)["model"].get("draft", False) == bool(draft)
    json.dumps(night_dict(night))


def test_totals_for_a_record_say_so() -> None:
    for name, notes in ((NAME, 2), ("", 1)):
        bundle = observations(Hypnogram(STAGES, START, None, name), utc_offset_s=0)
        assert bundle is not None
        texts = [note["text"] for note in bundle["entry"][0]["resource"]["note"]]
        assert len(texts) == notes
        assert (DRAFT in texts) == bool(name)
