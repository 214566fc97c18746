"""From files, folders, patterns and lists to nights, each with a name that it keeps."""

from __future__ import annotations

import io
import os
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.cohort import Status, find_bids, find_nights, read_list
from eegvlm_rt.cohort.receipt import failed, write_receipt
from eegvlm_rt.cohort.tasks import file_digest, plain_name
from eegvlm_rt.errors import InputError, RecordingError


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(path).encode())


def names(tasks):
    return [task.name for task in tasks]


def test_a_folder_gives_all_recordings_below_it_in_order_but_not_the_results(tmp_path):
    data, out = tmp_path / "data", tmp_path / "data" / "results"
    touch(data / "b.edf", data / "a" / "x.BDF", data / "note.txt", data / ".hidden.edf", out / "h.edf")
    touch(data / ".git" / "y.edf")
    tasks = find_nights([str(data)], out)
    assert names(tasks) == ["b", "a__x"]
    assert all(task.searched and task.path.is_absolute() for task in tasks)


def test_a_pattern_is_searched_and_a_file_is_taken_as_it_is(tmp_path):
    touch(tmp_path / "a" / "n1.edf", tmp_path / "b" / "n2.edf", tmp_path / "c" / "odd.rec")
    pattern, odd = str(tmp_path / "**" / "n?.edf"), str(tmp_path / "c" / "odd.rec")
    tasks = find_nights([pattern, odd], tmp_path / "out")
    assert names(tasks) == ["n1", "n2", "odd.rec"]
    assert [task.searched for task in tasks] == [True, True, False]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    touch(tmp_path / "night[1].edf")
    assert names(find_nights([str(tmp_path / "night[1].edf")], tmp_path / "out")) == ["night_1"]


def test_one_recording_is_scored_once_however_often_it_is_named(tmp_path):
    touch(tmp_path / "a.edf")
    tasks = find_nights([str(tmp_path), str(tmp_path / "a.edf"), str(tmp_path / "*.edf")], tmp_path / "out")
    assert names(tasks) == ["a"]
    assert not tasks[0].searched


def test_two_recordings_of_one_name_get_names_of_their_own(tmp_path):
    touch(tmp_path / "a" / "n.edf", tmp_path / "b" / "n.edf")
    found = names(find_nights([str(tmp_path / "a" / "n.edf"), str(tmp_path / "b" / "n.edf")], tmp_path / "o"))
    assert len(set(found)) == 2
    assert all(re.fullmatch("n-[0-9a-f]{8}", name) for name in found)


def test_a_name_is_kept_when_others_of_the_name_come_and_when_the_folder_moves(tmp_path):
    out, first, second = tmp_path / "out", tmp_path / "a" / "n.edf", tmp_path / "b" / "n.edf"
    touch(first, second)
    (task,) = find_nights([str(first)], out)
    facts = first.stat()
    receipt = failed(task, "worker")
    object.__setattr__(receipt, "sha256", file_digest(first))
    write_receipt(out, receipt)
    assert names(find_nights([str(first), str(second)], out))[0] == "n"
    # Another recording of that name does not take the place of the first.
    (other,) = find_nights([str(second)], out)
    assert re.fullmatch("n-[0-9a-f]{8}", other.name)
    shutil.move(tmp_path / "a", tmp_path / "moved")
    assert names(find_nights([str(tmp_path / "moved" / "n.edf")], out)) == ["n"]
    os.utime(tmp_path / "moved" / "n.edf", ns=(facts.st_mtime_ns, facts.st_mtime_ns + 10**9))
    assert names(find_nights([str(tmp_path / "moved" / "n.edf")], out)) == ["n"]


def test_a_list_names_a_path_a_line(tmp_path):
    listed = tmp_path / "nights.txt"
    listed.write_text("# of this week\nn1.edf\n\nsub/n 2.edf\n", encoding="utf-8")
    tasks = read_list(str(listed))
    assert [task.path for task in tasks] == [tmp_path / "n1.edf", tmp_path / "sub" / "n 2.edf"]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_list_may_be_a_table_with_channel_and_name(tmp_path, separator):
    listed = tmp_path / "nights.csv"
    rows = (("name", "path", "channel"), ("P 01", "n1.edf", "C4-M1"), ("", "n2.edf", ""))
    listed.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8-sig")
    tasks = read_list(str(listed))
    assert [(task.name, task.channel) for task in tasks] == [("P_01", "C4-M1"), ("n2", None)]


