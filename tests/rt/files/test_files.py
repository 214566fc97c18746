"""What a person made is never replaced, an input is never a target, and what is ours is known by its seal."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
from datetime import datetime
from pathlib import Path

import edfio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from eegvlm_rt.errors import OutputError, RecordingError
from eegvlm_rt.files import check_outputs, claim_folder, free_name, write_file
from eegvlm_rt.files.seal import SEAL, is_ours, sealed
from eegvlm_rt.hypnogram import FORMATS, Hypnogram, plot, write_format
from eegvlm_rt.simulator import simulate_night, write_edf

NIGHT = Hypnogram.of([0, 1, 2, 3, 4, -1, 2, 0], datetime(2024, 2, 28, 23, 59, 30))
OTHER = Hypnogram.of([2] * 5, datetime(2024, 2, 29))
SEALED = ("edf", "edf-rk", "json", "bids", "bids-hypnogram", "profusion")
TABLES = ("csv", "edfbrowser")


def picture(hypnogram: Hypnogram, path: Path, *, overwrite: bool = False) -> Path:
    return plot.write_picture(hypnogram, path, overwrite=overwrite)


@pytest.mark.parametrize("name", SEALED)
def test_a_file_of_ours_is_replaced_and_one_that_was_edited_is_not(tmp_path, name):
    path = write_format(NIGHT, tmp_path, name)
    assert is_ours(path)
    write_format(OTHER, tmp_path, name)
    data = path.read_bytes()
    edited = data.replace(b"N2", b"N3", 1) if b"N2" in data else data.replace(b"2", b"3", 1)
    assert edited != data
    path.write_bytes(edited)
    assert not is_ours(path)
    with pytest.raises(OutputError, match=r"eegvlm-rt did not write it or it was changed since.*--overwrite"):
        write_format(NIGHT, tmp_path, name)
    assert path.read_bytes() == edited
    write_format(NIGHT, tmp_path, name, overwrite=True)
    assert is_ours(path)


def test_a_picture_of_ours_is_replaced_and_still_a_picture(tmp_path):
    path = picture(NIGHT, tmp_path / "h.png")
    first = path.read_bytes()
    assert is_ours(path)
    with Image.open(io.BytesIO(first)) as image:
        image.verify()
        assert re.fullmatch(r"eegvlm-rt seal=[0-9a-f]{32}", image.info["Software"])
    picture(OTHER, path)
    assert path.read_bytes() != first
    with Image.open(path) as image:
        image.convert("L").save(path)
    with pytest.raises(OutputError):
        picture(NIGHT, path)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "content", [b"x", b"stage,W\n", SEAL.encode(), b"\x89PNG\r\n\x1a\ntEXt" + SEAL.encode()]
)
def test_a_file_that_a_person_made_is_kept(tmp_path, name, content):
    path = tmp_path / FORMATS[name][0]
    path.write_bytes(content)
    with pytest.raises(OutputError, match=re.escape(str(path))):
        write_format(NIGHT, tmp_path, name)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    write_format(NIGHT, tmp_path, name, overwrite=True)
    assert path.read_bytes() != content


@pytest.fixture
def no_attributes(monkeypatch):
    """A file system without extended attributes."""

    def refuse(*_args):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    monkeypatch.setattr(os, "getxattr", refuse)


@pytest.mark.usefixtures("no_attributes")
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_replaced_where_nothing_of_it_is_lost(tmp_path, name):
    path = write_format(NIGHT.window(0, 4), tmp_path, name)
    short = path.read_bytes()
    write_format(NIGHT, tmp_path, name)
    assert path.read_bytes().startswith(short)
    with pytest.raises(OutputError):
        write_format(OTHER, tmp_path, name)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_ours_is_known_by_the_digest_in_its_attribute(tmp_path, name):
    path = write_format(NIGHT, tmp_path, name)
    try:
        noted = os.getxattr(path, "user.eegvlm_rt.sha256")
    except OSError:
        with pytest.raises(OutputError):
            write_format(OTHER, tmp_path, name)
        return
    assert noted == hashlib.sha256(path.read_bytes()).hexdigest().encode()
    write_format(OTHER, tmp_path, name)
    path.write_text(path.read_text().replace("N2", "N3", 1))
    with pytest.raises(OutputError):
        write_format(NIGHT, tmp_path, name)


@pytest.mark.usefixtures("no_attributes")
def test_a_table_that_a_sealed_file_lists_is_replaced(tmp_path):
    path = write_format(NIGHT, tmp_path, "bids")
    assert path.suffix == ".tsv"
    assert is_ours(path)
    write_format(OTHER, tmp_path, "bids")
    path.write_text(path.read_text().replace("N2", "N3", 1))
    assert not is_ours(path)
    with pytest.raises(OutputError):
        write_format(NIGHT, tmp_path, "bids")


@pytest.mark.usefixtures("no_attributes")
def test_a_list_that_was_edited_vouches_for_nothing(tmp_path):
    path = write_format(NIGHT, tmp_path, "bids")
    sidecar = path.with_suffix(".json")
    sidecar.write_text(sidecar.read_text() + " ")
    assert not is_ours(path)


def test_an_empty_file_is_nothing_that_could_be_lost(tmp_path):
    path = tmp_path / "hypnogram.edf"
    path.touch()
    write_format(NIGHT, tmp_path, "edf")
    assert is_ours(path)


def test_the_seal_of_an_edf_file_is_a_subfield_of_its_recording(tmp_path):
    path = write_format(NIGHT, tmp_path, "edf")
    recording = edfio.read_edf(path).recording
    assert recording.equipment_code == "eegvlm-rt"
    assert re.fullmatch(r"seal=[0-9a-f]{32}", recording.additional[0])


def test_a_simulated_night_is_ours(tmp_path):
    path = write_edf(simulate_night(1, hours=0.1), tmp_path / "n.edf")
    assert is_ours(path)
    write_edf(simulate_night(2, hours=0.1), path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OutputError):
        write_edf(simulate_night(1, hours=0.1), path)


# --- inputs ---------------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "night.edf"
    path.write_bytes(b"a recording")
    return path


def link(target: Path, name: str, kind: str) -> Path:
    path = target.with_name(name)
    if kind == "symbolic":
        path.symlink_to(target)
    elif kind == "hard":
        path.hardlink_to(target)
    else:
        middle = target.with_name("middle")
        middle.symlink_to(target)
        path.symlink_to(middle)
    return path


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_no_target_under_any_spelling(recording, monkeypatch, overwrite):
    monkeypatch.chdir(recording.parent)
    folder = recording.parent.name
    for name in ("night.edf", "./night.edf", f"../{folder}/night.edf", "none/../night.edf", str(recording)):
        with pytest.raises(OutputError, match="this is the input"):
            check_outputs([Path(name)], inputs=[None, recording], overwrite=overwrite)


@pytest.mark.parametrize("kind", ["symbolic", "hard", "chain"])
def test_an_input_is_no_target_through_a_link(recording, kind):
    other = link(recording, "out.edf", kind)
    for target, source in ((other, recording), (recording, other)):
        with pytest.raises(OutputError, match="this is the input"):
            check_outputs([target], inputs=[source], overwrite=True)


def test_an_input_is_no_target_where_folders_are_links(recording):
    folder = recording.parent.with_name("alias")
    folder.symlink_to(recording.parent, target_is_directory=True)
    with pytest.raises(OutputError, match="this is the input"):
        check_outputs([folder / "night.edf"], inputs=[recording], overwrite=True)


def test_an_input_is_known_by_its_inode_and_so_in_any_case(recording, monkeypatch):
    """A folder that ignores case gives one inode for both names; here `stat` does."""
    plain = os.stat

    def ignoring_case(path, *args, **more):
        return plain(str(path).lower() if str(path).endswith(".EDF") else path, *args, **more)

    monkeypatch.setattr(os, "stat", ignoring_case)
    monkeypatch.setattr(Path, "stat", lambda self, **more: ignoring_case(self, **more))
    with pytest.raises(OutputError, match="this is the input"):
        check_outputs([recording.with_name("night.EDF")], inputs=[recording], overwrite=True)


def test_an_input_that_is_not_there_is_no_target_either(tmp_path):
    with pytest.raises(OutputError, match="this is the input"):
        check_outputs([tmp_path / "x" / ".." / "n"], inputs=[tmp_path / "n"])


def test_nothing_is_written_into_a_folder_that_is_an_input(tmp_path):
    (tmp_path / "bundle" / "llm").mkdir(parents=True)
    for target in ("bundle/new.edf", "bundle/llm/../x", "bundle"):
        with pytest.raises(OutputError, match="the input"):
            check_outputs([tmp_path / target], inputs=[tmp_path / "bundle"], overwrite=True)
    check_outputs([tmp_path / "bundle.edf"], inputs=[tmp_path / "bundle"])


def test_two_results_are_never_one_file(tmp_path):
    with pytest.raises(OutputError, match="two results would be one file"):
        check_outputs([tmp_path / "a", tmp_path / "b", tmp_path / "x" / ".." / "a"])


def test_nothing_is_refused_where_nothing_is_in_the_way(recording):
    check_outputs([recording.with_name("a"), recording.with_name("b")], inputs=[recording, None])


def test_a_free_name_is_found(tmp_path):
    for name in ("h.edf", "h (2).edf"):
        (tmp_path / name).touch()
    assert free_name(tmp_path / "h.edf") == tmp_path / "h (3).edf"


# --- folders of results ---------------------------------------------------------------------------


def test_a_folder_of_results_is_filled_again_by_its_mark(tmp_path):
    folder = claim_folder(tmp_path / "run", "train-vision")
    (folder / "state.pt").write_bytes(b"x")
    assert claim_folder(folder, "train-vision") == folder
    assert is_ours(folder / "eegvlm-rt.json")
    (folder / "eegvlm-rt.json").write_text("{}")
    with pytest.raises(OutputError, match="holds files that eegvlm-rt did not write"):
        claim_folder(folder, "train-vision")
    claim_folder(folder, "train-vision", overwrite=True)
    claim_folder(folder, "train-vision")


def test_a_folder_that_is_an_input_is_never_one_of_results(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "base")
    for name in ("base", "alias", "base/../alias"):
        with pytest.raises(OutputError, match="this is the input"):
            claim_folder(tmp_path / name, "merge", inputs=[None, tmp_path / "base"], overwrite=True)
    assert list((tmp_path / "base").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for name in ("file", "file/run"):
        with pytest.raises(RecordingError, match="cannot be made"):
            claim_folder(tmp_path / name, "merge")


# --- the seal -------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.binary(max_size=80), after=st.binary(max_size=80), place=st.integers(0, 10**6))
def test_a_seal_fits_its_content_and_no_other(tmp_path, before, after, place):
    data = sealed(before + SEAL.encode() + after)
    path = tmp_path / "f"
    path.write_bytes(data)
    assert is_ours(path)
    at = place % len(data)
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert not is_ours(path)


@pytest.mark.usefixtures("no_attributes")
def test_content_without_a_place_for_a_seal_is_written_as_it_is(tmp_path):
    assert write_file(tmp_path / "f", b"plain").read_bytes() == b"plain"
    assert not is_ours(tmp_path / "f")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_file_is_judged_without_an_error(tmp_path, data):
    path = tmp_path / "predictions.json"
    for content in (data, b"\x89PNG\r\n\x1a\n" + data + b"tEXt" + SEAL.encode(), SEAL.encode() + data):
        path.write_bytes(content)
        assert is_ours(path) in (False, True)
        (tmp_path / "t.csv").write_bytes(data)
        assert not is_ours(tmp_path / "t.csv")


def test_a_sealed_list_that_is_no_list_vouches_for_nothing(tmp_path):
    for written in (None, [], {"files": []}, {"files": {"t.csv": 3}}):
        content = json.dumps({"written": written, "by": SEAL}).encode()
        write_file(tmp_path / "predictions.json", content, overwrite=True)
        (tmp_path / "t.csv").write_text("1")
        assert is_ours(tmp_path / "predictions.json")
        assert not is_ours(tmp_path / "t.csv")
