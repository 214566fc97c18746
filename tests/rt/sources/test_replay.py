"""Files, MNE objects and arrays played as if they were live."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

import mne
import numpy as np
import pytest
from edfio import Bdf, BdfSignal, Edf, EdfSignal

from eegvlm_rt.errors import ChannelError, InputError, RecordingError, RecordingWarning, SourceError
from eegvlm_rt.sources import Chunk, ChunkSource, EdfSource, open_source, parse_source, read_channel, replay
from tests.rt.cli.cli_runs import eeg_uv, save_recording

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def night(tmp_path) -> Path:
    return save_recording(tmp_path / "night.edf", 1, channels=("EEG Fpz-Cz", "EEG Pz-Oz"))


def joined(source: ChunkSource) -> tuple[np.ndarray, np.ndarray, list[str]]:
    chunks = list(source.chunks())
    return (
        np.concatenate([chunk.samples for chunk in chunks]),
        np.concatenate([chunk.timestamps for chunk in chunks]),
        [event.kind for chunk in chunks for event in chunk.events],
    )


@pytest.mark.parametrize("chunk_s", [0.01, 1.0, 7.0, 600.0])
def test_chunks_of_a_file_are_the_file_whatever_their_size(night, chunk_s):
    with EdfSource(night, "EEG Pz-Oz", chunk_s=chunk_s) as source:
        assert isinstance(source, ChunkSource)
        samples, times, kinds = joined(source)
        assert source.start == datetime(2020, 5, 1, 22, 0)
    np.testing.assert_array_equal(samples, read_channel(night, "EEG Pz-Oz").samples_uv)
    np.testing.assert_array_equal(times, np.arange(3000) / 100)
    assert kinds == ["connected", "ended"]


def test_a_bdf_file_is_read_with_all_its_24_bits(tmp_path):
    data = eeg_uv(30)
    path = tmp_path / "night.bdf"
    Bdf([BdfSignal(data, 100, label="Fpz", physical_dimension="uV", physical_range=(-262144, 262143))]).write(
        path
    )
    np.testing.assert_allclose(read_channel(path).samples_uv, data, atol=0.02)
    with open_source(f"bdf:{path}@max") as source:
        np.testing.assert_allclose(joined(source)[0], data, atol=0.02)


def test_a_bdf_file_with_annotations_keeps_its_start(tmp_path):
    path = tmp_path / "night.bdf"
    Bdf([BdfSignal(eeg_uv(30), 100, label="Fpz", physical_dimension="uV")], annotations=[]).write(path)
    assert len(read_channel(path).samples_uv) == 3000


def test_a_file_that_is_still_written_is_played_saying_so(night):
    data = bytearray(night.read_bytes())
    data[236:244] = b"-1      "
    night.write_bytes(data)
    with (
        pytest.warns(RecordingWarning, match="did not close the file"),
        EdfSource(night, "EEG Pz-Oz") as source,
    ):
        assert sum(map(len, source.chunks())) == 100 * source.duration_s


def test_a_file_cut_while_it_is_played_is_an_error_after_what_was_there(tmp_path):
    night = save_recording(tmp_path / "long.edf", 40)
    with EdfSource(night) as source:
        chunks = source.chunks()
        assert len(next(chunks)) == 100
        with night.open("r+b") as handle:
            handle.truncate(20_000)
        with pytest.raises(RecordingError, match="cut while it was read"):
            list(chunks)


def test_an_iteration_that_was_left_is_gone_on_with(night):
    with replay(night, "EEG Pz-Oz", speed=math.inf) as source:
        first = next(iter(source.chunks()))
        rest, times, _ = joined(source)
    assert len(first) + len(rest) == 3000
    assert times[0] == 1.0


def test_an_mne_raw_is_played_in_microvolts():
    info = mne.create_info(["Fpz"], 100.0, "eeg", verbose="error")
    raw = mne.io.RawArray(eeg_uv(10)[None] * 1e-6, info, verbose="error")
    with replay(raw, speed=math.inf) as source:
        samples, _, _ = joined(source)
    np.testing.assert_allclose(samples, eeg_uv(10), rtol=1e-5)


def test_an_array_is_played_in_its_unit():
    with replay(eeg_uv(5) * 1e-3, "Fpz", speed=math.inf, sfreq=100, unit="mV", chunk_s=2) as source:
        assert (source.channel, source.sfreq, source.duration_s) == ("Fpz", 100.0, 5.0)
        assert [len(chunk) for chunk in source.chunks()] == [200, 200, 100, 0]


def test_a_replay_is_not_ahead_of_its_time():
    with replay(eeg_uv(2), speed=20, sfreq=100, chunk_s=0.5) as source:
        received = [chunk.received_s for chunk in source.chunks() if len(chunk)]
    assert received[-1] - received[0] >= 1.5 / 20 - 0.01


def test_a_closed_replay_says_so():
    source = replay(eeg_uv(60), speed=1, sfreq=100, chunk_s=30)
    source.close()
    with pytest.raises(SourceError, match="closed"):
        list(source.chunks())


@pytest.mark.parametrize("record_s", [1, 10])
@pytest.mark.parametrize(
    ("first_s", "first"), [(0, 0), (3.0, 300), (12.341, 1235), (29.99, 2999), (31, 3000)]
)
def test_a_file_may_begin_anywhere_with_its_own_times(tmp_path, first_s, first, record_s):
    path = tmp_path / "n.edf"
    Edf(
        [EdfSignal(eeg_uv(30), 100, label="Cz", physical_dimension="uV")], data_record_duration=record_s
    ).write(path)
    with open_source(f"edf:{path}@max") as source:
        source.seek(first_s)
        samples, times, kinds = joined(source)
    whole = read_channel(path).samples_uv
    np.testing.assert_array_equal(samples, whole[first:])
    np.testing.assert_array_equal(times, np.arange(first, 3000) / 100)
    assert kinds == ["connected", "ended"]


def test_what_plays_already_is_not_begun_elsewhere(night):
    with EdfSource(night, "EEG Pz-Oz") as source:
        next(source.chunks())
        with pytest.raises(SourceError, match="seek before the first chunk"):
            source.seek(5)
    with EdfSource(night, "EEG Pz-Oz") as source, pytest.raises(InputError, match="time_s"):
        source.seek(-1)


def test_a_replay_that_waits_says_so_every_quarter_of_a_second():
    with replay(eeg_uv(3), speed=2, sfreq=100, chunk_s=2) as source:
        sizes = [len(chunk) for chunk in source.chunks()]
    assert sizes.count(0) >= 4
    assert [size for size in sizes if size] == [200, 100]


def test_long_data_records_are_played_in_pieces(tmp_path):
    path = tmp_path / "n.edf"
    Edf([EdfSignal(eeg_uv(30), 100, label="Cz", physical_dimension="uV")], data_record_duration=30).write(
        path
    )
    with open_source(f"edf:{path}@max", chunk_s=0.5) as source:
        assert {len(chunk) for chunk in source.chunks()} == {50, 0}


def test_a_unit_that_a_header_gets_wrong_is_put_right(tmp_path):
    path = tmp_path / "volts.edf"
    Edf([EdfSignal(eeg_uv(30) * 1e-6, 100, label="Cz", physical_dimension="uV")]).write(path)
    with open_source(f"edf:{path}@max", unit="V") as source:
        np.testing.assert_allclose(joined(source)[0], eeg_uv(30), atol=0.1)


@pytest.mark.parametrize("speed", [0, -1, math.nan, "fast"])
def test_a_speed_that_is_none_is_refused(speed):
    with pytest.raises(InputError, match="speed"):
        replay(eeg_uv(2), speed=speed, sfreq=100)


def test_samples_and_timestamps_of_a_chunk_are_equally_many():
    with pytest.raises(InputError, match="timestamps"):
        Chunk(np.zeros(3), np.zeros(2), 0.0)


@pytest.mark.parametrize(
    ("text", "kind", "target", "speed"),
    [
        ("edf:a night.edf@10x", "edf", "a night.edf", 10.0),
        ("edf:me@home.edf", "edf", "me@home.edf", 1.0),
        ("bdf:x.bdf@max", "edf", "x.bdf", math.inf),
        ("edf:C:/n.edf@0.5x", "edf", "C:/n.edf", 0.5),
        ("LSL:Amp 1", "lsl", "Amp 1", 1.0),
        ("brainflow:cyton?serial_port=/dev/ttyUSB0", "brainflow", "cyton", 1.0),
    ],
)
def test_source_strings_name_kind_target_and_speed(text, kind, target, speed):
    spec = parse_source(text)
    assert (spec.kind, spec.target, spec.speed) == (kind, target, speed)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("night.edf", "use edf:night.edf, or another of lsl:NAME, brainflow:BOARD or edf:FILE@10x"),
        ("usb:x", "use lsl:NAME"),
        ("edf:", "name a file"),
        ("edf:a@0x", "above 0"),
        ("lsl:", "name the stream"),
        ("brainflow: ", "name the board"),
        ("lsl:a?b", r"\?name=value"),
        ("lsl:a?gain=2", "source_id, unit"),
    ],
)
def test_a_wrong_source_string_is_told_what_would_be_right(text, cure):
    with pytest.raises(SourceError, match=cure):
        parse_source(text)


def test_the_errors_of_a_file_come_from_opening_it(night):
    with pytest.raises(ChannelError, match="2 EEG channels"):
        open_source(f"edf:{night}@max")
