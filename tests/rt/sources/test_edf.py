"""Reading one EEG channel from EDF files, as the EDF and EDF+ specifications describe them."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal
from edfio import Recording as EdfRecording

from eegvlm_rt.errors import ChannelError, RecordingError, SamplingRateError, UnitError
from eegvlm_rt.sources import Annotation, channels, read_annotations, read_channel

if TYPE_CHECKING:
    from pathlib import Path

SFREQ = 100


def wave(n: int = 60 * SFREQ, peak: float = 60.0) -> np.ndarray:
    t = np.arange(n) / SFREQ
    return peak * np.sin(2 * np.pi * 3.0 * t) + 0.2 * peak * np.sin(2 * np.pi * 11.0 * t)


def signal(label: str = "EEG Fpz-Cz", unit: str = "uV", data: np.ndarray | None = None, **more) -> EdfSignal:
    more = {"sampling_frequency": SFREQ, **more}
    return EdfSignal(wave() if data is None else data, label=label, physical_dimension=unit, **more)


def save(path: Path, *signals: EdfSignal, **more) -> Path:
    target = path / "night.edf"
    Edf(list(signals), **more).write(target)
    return target


def patched(path: Path, offset: int, new: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(new)] = new
    path.write_bytes(data)
    return path


def test_samples_come_back_in_microvolts_to_within_one_quantization_step(tmp_path):
    recording = read_channel(save(tmp_path, signal()), "EEG Fpz-Cz")
    step_uv = (wave().max() - wave().min()) / 65535
    assert recording.samples_uv.dtype == np.float32
    assert np.abs(recording.samples_uv - wave()).max() <= step_uv
    assert (recording.sfreq, recording.channel, recording.duration_s) == (100.0, "EEG Fpz-Cz", 60.0)


def test_the_channel_is_picked_out_among_signals_of_other_rates(tmp_path):
    other = signal("Temp rectal", "degC", np.linspace(36, 37, 60), sampling_frequency=1)
    path = save(tmp_path, other, signal("EEG Pz-Oz", data=-wave()), signal())
    assert channels(path) == ("Temp rectal", "EEG Pz-Oz", "EEG Fpz-Cz")
    np.testing.assert_allclose(read_channel(path, "EEG Pz-Oz").samples_uv, -wave(), atol=0.01)


@pytest.mark.parametrize(
    ("unit", "factor"), [("uV", 1.0), ("UV", 1.0), ("mV", 1e-3), ("mv", 1e-3), ("V", 1e-6), ("nV", 1e3)]
)
def test_every_spelling_of_a_voltage_is_scaled_to_microvolts(tmp_path, unit, factor):
    data = wave() * factor
    limits = {"mV": (-0.1, 0.1), "mv": (-0.1, 0.1), "V": (-1e-4, 1e-4)}.get(unit)
    path = save(tmp_path, signal(unit=unit, data=data, physical_range=limits))
    np.testing.assert_allclose(read_channel(path).samples_uv, wave(), atol=0.1)


@pytest.mark.parametrize("written", ["µV".encode("latin-1"), "µV".encode(), "μV".encode()])
def test_a_micro_sign_in_any_encoding_is_understood(tmp_path, written):
    path = patched(save(tmp_path, signal()), 256 + 16 + 80, written.ljust(8))
    np.testing.assert_allclose(read_channel(path).samples_uv, wave(), atol=0.01)


@pytest.mark.parametrize("unit", ["", "degC", "MV", "%", "uA"])
def test_a_dimension_that_is_no_voltage_is_refused_by_name(tmp_path, unit):
    with pytest.raises(UnitError, match=r"'EEG Fpz-Cz' must be in uV, mV, V or nV"):
        read_channel(save(tmp_path, signal(unit=unit)))


@pytest.mark.parametrize("peak", [6e-5, 9e4])
def test_volts_called_microvolts_and_the_reverse_are_refused_naming_the_factor(tmp_path, peak):
    with pytest.raises(UnitError, match="factor of 1e6"):
        read_channel(save(tmp_path, signal(data=wave(peak=peak))))


def test_a_physical_range_no_amplifier_has_is_refused(tmp_path):
    with pytest.raises(UnitError, match="physical range"):
        read_channel(save(tmp_path, signal(unit="mV", physical_range=(-2e4, 2e4))))


def test_an_inverted_physical_range_turns_the_signal_over(tmp_path):
    path = save(tmp_path, signal(physical_range=(-100, 100)))
    upright = read_channel(path).samples_uv
    patched(path, 256 + 16 + 80 + 8, b"100     -100    ")
    np.testing.assert_allclose(read_channel(path).samples_uv, -upright, atol=0.01)


def test_channel_names_ignore_case_spaces_and_the_eeg_prefix(tmp_path):
    path = save(tmp_path, signal(), signal("EEG Pz-Oz"))
    assert read_channel(path, "fpz-cz").channel == "EEG Fpz-Cz"
    assert read_channel(path, "eeg  FPZ - CZ").channel == "EEG Fpz-Cz"


def test_a_wrong_channel_lists_the_channels_there_are(tmp_path):
    path = save(tmp_path, signal(), signal("EOG left"))
    with pytest.raises(ChannelError, match="'EEG Fpz-Cz', 'EOG left'") as caught:
        read_channel(path, "EEG C3-A2")
    assert caught.value.available == ("EEG Fpz-Cz", "EOG left")


def test_without_a_name_the_only_eeg_channel_is_taken(tmp_path):
    assert read_channel(save(tmp_path, signal("EOG left"), signal())).channel == "EEG Fpz-Cz"


def test_without_a_name_a_bare_derivation_counts_as_eeg(tmp_path):
    assert read_channel(save(tmp_path, signal("EOG left"), signal("C4:M1"))).channel == "C4:M1"


def test_without_a_name_two_eeg_channels_are_not_guessed_between(tmp_path):
    with pytest.raises(ChannelError, match="2 EEG channels; name one; channels: 'EEG Fpz-Cz', 'EEG Pz-Oz'"):
        read_channel(save(tmp_path, signal(), signal("EEG Pz-Oz")))


def test_without_a_name_no_eeg_channel_is_an_error(tmp_path):
    with pytest.raises(ChannelError, match="no EEG channel found"):
        read_channel(save(tmp_path, signal("EOG left")))


def test_two_channels_of_one_label_are_not_guessed_between(tmp_path):
    with pytest.raises(ChannelError, match="2 channels have this label"):
        read_channel(save(tmp_path, signal(), signal()), "EEG Fpz-Cz")


@pytest.mark.parametrize("sfreq", [1, 49, 5000])
def test_a_rate_that_cannot_be_staged_is_refused(tmp_path, sfreq):
    path = save(tmp_path, signal(data=wave(20 * sfreq), sampling_frequency=sfreq))
    with pytest.raises(SamplingRateError, match=f"{sfreq} Hz in channel 'EEG Fpz-Cz'; must be 50 to 4096 Hz"):
        read_channel(path, "EEG Fpz-Cz")


def test_the_start_is_date_and_time_of_the_header_with_its_fraction(tmp_path):
    recording = EdfRecording(startdate=date(2003, 2, 28))
    path = save(tmp_path, signal(), recording=recording, starttime=time(23, 59, 58))
    assert read_channel(path).start == datetime(2003, 2, 28, 23, 59, 58)
    path = save(tmp_path, signal(), recording=recording, starttime=time(23, 0, 0, 250_000), annotations=[])
    assert read_channel(path).start == datetime(2003, 2, 28, 23, 0, 0, 250_000)


@pytest.mark.parametrize("more", [{}, {"annotations": []}])
def test_a_hidden_start_is_none(tmp_path, more):
    assert read_channel(save(tmp_path, signal(), **more)).start is None


def test_annotations_are_read_with_onset_duration_and_text(tmp_path):
    written = [EdfAnnotation(0, 30, "Sleep stage W"), EdfAnnotation(12.5, None, "Lights off; größer")]
    path = save(tmp_path, signal(), annotations=written, starttime=time(1, 0, 0, 500_000))
    _, found = read_annotations(path)
    assert found == (Annotation(0.0, 30.0, "Sleep stage W"), Annotation(12.5, None, "Lights off; größer"))


def test_a_plain_edf_file_has_no_annotations_to_read(tmp_path):
    with pytest.raises(RecordingError, match="no annotations"):
        read_annotations(save(tmp_path, signal()))


def test_a_gap_between_the_records_of_a_continuous_file_is_found(tmp_path):
    path = save(tmp_path, signal(), annotations=[])
    assert path.read_bytes().count(b"+41\x14\x14") == 1
    data = path.read_bytes()
    for second in range(59, 40, -1):
        data = data.replace(b"+%d\x14\x14" % second, b"+%d\x14\x14" % (second + 6))
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="data record: 42; starts at 47 s, not 41 s"):
        read_channel(path)


def test_more_than_one_block_of_data_is_joined_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("eegvlm_rt.sources.edf_records._BLOCK_BYTES", 1000)
    path = save(tmp_path, signal(), signal("EOG left", data=-wave()), annotations=[])
    np.testing.assert_allclose(read_channel(path).samples_uv, wave(), atol=0.01)


def test_a_real_recording_reads_as_edfio_reads_it(shared_data):
    from edfio import read_edf

    path = shared_data / "sleep-edf" / "SC4001E0-first5min-PSG.edf"
    recording = read_channel(path, "EEG Fpz-Cz")
    np.testing.assert_allclose(recording.samples_uv, read_edf(path).get_signal("EEG Fpz-Cz").data, atol=1e-4)
    assert recording.start == datetime(1989, 4, 24, 16, 13)
    assert recording.duration_s == 300.0


def test_a_slow_channel_of_a_real_recording_is_refused(shared_data):
    with pytest.raises(SamplingRateError, match="1 Hz in channel 'EMG submental'"):
        read_channel(shared_data / "sleep-edf" / "SC4001E0-first5min-PSG.edf", "EMG submental")
