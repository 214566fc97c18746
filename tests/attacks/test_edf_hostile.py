"""Damaged and hostile EDF files end in a typed error that names what is wrong, in little time and memory."""

from __future__ import annotations

import os
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import EegVlmError, RecordingError, RecordingWarning, SamplingRateError
from eegvlm_rt.hypnogram import Hypnogram, read_edf
from eegvlm_rt.sources import Recording, channels, read_annotations, read_channel
from tests.attacks.fuzz_edf import main as fuzz
from tests.attacks.fuzz_edf import survive

KEPT = Path(__file__).parent / "edf"
SIGNALS = 2  # EEG, annotations
RESERVED, RECORDS, DURATION, N_SIGNALS = 192, 236, 244, 252
HEADER_BYTES = 184


def column(start: int, signal: int, width: int) -> int:
    return 256 + start * SIGNALS + width * signal


LABEL, UNIT = column(0, 0, 16), column(96, 0, 8)
PHYSICAL_MIN, PHYSICAL_MAX = column(104, 0, 8), column(112, 0, 8)
DIGITAL_MIN, DIGITAL_MAX = column(120, 0, 8), column(128, 0, 8)
SAMPLES = column(216, 0, 8)


def valid_bytes(seconds: int = 10) -> bytes:
    t = np.arange(60 * seconds) / 60.0
    eeg = EdfSignal(
        40 * np.sin(2 * np.pi * t), 60, label="EEG Cz", physical_dimension="uV", physical_range=(-99, 99)
    )
    stages = [EdfAnnotation(0, 30, "Sleep stage W"), EdfAnnotation(30, None, "Sleep stage 2")]
    return Edf([eeg], annotations=stages).to_bytes()


VALID = valid_bytes()


def with_field(offset: int, text: bytes, width: int = 8) -> bytes:
    return VALID[:offset] + text.ljust(width) + VALID[offset + width :]


def save(folder: Path, data: bytes) -> Path:
    path = folder / "hostile.edf"
    path.write_bytes(data)
    return path


def test_the_file_that_is_attacked_is_valid(tmp_path):
    path = save(tmp_path, VALID)
    assert read_channel(path).duration_s == 10.0
    assert len(read_edf(path)) == 2


@pytest.mark.parametrize("size", [1, 7, 8, 200, 255, 256, 257, 511, 767])
def test_a_cut_off_header_is_named(tmp_path, size):
    with pytest.raises(RecordingError, match="header"):
        read_channel(save(tmp_path, VALID[:size]))


@pytest.mark.parametrize(("lost", "whole"), [(1, 9), (2, 9), (100, 9), (1000, 3)])
def test_cut_off_data_leaves_the_whole_records_and_is_named(tmp_path, lost, whole):
    with pytest.warns(RecordingWarning, match=f"promises 10 data records, the file holds {whole}"):
        assert read_channel(save(tmp_path, VALID[:-lost])).duration_s == whole


def test_data_beyond_what_the_header_promises_are_left_out_and_named(tmp_path):
    with pytest.warns(RecordingWarning, match="longer than its 10 data records"):
        assert read_channel(save(tmp_path, VALID + b"\0\0")).duration_s == 10


def test_an_empty_file_is_named(tmp_path):
    with pytest.raises(RecordingError, match="empty"):
        read_channel(save(tmp_path, b""))


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7 " * 99,
        b"RIFF" + bytes(999),
        bytes(4096),
        b"0" * 4096,
        b"\xff" * 4096,
        b"0       " + b"\xff" * 999,
    ],
)
def test_what_is_no_edf_file_is_named(tmp_path, data):
    with pytest.raises(RecordingError):
        read_channel(save(tmp_path, data))


def test_the_version_alone_does_not_make_a_bdf_file(tmp_path):
    with pytest.raises(RecordingError, match="contradicts the version"):
        read_channel(save(tmp_path, b"\xffBIOSEMI" + VALID[8:]))


