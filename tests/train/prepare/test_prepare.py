"""Real datasets in their own layouts become folders that training and evaluation read."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfSignal, Recording
from eegvlm_train.cli import main
from eegvlm_train.data.nightset import load_nights
from eegvlm_train.evaluation.epoch_sets import load_set
from eegvlm_train.evaluation.recordings import load_recordings
from eegvlm_train.prepare.night import trimmed
from eegvlm_train.prepare.splitting import split_subjects

from eegvlm_rt.hypnogram import Hypnogram, write_edf
from eegvlm_rt.stages import Stage

NIGHT = [Stage.W, Stage.N1, Stage.N2, None, Stage.N3, Stage.R, Stage.W]
SCORED = [0, 1, 2, 3, 4, 0]


def write_signal(
    path: Path, label: str, seed: int = 0, sfreq: int = 100, start: datetime | None = None
) -> None:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = 30.0 * rng.standard_normal(len(NIGHT) * 30 * sfreq)
    eeg = EdfSignal(data, sfreq, label=label, physical_dimension="uV", physical_range=(-500, 500))
    recording = Recording(startdate=None if start is None else start.date())
    Edf([eeg], recording=recording, starttime=None if start is None else start.time()).write(path)


def sleep_edf_layout(folder: Path) -> None:
    for subject in range(3):
        for night in (1, 2):
            name = f"SC4{subject:02d}{night}"
            write_signal(folder / f"{name}E0-PSG.edf", "EEG Fpz-Cz", seed=10 * subject + night)
            write_edf(Hypnogram(tuple(NIGHT)), folder / f"{name}EC-Hypnogram.edf")


def dreams_layout(folder: Path) -> None:
    codes = {Stage.W: 5, Stage.N1: 3, Stage.N2: 2, Stage.N3: 1, Stage.R: 4, None: -1}
    for number in (1, 2):
        write_signal(folder / f"subject{number}.edf", "CZ-A1", seed=number, sfreq=200)
        rows = [str(codes[stage]) for stage in NIGHT for _ in range(6)]
        text = "\n".join(["[HypnogramAASM]", *rows])
        (folder / f"HypnogramAASM_subject{number}.txt").write_text(text, encoding="utf-8")


def isruc_layout(folder: Path) -> None:
    codes = {Stage.W: 0, Stage.N1: 1, Stage.N2: 2, Stage.N3: 3, Stage.R: 5, None: 7}
    for number in (1, 2):
        write_signal(folder / str(number) / f"{number}.rec", "C3-A2", seed=number, sfreq=200)
        text = "\n".join(str(codes[stage]) for stage in NIGHT)
        (folder / str(number) / f"{number}_1.txt").write_text(text, encoding="utf-8")


def bids_layout(folder: Path) -> None:
    for number in (1, 2):
        base = folder / f"sub-{number:02d}" / "eeg" / f"sub-{number:02d}_task-sleep"
        write_signal(base.with_name(f"{base.name}_eeg.edf"), "EEG Cz", seed=number)
        rows = [
            f"{30 * i}\t30\t{'lights out' if stage is None else stage.name}" for i, stage in enumerate(NIGHT)
        ]
        text = "\n".join(["onset\tduration\ttrial_type", *rows])
        base.with_name(f"{base.name}_events.tsv").write_text(text + "\n", encoding="utf-8")


LAYOUTS = {
    "sleep-edf": (sleep_edf_layout, 3),
    "dreams": (dreams_layout, 2),
    "isruc": (isruc_layout, 2),
    "bids": (bids_layout, 2),
}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_dataset_becomes_a_folder_to_train_and_evaluate_on(layout: str, tmp_path: Path) -> None:
    write, subjects = LAYOUTS[layout]
    write(tmp_path / "data")
    assert main(["prepare", layout, str(tmp_path / "data"), str(tmp_path / "out")]) == 0
    nights = load_nights(tmp_path / "out", "all")
    assert nights.findings is not None
    assert len(nights) == len(nights.names) * len(SCORED)
    assert nights.teacher.argmax(axis=1).tolist() == SCORED * len(nights.names)
    held = load_recordings(f"prepared:{tmp_path / 'out'}")
    trained = load_recordings(f"prepared:{tmp_path / 'out'}", "train")
    assert {one.subject for one in held}.isdisjoint(one.subject for one in trained)
    assert len({one.subject for one in load_recordings(f"prepared:{tmp_path / 'out'}", "all")}) == subjects
    data = load_set(f"prepared:{tmp_path / 'out'}")
    assert data.places[:6].tolist() == [0, 1, 2, 4, 5, 6]
    assert np.isfinite(data.x_uv).all()
    assert data.x_uv.std() > 5.0


@pytest.mark.parametrize(
    ("recording", "scoring", "basis", "offset_s", "first"),
    [
        (datetime(2020, 5, 1, 22, 1), datetime(2020, 5, 1, 22, 0), "clock", 60.0, [2, 3]),
        (datetime(2020, 5, 1, 21, 59, 30), datetime(2020, 5, 1, 22, 0), "clock", -30.0, [0, 1]),
        (datetime(1985, 1, 1, 22, 1), datetime(2020, 5, 1, 22, 0), "time of day", 60.0, [2, 3]),
        (None, datetime(2020, 5, 1, 22, 0), "unknown", None, [0, 1]),
        (datetime(2020, 5, 1, 22, 1), None, "unknown", None, [0, 1]),
    ],
)
def test_a_start_that_is_unknown_is_never_equal_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recording, scoring, basis, offset_s, first
) -> None:
    name = "SC4001"
    write_signal(tmp_path / "data" / f"{name}E0-PSG.edf", "EEG Fpz-Cz", start=recording)
    write_edf(Hypnogram(tuple(NIGHT), scoring), tmp_path / "data" / f"{name}EC-Hypnogram.edf")
    assert main(["prepare", "sleep-edf", str(tmp_path / "data"), str(tmp_path / "out")]) == 0
    split = json.loads((tmp_path / "out" / "split.json").read_text(encoding="utf-8"))
    assert split["alignment"] == {"night-00000.npz": {"offset_s": offset_s, "basis": basis}}
    said = [remark["kind"] for remark in split["remarks"].get("night-00000.npz", [])]
    assert said == ([] if basis == "clock" else ["alignment"])
    assert ("1 nights: nothing says that" in capsys.readouterr().out) == (basis == "unknown")
    with np.load(tmp_path / "out" / "night-00000.npz") as file:
        assert file["intended"][:2].tolist() == first


def test_starts_between_epochs_of_each_other_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = datetime(2020, 5, 1, 22)
    write_signal(tmp_path / "SC4001E0-PSG.edf", "EEG Fpz-Cz", start=start)
    write_edf(Hypnogram(tuple(NIGHT), start.replace(second=12)), tmp_path / "SC4001EC-Hypnogram.edf")
    assert main(["prepare", "sleep-edf", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "-12 s apart" in capsys.readouterr().err


def test_what_is_left_out_of_a_recording_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bids_layout(tmp_path / "data")
    path = next((tmp_path / "data").glob("sub-01/eeg/*_eeg.edf"))
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["prepare", "bids", str(tmp_path / "data"), str(tmp_path / "out")]) == 0
    split = json.loads((tmp_path / "out" / "split.json").read_text(encoding="utf-8"))
    ((name, (remark,)),) = split["remarks"].items()
    assert (name, remark["kind"], remark["records"], remark["seconds"]) == (
        "night-00000.npz",
        "records",
        1,
        1.0,
    )
    assert remark["text"] in capsys.readouterr().out


def test_wake_is_kept_for_half_an_hour_around_sleep() -> None:
    stages = np.array([-1] * 5 + [0] * 200 + [2] * 10 + [0] * 200)
    assert trimmed(stages, 30.0) == (145, 275)
    assert trimmed(stages, 600.0) == (5, 415)
    assert trimmed(np.array([-1, 0, 0, -1]), 30.0) == (1, 3)
    assert trimmed(np.array([-1, -1]), 30.0) == (0, 0)


def test_nobody_is_on_two_sides_and_folds_cover_everybody() -> None:
    subjects = {f"night-{n}": f"s{n // 2}" for n in range(40)}
    tested: list[str] = []
    for i in range(1, 6):
        sides = split_subjects(subjects, validation=0.1, test=0.1, seed=3, fold=(i, 5))
        people = [{subjects[night] for night in sides[side]} for side in ("validation", "test")]
        assert people[0].isdisjoint(people[1])
        assert len(people[1]) == 4
        tested += sides["test"]
    assert sorted(tested) == sorted(subjects)
    with pytest.raises(ValueError, match="there are 20 subjects"):
        split_subjects(subjects, validation=0.1, test=0.1, seed=0, fold=(1, 21))
    with pytest.raises(ValueError, match="something to train on"):
        split_subjects(subjects, validation=0.6, test=0.5, seed=0)


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["prepare", "bids", str(empty), str(tmp_path / "a")]) == 2
    assert "_eeg.edf" in capsys.readouterr().err
    write_signal(empty / "SC4001E0-PSG.edf", "EEG Fpz-Cz")
    assert main(["prepare", "sleep-edf", str(empty), str(tmp_path / "b")]) == 2
    assert "one is needed beside SC4001E0-PSG.edf" in capsys.readouterr().err
    assert main(["prepare", "dreams", str(empty), str(tmp_path / "c"), "--fetch"]) == 2
    assert "only sleep-edf can be fetched" in capsys.readouterr().err


def test_a_folder_with_nights_is_not_mixed_up(tmp_path: Path, nights_folder: Path) -> None:
    assert main(["prepare", "bids", str(tmp_path), str(nights_folder)]) == 2


def test_without_a_network_the_fetcher_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    age = pytest.importorskip("mne.datasets.sleep_physionet.age")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(age, "fetch_data", refuse)
    assert main(["prepare", "sleep-edf", str(tmp_path / "in"), str(tmp_path / "out"), "--fetch"]) == 2
    assert "copy the files into DIR" in capsys.readouterr().err


def test_the_real_pieces_go_all_the_way(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["prepare", "sleep-edf", str(shared_data / "sleep-edf"), str(out)]) == 0
    data = load_set(f"prepared:{out}")
    assert data.stages.tolist() == [0] * 10
    assert json.loads((out / "split.json").read_text(encoding="utf-8"))["test"] == ["night-00000.npz"]