def test_a_list_may_come_from_standard_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("a.edf\nb.edf\n"))
    assert [task.path for task in read_list("-")] == [tmp_path / "a.edf", tmp_path / "b.edf"]


def test_what_names_nothing_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.csv").write_text("path,channel\n,C3\n", encoding="utf-8")
    (tmp_path / "none.txt").write_text("# nothing\n", encoding="utf-8")
    (tmp_path / "twice.csv").write_text("path,name\na.edf,x\nb.edf,X\n", encoding="utf-8")
    out = tmp_path / "out"
    for inputs, listed, error, text in (
        ([str(tmp_path / "empty")], None, InputError, "no .edf or .bdf"),
        ([str(tmp_path / "*.edf")], None, InputError, "no file fits"),
        ([str(tmp_path / "missing.edf")], None, RecordingError, "no such file"),
        ([], str(tmp_path / "list.csv"), InputError, "line 2"),
        ([], str(tmp_path / "none.txt"), InputError, "names no recording"),
        ([], str(tmp_path / "missing.txt"), RecordingError, "cannot be read"),
    ):
        with pytest.raises(error, match=re.escape(text)):
            find_nights(inputs, out, listed=listed)
    # Two nights of one name in a list get names of their own too.
    assert len({n.casefold() for n in names(find_nights([], out, listed=str(tmp_path / "twice.csv")))}) == 2


def test_of_many_one_that_is_missing_is_a_night_that_fails(tmp_path):
    touch(tmp_path / "a.edf")
    tasks = find_nights([str(tmp_path / "a.edf"), str(tmp_path / "gone.edf")], tmp_path / "out")
    assert names(tasks) == ["a", "gone"]


@given(st.lists(st.text(max_size=300), min_size=1, max_size=4))
def test_names_are_plain_and_of_bounded_length(parts):
    name = plain_name(parts)
    assert re.fullmatch(r"[A-Za-z0-9._+-]{1,150}", name)
    assert name not in (".", "..")


class TestBids:
    def dataset(self, folder):
        folder.mkdir()
        (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
        touch(
            folder / "sub-01" / "ses-1" / "eeg" / "sub-01_ses-1_task-sleep_eeg.edf",
            folder / "sub-01" / "ses-1" / "eeg" / "sub-01_ses-1_task-sleep_events.tsv",
            folder / "sub-02" / "eeg" / "sub-02_task-sleep_eeg.bdf",
            folder / "sub-02" / "eeg" / "sub-02_task-rest_eeg.vhdr",
            folder / "derivatives" / "sub-03" / "eeg" / "sub-03_task-sleep_eeg.edf",
        )
        return folder

    def test_recordings_keep_their_place_and_their_entities(self, tmp_path):
        tasks, others = find_bids(self.dataset(tmp_path / "d"))
        assert [(task.folder, task.stem) for task in tasks] == [
            ("sub-01/ses-1/eeg", "sub-01_ses-1_task-sleep"),
            ("sub-02/eeg", "sub-02_task-sleep"),
        ]
        assert [path.name for path in others] == ["sub-02_task-rest_eeg.vhdr"]

    @pytest.mark.parametrize("label", ["02", "sub-02"])
    def test_participants_are_chosen_by_label(self, tmp_path, label):
        tasks, _ = find_bids(self.dataset(tmp_path / "d"), [label])
        assert names(tasks) == ["sub-02_task-sleep"]

    def test_an_unknown_participant_and_a_folder_that_is_no_dataset_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="this dataset has 01, 02"):
            find_bids(self.dataset(tmp_path / "d"), ["7"])
        for text in ("{", '{"DatasetType": "derivative"}', "[]"):
            (tmp_path / "dataset_description.json").write_text(text)
            with pytest.raises(InputError, match="give a BIDS dataset"):
                find_bids(tmp_path)


def test_statuses_are_words_of_the_table():
    assert [str(status) for status in Status] == ["scored", "failed", "skipped"]