@pytest.mark.parametrize(
    ("offset", "width", "name"),
    [
        (HEADER_BYTES, 8, "header bytes"),
        (DURATION, 8, "data record duration"),
        (N_SIGNALS, 4, "number of signals"),
        (SAMPLES, 8, "samples per record of signal 1"),
    ],
)
@pytest.mark.parametrize("text", [b"-7", b"", b"nan", b"1_0", b"0x9", b"\xb2", b"abc", b"1 2"])
def test_a_count_that_is_none_is_named(tmp_path, offset, width, name, text):
    with pytest.raises(RecordingError, match=name):
        read_channel(save(tmp_path, with_field(offset, text, width)))


@pytest.mark.parametrize("text", [b"-1", b"0", b"-7", b"", b"nan", b"1_0", b"0x9", b"\xb2", b"1 2"])
def test_a_number_of_records_that_is_none_is_counted_and_named(tmp_path, text):
    with pytest.warns(RecordingWarning, match="did not close the file"):
        assert read_channel(save(tmp_path, with_field(RECORDS, text))).duration_s == 10


@pytest.mark.parametrize("offset", [RECORDS, SAMPLES])
@pytest.mark.filterwarnings("ignore::eegvlm_rt.errors.RecordingWarning")
def test_a_huge_count_allocates_nothing(tmp_path, offset):
    path = save(tmp_path, with_field(offset, b"99999999"))
    tracemalloc.start()
    try:
        result = value_or_error(read_channel, path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    if offset == RECORDS:
        assert result.duration_s == 10
    else:
        assert "no whole data record" in str(result)


def test_a_huge_number_of_signals_allocates_nothing(tmp_path):
    data = VALID[:HEADER_BYTES] + b"2560000 " + VALID[192:N_SIGNALS] + b"9999" + VALID[256:]
    with pytest.raises(RecordingError, match="number of signals: 9999; must be 1 to 2048"):
        read_channel(save(tmp_path, data))


@pytest.mark.parametrize("duration", [b"0", b"-1", b"-0.5"])
def test_records_without_a_length_are_named(tmp_path, duration):
    with pytest.raises(RecordingError, match="data record duration"):
        read_channel(save(tmp_path, with_field(DURATION, duration)))


@pytest.mark.parametrize("duration", [b"1e-300", b"1e300", b"100000"])
def test_a_record_length_that_gives_an_absurd_rate_is_refused(tmp_path, duration):
    plain = with_field(RESERVED, b"", 44)
    with pytest.raises(SamplingRateError):
        read_channel(save(tmp_path, plain[:DURATION] + duration.ljust(8) + plain[DURATION + 8 :]), "EEG Cz")


@pytest.mark.parametrize(
    ("low", "high"), [(b"5", b"5"), (b"9", b"-9"), (b"-99999", b"99999"), (b"1.5", b"nan"), (b"", b"9")]
)
def test_a_digital_range_that_cannot_calibrate_is_named(tmp_path, low, high):
    data = with_field(DIGITAL_MIN, low)
    data = data[:DIGITAL_MAX] + high.ljust(8) + data[DIGITAL_MAX + 8 :]
    with pytest.raises(RecordingError, match="digital"):
        read_channel(save(tmp_path, data))


@pytest.mark.parametrize(
    ("low", "high"), [(b"7", b"7"), (b"inf", b"9"), (b"1e999", b"9"), (b"", b""), (b"--1", b"1")]
)
def test_a_physical_range_that_cannot_calibrate_is_named(tmp_path, low, high):
    data = with_field(PHYSICAL_MIN, low)
    data = data[:PHYSICAL_MAX] + high.ljust(8) + data[PHYSICAL_MAX + 8 :]
    with pytest.raises(RecordingError, match="physical"):
        read_channel(save(tmp_path, data))


def test_names_of_people_in_any_encoding_do_not_matter(tmp_path):
    path = save(tmp_path, with_field(8, b"X F X J\xf6rg_M\xfc\xdf", 80))
    assert read_channel(path).channel == "EEG Cz"


def test_a_label_that_is_not_ascii_is_still_a_label(tmp_path):
    path = save(tmp_path, with_field(LABEL, "EEG Čz".encode(), 16))
    assert channels(path) == ("EEG Čz",)


@pytest.mark.parametrize("label", [b"EEG \x1b[2J", b"EEG\rCz", b"EEG \x9b31m", b"EEG\x00Cz"])
def test_a_label_that_would_drive_a_terminal_is_made_printable(tmp_path, label):
    (found,) = channels(save(tmp_path, with_field(LABEL, label, 16)))
    assert found.isprintable()
    assert "\ufffd" in found


def test_a_long_run_of_digits_is_no_annotation_and_takes_linear_time(tmp_path):
    at = VALID.index(b"+0\x14\x14")
    digits = VALID[:at] + b"+" + b"1" * (len(VALID) - at - 1)
    with pytest.warns(RecordingWarning, match="10 entries are no annotation"):
        assert read_annotations(save(tmp_path, digits))[1] == ()


@pytest.mark.parametrize("path", ["no/such/file.edf", "", "a\0b", "x" * 5000])
def test_a_path_that_leads_nowhere_is_an_error(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordingError):
        read_channel(path)


def test_a_folder_is_an_error(tmp_path):
    with pytest.raises(RecordingError, match="a folder"):
        read_channel(tmp_path)


def test_a_device_is_an_error_and_is_not_read():
    with pytest.raises(RecordingError, match="not a regular file"):
        read_channel("/dev/zero")


def test_a_pipe_is_an_error_and_does_not_wait(tmp_path):
    pipe = tmp_path / "pipe.edf"
    os.mkfifo(pipe)
    with pytest.raises(RecordingError, match="not a regular file"):
        read_channel(pipe)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path):
    path = save(tmp_path, VALID)
    path.chmod(0)
    with pytest.raises(RecordingError, match="may not be read"):
        read_channel(path)


