"""One channel of an MNE Raw, taken without importing MNE."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from eegvlm_rt.errors import ChannelError, RecordingError, SamplingRateError, UnitError
from eegvlm_rt.sources import from_raw, is_raw, read_channel
from eegvlm_rt.sources.mne import from_epochs

mne = pytest.importorskip("mne")
START = datetime(2020, 5, 1, 22, 0, tzinfo=UTC)


def raw(*names: str, kinds: str | list[str] = "eeg", sfreq: float = 100.0, peak_v: float = 50e-6):
    t = np.arange(round(60 * sfreq)) / sfreq
    info = mne.create_info(list(names), sfreq, kinds)
    data = np.array([peak_v * np.sin(2 * np.pi * (i + 1) * t) for i in range(len(names))])
    return mne.io.RawArray(data, info, verbose="error").set_meas_date(START)


def test_volts_become_microvolts():
    recording = from_raw(raw("Fpz-Cz"))
    assert recording.samples_uv.dtype == np.float32
    assert recording.samples_uv.max() == pytest.approx(50.0, rel=1e-3)
    assert (recording.sfreq, recording.channel, recording.duration_s) == (100.0, "Fpz-Cz", 60.0)


def test_the_start_is_the_measurement_date_without_a_zone():
    assert from_raw(raw("Cz")).start == datetime(2020, 5, 1, 22, 0)
    assert from_raw(raw("Cz").set_meas_date(None)).start is None


def test_a_cropped_recording_starts_later():
    assert from_raw(raw("Cz").crop(tmin=30.0)).start == datetime(2020, 5, 1, 22, 0, 30)


def test_the_named_channel_is_taken():
    assert from_raw(raw("Fpz", "Cz"), "Cz").channel == "Cz"


def test_without_a_name_the_only_eeg_channel_is_taken():
    assert from_raw(raw("EOG", "Cz", "EMG", kinds=["eog", "eeg", "emg"])).channel == "Cz"


def test_without_a_name_two_eeg_channels_are_not_guessed_between():
    with pytest.raises(ChannelError, match="2 EEG channels; name one; channels: 'Fpz', 'Cz'") as caught:
        from_raw(raw("Fpz", "Cz"))
    assert caught.value.available == ("Fpz", "Cz")


def test_a_wrong_channel_lists_the_channels_there_are():
    with pytest.raises(ChannelError, match="'Fpz', 'Cz'"):
        from_raw(raw("Fpz", "Cz"), "Pz")


def test_what_was_never_recorded_is_missing_not_zero():
    whole = raw("Cz").set_annotations(mne.Annotations([10.0], [5.0], ["BAD_ACQ_SKIP"], orig_time=START))
    missing = np.isnan(from_raw(whole).samples_uv)
    assert missing[1000:1500].all()
    assert missing.sum() == 500
    assert np.isnan(from_raw(whole.copy().crop(tmin=8.0)).samples_uv[200:700]).all()


@pytest.mark.parametrize("start", [START, None], ids=["dated", "undated"])
@pytest.mark.parametrize("first_samp", [0, 3000])
@pytest.mark.parametrize("crop_s", [0.0, 8.0])
def test_what_is_marked_bad_stays_in_its_place(start, first_samp, crop_s):
    """A Raw whose samples do not begin at 0, or without a date, is blanked where MNE itself leaves out."""
    data = raw("Cz").get_data()
    marked = mne.io.RawArray(data, raw("Cz").info, first_samp=first_samp, verbose="error")
    marked.set_meas_date(start).set_annotations(mne.Annotations([10.0], [5.0], ["BAD_move"]))
    cropped = marked.crop(tmin=crop_s)
    missing = np.flatnonzero(np.isnan(from_raw(cropped).samples_uv))
    left_out = np.flatnonzero(np.isnan(cropped.get_data(reject_by_annotation="NaN", verbose="error")[0]))
    assert missing.tolist() == left_out.tolist()
    assert (missing[0], len(missing)) == (round(100 * (10 - crop_s)), 500)


@pytest.mark.parametrize("start", [START, None], ids=["dated", "undated"])
def test_lights_move_with_a_crop(start):
    whole = raw("Cz").set_meas_date(start)
    whole.set_annotations(mne.Annotations([20.0, 50.0], [0.0, 0.0], ["Lights off", "lights on"]))
    assert from_raw(whole).lights_s == (20.0, 50.0)
    assert from_raw(whole.copy().crop(tmin=20.0)).lights_s == (0.0, 30.0)
    assert from_raw(whole.copy().crop(tmin=30.0, tmax=40.0)).lights_s == (None, None)


def test_amplitudes_in_microvolts_are_refused_as_volts():
    with pytest.raises(UnitError, match="factor of 1e6"):
        from_raw(raw("Cz", peak_v=50.0))


def test_a_rate_that_cannot_be_staged_is_refused():
    with pytest.raises(SamplingRateError, match="50 to 4096 Hz"):
        from_raw(raw("Cz", sfreq=10.0))


def test_a_recording_without_samples_is_refused():
    class Empty:
        def __init__(self):
            self.ch_names, self.info = ["Cz"], {"sfreq": 100.0}

        def get_channel_types(self):
            return ["eeg"]

        def get_data(self, picks):
            return np.empty((len(picks), 0))

    assert is_raw(Empty())
    with pytest.raises(RecordingError, match="no data"):
        from_raw(Empty())


def test_other_things_are_no_raw():
    assert not is_raw(np.zeros(3))
    assert not is_raw("night.edf")


def test_mne_is_never_imported():
    code = "import sys, eegvlm_rt.sources; assert 'mne' not in sys.modules and 'edfio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mne_and_the_edf_reader_give_the_same_samples(shared_data):
    path = shared_data / "sleep-edf" / "SC4001E0-first5min-PSG.edf"
    through_mne = from_raw(mne.io.read_raw_edf(path, include=["EEG Fpz-Cz"], verbose="error"), "EEG Fpz-Cz")
    ours = read_channel(path, "EEG Fpz-Cz")
    np.testing.assert_allclose(through_mne.samples_uv, ours.samples_uv, atol=1e-3)
    assert through_mne.start == ours.start


def night(first_samp: int = 0):
    rng = np.random.default_rng(0)
    info = mne.create_info(["Cz"], 100.0, "eeg")
    return mne.io.RawArray(rng.normal(0, 30e-6, (1, 18_000)), info, first_samp=first_samp, verbose="error")


def epochs_of(raw, **options):
    events = mne.make_fixed_length_events(raw, duration=30.0)
    options = {"tmin": 0.0, "tmax": 29.99, "baseline": None, "preload": True, "verbose": "error", **options}
    return mne.Epochs(raw, events, **options)


class TestEpochs:
    def starts(self, epochs) -> list[float]:
        return from_epochs(epochs)[2].tolist()

    def test_dropped_ones_leave_the_others_in_their_place(self):
        assert self.starts(epochs_of(night()).drop([0, 3], verbose="error")) == [30, 60, 120, 150]

    def test_a_crop_counts_from_the_start_of_the_acquisition(self):
        assert self.starts(epochs_of(night().crop(tmin=45.0)))[:2] == [45, 75]
        assert self.starts(epochs_of(night(first_samp=6000)))[:2] == [60, 90]

    def test_they_begin_at_tmin(self):
        assert self.starts(epochs_of(night(), tmin=2.0, tmax=31.99))[:2] == [2, 32]

    @pytest.mark.parametrize(
        "change", [lambda e: e.resample(50, verbose="error"), lambda e: e.decimate(2, verbose="error")]
    )
    def test_events_count_samples_of_the_recording(self, change):
        assert self.starts(change(epochs_of(night())))[:3] == [0, 30, 60]

    def test_bad_ones_that_are_not_dropped_yet(self):
        raw = night().set_annotations(mne.Annotations([35.0], [1.0], ["BAD_move"]))
        lazy = epochs_of(raw, preload=False)
        samples_uv, rate, starts_s, name = from_epochs(lazy)
        assert (len(samples_uv), rate, name) == (5, 100.0, "Cz")
        assert starts_s.tolist() == [0, 60, 90, 120, 150]

    def test_bad_seconds_of_kept_ones_are_missing(self):
        raw = night().set_annotations(mne.Annotations([35.0], [2.0], ["BAD_move"]))
        samples_uv = from_epochs(epochs_of(raw, reject_by_annotation=False))[0]
        assert np.flatnonzero(np.isnan(samples_uv[1])).tolist() == list(range(500, 700))

    def test_an_array_without_events_is_taken_in_order(self):
        info = mne.create_info(["Cz"], 100.0, "eeg")
        data = np.random.default_rng(1).normal(0, 30e-6, (4, 1, 3000))
        epochs = mne.EpochsArray(data, info, verbose="error")
        assert self.starts(epochs) == [0, 30, 60, 90]
        assert self.starts(epochs.drop([1], verbose="error")) == [0, 60, 90]


@pytest.mark.parametrize("text", ["BAD_move", "bad", "BAD boundary"])
def test_what_is_annotated_as_bad_is_missing(text: str):
    samples_uv = from_raw(night().set_annotations(mne.Annotations([35.0], [2.0], [text]))).samples_uv
    assert np.flatnonzero(np.isnan(samples_uv)).tolist() == list(range(3500, 3700))
