"""One channel of an MNE Raw, taken without importing MNE."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from eegvlm_rt.errors import ChannelError, RecordingError, SamplingRateError, UnitError
from eegvlm_rt.sources import from_raw, is_raw, read_channel

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