def test_a_file_cut_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    path = save(tmp_path, valid_bytes(seconds=9000))
    monkeypatch.setattr("eegvlm_rt.sources.edf_records._BLOCK_BYTES", 20_000)
    monkeypatch.setattr(
        "eegvlm_rt.sources.edf_channel._calibration", lambda *_: (os.truncate(path, 900), (1.0, 0.0))[1]
    )
    with pytest.raises(RecordingError, match="cut while it was read"):
        read_channel(path)


def value_or_error(read, path):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            return read(path)
    except EegVlmError as error:
        return error


mutations = st.lists(
    st.tuples(st.one_of(st.integers(0, 767), st.integers(0, len(VALID) - 1)), st.integers(0, 255)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=mutations, cut=st.one_of(st.none(), st.integers(0, len(VALID))))
def test_any_bytes_give_a_recording_or_a_typed_error(tmp_path, changes, cut):
    data = bytearray(VALID)
    for at, value in changes:
        data[at] = value
    path = save(tmp_path, bytes(data[:cut]))
    for read, kind in ((read_channel, Recording), (read_edf, Hypnogram)):
        result = value_or_error(read, path)
        assert isinstance(result, kind) or str(result)


digits = st.text("0123456789+-.eE nN", max_size=8).map(lambda text: text.encode().ljust(8))
fields = st.sampled_from(
    [168, 176, 184, 236, 244, 248, PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN, DIGITAL_MAX, SAMPLES]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(fields, digits, min_size=1, max_size=3))
def test_any_number_in_the_header_gives_a_recording_or_a_typed_error(tmp_path, changes):
    data = VALID
    for at, text in changes.items():
        data = data[:at] + text + data[at + 8 :]
    result = value_or_error(read_channel, save(tmp_path, data))
    assert isinstance(result, EegVlmError) or np.isfinite(result.samples_uv).all()


@pytest.mark.parametrize("path", sorted(KEPT.iterdir()), ids=lambda path: path.name)
def test_files_that_once_broke_a_reader_are_typed_errors_or_read(path):
    survive(path)


def test_mutated_files_are_typed_errors_or_read():
    assert fuzz(["--runs", "400"]) == 0
