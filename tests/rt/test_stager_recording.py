"""Recordings: every way in gives the same rows, and every sample belongs to one."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from eegvlm_rt.errors import ChannelError, InputError, RecordingError
from eegvlm_rt.signal.conditioning import condition_recording
from eegvlm_rt.signal.epochs import Epoch
from eegvlm_rt.signal.quality import QualityFlag, assess
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.simulator.edf import write_edf
from eegvlm_rt.sources import Recording
from eegvlm_rt.stager import Stager
from tests.rt.comparing import assert_same
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


MODES = ["head", "direct", "cot"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "nano"
    write_tiny_bundle(place)
    return place


@pytest.fixture(scope="module")
def stager(folder: Path) -> Stager:
    return Stager.load(folder, threads=2)


@pytest.fixture(scope="module")
def night() -> np.ndarray:
    return simulate_night(3, hours=0.2).samples_uv


@pytest.fixture(scope="module")
def epochs(night: np.ndarray) -> np.ndarray:
    return night[:36_000].reshape(-1, 3000)


class TestThreads:
    @pytest.mark.parametrize("mode", MODES)
    def test_one_thread_is_the_callers_and_gives_what_two_give(
        self,
        stager: Stager,
        folder: Path,
        epochs: np.ndarray,
        mode: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        expected = list(stager.predict_recording(epochs, sfreq=100, mode=mode))
        alone = Stager.load(folder, threads=1)
        monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("another thread"))
        assert_same(list(alone.predict_recording(epochs, sfreq=100, mode=mode)), expected, 1e-5)

    def test_an_error_in_one_thread_comes_where_it_came_from_two(
        self, folder: Path, epochs: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for threads in (1, 2):
            stager = Stager.load(folder, threads=threads)
            monkeypatch.setattr(stager._pipeline, "see", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                next(iter(stager.predict_recording(epochs, sfreq=100, mode="head")))

    @pytest.mark.parametrize("threads", [1, 2, 3])
    def test_an_error_comes_behind_the_predictions_of_the_epochs_before(
        self, folder: Path, epochs: np.ndarray, monkeypatch: pytest.MonkeyPatch, threads: int
    ) -> None:
        stager = Stager.load(folder, threads=threads)
        see = stager._pipeline.see
        monkeypatch.setattr(
            stager._pipeline, "see", lambda rows, mode: 1 / 0 if rows[-1].index >= 8 else see(rows, mode)
        )
        rows = stager.predict_recording(epochs, sfreq=100, mode="head", batch=4)
        assert [next(rows).index for _ in range(8)] == list(range(8))
        with pytest.raises(ZeroDivisionError):
            next(rows)


class TestRecording:
    @pytest.mark.parametrize("mode", MODES)
    def test_separate_epochs_give_what_one_by_one_gives(
        self, stager: Stager, epochs: np.ndarray, mode: str
    ) -> None:
        found = list(stager.predict_recording(epochs, "Fpz", sfreq=100, mode=mode))
        expected = [
            stager.predict_epoch(x, 100, channel="Fpz", mode=mode, index=i, start_s=30.0 * i)
            for i, x in enumerate(epochs)
        ]
        assert_same(found, expected, 1e-5)

    def test_one_by_one_through_the_tower_is_equal_to_the_last_bit(
        self, stager: Stager, epochs: np.ndarray
    ) -> None:
        found = stager.predict_recording(epochs, sfreq=100, batch=1)
        expected = [stager.predict_epoch(x, 100) for x in epochs]
        assert [row.probabilities for row in found] == [row.probabilities for row in expected]

    @pytest.mark.parametrize("batch", [1, 3, 12])
    def test_the_shipped_head_says_the_same_of_an_epoch_to_the_last_bit_whatever_is_beside_it(
        self, epochs: np.ndarray, batch: int
    ) -> None:
        stager = Stager.load("nano", mode="head", threads=2)
        rows = stager.predict_recording(epochs, sfreq=100, mode="head", batch=batch, memory=False)
        expected = [stager.predict_epoch(x, 100, mode="head") for x in epochs]
        assert [(row.probabilities, row.ood_score) for row in rows] == [
            (row.probabilities, row.ood_score) for row in expected
        ]

    @pytest.mark.parametrize("batch", [1, 3, 12, 64])
    def test_the_batch_does_not_change_what_is_said(
        self, stager: Stager, epochs: np.ndarray, batch: int
    ) -> None:
        expected = list(stager.predict_recording(epochs, sfreq=100))
        assert_same(list(stager.predict_recording(epochs, sfreq=100, batch=batch)), expected, 1e-5)

    def test_a_recording_is_conditioned_whole_and_cut_every_30_s(
        self, stager: Stager, night: np.ndarray
    ) -> None:
        long = night[: 3000 * 5]
        conditioned = condition_recording(long, 100).reshape(5, 3000)
        expected = [
            stager.predict_conditioned(x, assess(raw, 100), index=i, start_s=30.0 * i)
            for i, (x, raw) in enumerate(zip(conditioned, long.reshape(5, 3000), strict=True))
        ]
        assert_same(list(stager.predict_recording(long, sfreq=100)), expected, 1e-5)

    def test_what_comes_later_never_changes_what_was_said(self, stager: Stager, night: np.ndarray) -> None:
        longer = night[: 3000 * 6].copy()
        before = list(stager.predict_recording(longer[: 3000 * 4], sfreq=100))
        longer[3000 * 4 :] = 300 * np.random.default_rng(0).standard_normal(6000)
        after = list(stager.predict_recording(longer, sfreq=100))
        assert_same(after[:4], before, 1e-5)

    def test_a_last_part_of_an_epoch_is_a_row_that_says_what_is_missing(
        self, stager: Stager, night: np.ndarray
    ) -> None:
        found = list(stager.predict_recording(night[: 3000 * 2 + 600], sfreq=100))
        assert [row.start_s for row in found] == [0.0, 30.0, 60.0]
        assert [row.quality.missing_share for row in found] == pytest.approx([0.0, 0.0, 0.8])
        assert QualityFlag.MISSING in found[2].quality.flags
        assert found[2].stage is not None
        assert not found[2].quality.scorable

    @pytest.mark.parametrize(("extra", "rows"), [(-1, 2), (0, 2), (1, 2), (2, 3)])
    def test_a_stray_sample_is_no_epoch(
        self, stager: Stager, night: np.ndarray, extra: int, rows: int
    ) -> None:
        found = list(stager.predict_recording(night[: 6000 + extra], sfreq=100, mode="head"))
        assert len(found) == rows
        assert [row.quality.missing_share for row in found[:2]] == [0.0, 0.0]

    @pytest.mark.parametrize("sfreq", [128.0, 200.0, 256.0, 99.9])
    def test_every_sample_belongs_to_a_row(self, stager: Stager, sfreq: float) -> None:
        samples = simulate_night(1, hours=0.2, sfreq=sfreq).samples_uv[: round(100.3 * sfreq)]
        found = list(stager.predict_recording(samples, sfreq=sfreq, mode="head"))
        assert len(found) == math.ceil((len(samples) - 1) / sfreq / 30)
        present = sum((1 - row.quality.missing_share) * 30 for row in found)
        assert present == pytest.approx(len(samples) / sfreq, abs=2 / sfreq)

    def test_an_edf_file_is_read_by_its_channel(self, stager: Stager, tmp_path: Path) -> None:
        night = simulate_night(5, hours=0.2, channel="EEG Fpz-Cz")
        path = write_edf(night, tmp_path / "night.edf")
        found = list(stager.predict_recording(path, "EEG Fpz-Cz", mode="head"))
        assert len(found) == len(night.stages)
        assert {row.channel for row in found} == {"EEG Fpz-Cz"}
        direct = list(stager.predict_recording(night.samples_uv, sfreq=100, mode="head"))
        assert [row.stage for row in found] == [row.stage for row in direct]
        with pytest.raises(ChannelError, match="Pz-Oz"):
            stager.predict_recording(str(path), "Pz-Oz")

    def test_a_recording_object_is_taken_as_it_is(self, stager: Stager, night: np.ndarray) -> None:
        recording = Recording(night[:6000], 100.0, "Cz")
        found = list(stager.predict_recording(recording, mode="head"))
        assert [(row.index, row.channel) for row in found] == [(0, "Cz"), (1, "Cz")]

    def test_a_sequence_of_epochs_keeps_their_places(self, stager: Stager, epochs: np.ndarray) -> None:
        some = [
            Epoch.from_samples(x, 100, channel="Cz", start_s=90.0 + 30 * i) for i, x in enumerate(epochs[:3])
        ]
        found = list(stager.predict_recording(some))
        assert [row.start_s for row in found] == [90.0, 120.0, 150.0]
        assert_same(
            found,
            [
                stager.predict_epoch(x, 100, channel="Cz", index=i, start_s=90.0 + 30 * i)
                for i, x in enumerate(epochs[:3])
            ],
            1e-5,
        )

    def test_mne_objects_are_read_in_volts(self, stager: Stager, epochs: np.ndarray) -> None:
        mne = pytest.importorskip("mne")
        info = mne.create_info(["Fpz", "Cz"], 100.0, "eeg", verbose="error")
        volts = np.stack([epochs[0], epochs[1]])[:, None].repeat(2, axis=1) * 1e-6
        cut = mne.EpochsArray(volts, info, verbose="error")
        found = list(stager.predict_recording(cut, "Cz", mode="head"))
        expected = list(stager.predict_recording(epochs[:2], "Cz", sfreq=100, mode="head"))
        assert [row.stage for row in found] == [row.stage for row in expected]
        with pytest.raises(ChannelError, match="Fpz, Cz"):
            stager.predict_recording(cut)
        raw = mne.io.RawArray(np.tile(epochs[:2].reshape(1, -1), (2, 1)) * 1e-6, info, verbose="error")
        whole = list(stager.predict_recording(raw, "Cz", mode="head"))
        long = list(stager.predict_recording(epochs[:2].ravel(), "Cz", sfreq=100, mode="head"))
        assert [row.stage for row in whole] == [row.stage for row in long]

    @pytest.mark.parametrize(
        "source",
        [
            None,
            7,
            np.ones((2, 3, 4)),
            np.array([]),
            np.ones((0, 3000)),
            [],
            {"x": 1},
            np.ones((2, 2000)),
            np.array(["a"]),
        ],
    )
    def test_what_is_no_recording_is_refused_at_once(self, stager: Stager, source: object) -> None:
        with pytest.raises(InputError):
            stager.predict_recording(source, sfreq=100)

    def test_an_array_needs_its_rate(self, stager: Stager, epochs: np.ndarray) -> None:
        with pytest.raises(InputError, match="sfreq"):
            stager.predict_recording(epochs)

    def test_a_file_that_is_not_there_is_named(self, stager: Stager, tmp_path: Path) -> None:
        with pytest.raises(RecordingError, match=r"no\.edf"):
            stager.predict_recording(tmp_path / "no.edf")

    def test_iteration_can_be_cancelled_and_abandoned(self, stager: Stager, epochs: np.ndarray) -> None:
        indices: list[int] = []
        rows = stager.predict_recording(epochs, sfreq=100, batch=2, cancelled=lambda: len(indices) == 3)
        while (row := next(rows, None)) is not None:
            indices.append(row.index)
        assert indices == [0, 1, 2]
        rows = stager.predict_recording(epochs, sfreq=100, batch=2)
        assert next(iter(rows)).index == 0
        del rows
