"""One odd part of a file does not block the night: the EEG is read, and what is left out is said."""

from __future__ import annotations

import warnings
from datetime import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import RecordingError, RecordingWarning, UnitError
from eegvlm_rt.hypnogram import read_edf
from eegvlm_rt.sources import EdfSource, channels, read_annotations, read_channel
from eegvlm_rt.sources.remark import RemarkKind
from tests.rt.sources.edf_bytes import SFREQ, RawSignal, eeg, timekeeping, wave_uv, write

N = 90
UV = wave_uv(N)
DAMAGED = [
    b"+12.5\x14A long comment that the recorder cut in the middle of it",
    b"+12,5\x1530\x14Arousal\x14\0",
    b"12.5\x1530\x14Arousal\x14\0",
    b"+12.5\x15-1\x14Arousal\x14\0",
    b"\xff\xfe\x00\x01" * 10,
]


def read_with_remarks(path, *kinds: RemarkKind):
    """The recording; its remarks are of these kinds, and each came as a warning too."""
    if not kinds:
        return read_channel(path, "EEG Fpz-Cz")
    with pytest.warns(RecordingWarning) as caught:
        recording = read_channel(path, "EEG Fpz-Cz")
    assert [remark.kind for remark in recording.remarks] == list(kinds)
    assert [str(w.message) for w in caught] == [f"{path.name}: {r.text}" for r in recording.remarks]
    assert caught[0].filename == __file__
    return recording


def assert_whole(recording, uv=UV):
    np.testing.assert_allclose(recording.samples_uv, uv, atol=1e-3)


# --- annotations (EDF+ 2.2.2) ------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", DAMAGED)
def test_an_annotation_that_is_none_does_not_keep_the_eeg_from_being_read(tmp_path, entry):
    path = write(tmp_path / "n.edf", eeg(UV), timekeeping(entries={3: entry}), n=N)
    assert_whole(read_with_remarks(path))


@pytest.mark.parametrize("entry", DAMAGED)
def test_an_annotation_that_is_none_is_left_out_and_the_others_stay(tmp_path, entry):
    entries = {2: b"+7\x1530\x14Lights off\x14\0", 3: entry, 4: b"+8\x14Lights on\x14\0"}
    path = write(tmp_path / "n.edf", eeg(UV), timekeeping(entries=entries), n=N)
    with pytest.warns(RecordingWarning, match=r"n\.edf: \d+ entries are no annotation"):
        _, found = read_annotations(path)
    assert [(a.onset_s, a.duration_s, a.text) for a in found] == [
        (7, 30, "Lights off"),
        (8, None, "Lights on"),
    ]


def test_an_empty_duration_is_none(tmp_path):
    entries = {3: b"+12.5\x15\x14Lights off\x14\0"}
    path = write(tmp_path / "n.edf", eeg(UV), timekeeping(entries=entries), n=N)
    (found,) = read_annotations(path)[1]
    assert (found.onset_s, found.duration_s, found.text) == (12.5, None, "Lights off")


def test_a_stage_that_cannot_be_read_leaves_its_epoch_unscored(tmp_path):
    entries = {0: b"+0\x1530\x14Sleep stage W\x14\0", 1: b"+30,0\x1530\x14Sleep stage 1\x14\0"}
    entries[2] = b"+60\x1530\x14Sleep stage 2\x14\0"
    path = write(tmp_path / "h.edf", timekeeping(entries=entries), n=N)
    with pytest.warns(RecordingWarning, match="Sleep stage 1"):
        hypnogram = read_edf(path)
    assert [None if s is None else s.name for s in hypnogram.stages] == ["W", None, "N2"]


def test_a_stage_that_cannot_be_read_is_not_covered_by_the_one_before_it(tmp_path):
    entries = {
        0: b"+0\x14Sleep stage W\x14\0",
        1: b"+30,0\x14Sleep stage 1\x14\0",
        2: b"+60\x14Sleep stage 2\x14\0",
    }
    path = write(tmp_path / "h.edf", timekeeping(entries=entries), n=N)
    with pytest.raises(RecordingError, match="Sleep stage 1"):
        read_edf(path)


# --- names of other channels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label", ["ЭКГ".encode("cp866"), "ЭЭГ".encode("cp1251"), b"E\x80G\x9f", b"ECG\x1b[2J", b"a\0b"]
)
def test_a_label_of_another_channel_in_any_code_page_does_not_matter(tmp_path, label):
    other = eeg(wave_uv(N, 1), label=label, unit=label[:8])
    path = write(tmp_path / "n.edf", other, eeg(UV), reserved=b"", n=N)
    assert_whole(read_with_remarks(path))
    first, second = channels(path)
    assert second == "EEG Fpz-Cz"
    assert first.isprintable()


def test_the_name_that_is_listed_chooses_the_channel_whatever_its_code_page(tmp_path):
    path = write(tmp_path / "n.edf", eeg(wave_uv(N, 1)), eeg(UV, label=b"\x9d\x9d\x83 C3"), reserved=b"", n=N)
    assert_whole(read_channel(path, channels(path)[1]))


@pytest.mark.parametrize("field", ["physical_min", "digital_max", "unit", "filter", "transducer"])
def test_what_only_another_channel_needs_need_not_be_sound(tmp_path, field):
    other = eeg(wave_uv(N, 1), label=b"ECG", fields={field: b"\xb2?!"})
    assert_whole(read_with_remarks(write(tmp_path / "n.edf", other, eeg(UV), reserved=b"", n=N)))


def test_another_channel_may_have_no_samples_at_all(tmp_path):
    empty = RawSignal(lambda _: b"", 0, b"Event")
    assert_whole(read_with_remarks(write(tmp_path / "n.edf", empty, eeg(UV), reserved=b"", n=N)))


# --- records (EDF 1992; EDF+ 2.1.3) -----------------------------------------------------------------------


@pytest.mark.parametrize("reserved", [b"", b"EDF+C"])
@pytest.mark.parametrize(
    ("options", "records", "seconds", "words"),
    [
        ({"promised": b"-1"}, 0, 0.0, "did not close the file"),
        ({"promised": b"0"}, 0, 0.0, "did not close the file"),
        ({"promised": b"?"}, 0, 0.0, "did not close the file"),
        ({"promised": b"93"}, 3, 3.0, "promises 93 data records, the file holds 90: 3 (3 s) missing"),
        ({"promised": b"60"}, 0, 0.0, "promises 60 data records, the file holds 90"),
    ],
)
def test_the_records_of_the_file_count_and_not_the_header_alone(
    tmp_path, reserved, options, records, seconds, words
):
    signals = [eeg(UV)] if not reserved else [eeg(UV), timekeeping()]
    recording = read_with_remarks(
        write(tmp_path / "n.edf", *signals, n=N, reserved=reserved, **options), RemarkKind.RECORDS
    )
    assert_whole(recording)
    assert (recording.remarks[0].records, recording.remarks[0].seconds) == (records, seconds)
    assert words in recording.remarks[0].text


@pytest.mark.parametrize(
    ("promised", "records", "seconds"), [(b"-1", 1, 0.5), (b"90", 1, 0.5), (b"92", 2, 2.0)]
)
def test_a_last_record_that_is_cut_is_left_out_and_said(tmp_path, promised, records, seconds):
    path = write(tmp_path / "n.edf", eeg(UV), n=N, reserved=b"", promised=promised, tail=bytes(100))
    recording = read_with_remarks(path, RemarkKind.RECORDS)
    assert_whole(recording)
    assert (recording.remarks[0].records, recording.remarks[0].seconds) == (records, seconds)
    assert "the last record is cut, 0.5 s are left out" in recording.remarks[0].text


def test_bytes_after_the_last_record_of_an_edf_plus_file_are_no_records(tmp_path):
    path = write(tmp_path / "n.edf", eeg(UV), timekeeping(), n=N, tail=b"\x55" * (2 * 160 * 3 + 7))
    assert_whole(read_with_remarks(path, RemarkKind.RECORDS))


def test_a_file_without_one_whole_record_is_refused(tmp_path):
    path = write(tmp_path / "n.edf", eeg(UV), n=0, promised=b"-1", reserved=b"", tail=bytes(199))
    with pytest.raises(RecordingError, match="no whole data record"):
        read_channel(path)


def test_a_played_file_leaves_out_what_a_read_one_does(tmp_path):
    path = write(tmp_path / "n.edf", eeg(UV), timekeeping(), n=N, promised=b"92", tail=bytes(99))
    with pytest.warns(RecordingWarning, match="2 \\(2 s\\) missing"):
        source = EdfSource(path)
    with source:
        samples = np.concatenate([chunk.samples for chunk in source.chunks()])
        assert [remark.kind for remark in source.remarks] == [RemarkKind.RECORDS]
    np.testing.assert_allclose(samples, UV, atol=1e-3)


# --- times of the records (EDF+ 2.2.4) --------------------------------------------------------------------


@pytest.mark.parametrize("reserved", [b"EDF+C", b"EDF+D"])
def test_records_that_follow_each_other_are_read_whatever_the_file_calls_itself(tmp_path, reserved):
    assert_whole(read_with_remarks(write(tmp_path / "n.edf", eeg(UV), timekeeping(), n=N, reserved=reserved)))


@pytest.mark.parametrize("reserved", [b"EDF+C", b"EDF+D"])
@pytest.mark.parametrize("first", [1, 2, 40, N - 2])
@pytest.mark.parametrize("gap_s", [0.6, 5, 600, -3])
def test_an_interruption_is_never_closed_up(tmp_path, reserved, first, gap_s):
    keeper = timekeeping(lambda i: i + gap_s * (i >= first))
    path = write(tmp_path / "n.edf", eeg(UV), keeper, n=N, reserved=reserved)
    with pytest.raises(RecordingError, match=rf"data record: {first + 1}; starts at .* interruptions"):
        read_channel(path, "EEG Fpz-Cz")


@pytest.mark.parametrize("reserved", [b"EDF+C", b"EDF+D"])
def test_a_last_record_after_an_interruption_is_left_out(tmp_path, reserved):
    keeper = timekeeping(lambda i: i + 600.0 * (i == N - 1))
    path = write(tmp_path / "n.edf", eeg(UV), keeper, n=N, reserved=reserved)
    recording = read_with_remarks(path, RemarkKind.CLOCK)
    assert_whole(recording, UV[: (N - 1) * SFREQ])
    assert (recording.remarks[0].records, recording.remarks[0].seconds) == (1, 1.0)


@pytest.mark.parametrize("reserved", [b"EDF+C", b"EDF+D"])
@pytest.mark.parametrize("place", [0, 7, N - 1])
@pytest.mark.parametrize("entry", [b"garbage", b"", b"+1e9\x14\x14", b"+\x14\x14", b"+888888888\x14\x14\0"])
def test_one_time_that_cannot_be_read_is_damage_and_no_interruption(tmp_path, reserved, place, entry):
    plain = timekeeping()
    keeper = timekeeping()
    keeper.record = lambda i: entry.ljust(120, b"\0") if i == place else plain.record(i)
    recording = read_with_remarks(
        write(tmp_path / "n.edf", eeg(UV), keeper, n=N, reserved=reserved), RemarkKind.CLOCK
    )
    assert_whole(recording)
    assert recording.start == datetime(2020, 5, 1, 22)
    assert f"1 of {N} data records (first: {place + 1})" in recording.remarks[0].text


def test_one_time_that_does_not_fit_its_neighbours_is_damage(tmp_path):
    keeper = timekeeping(lambda i: 3000.0 if i == 20 else i)
    assert_whole(read_with_remarks(write(tmp_path / "n.edf", eeg(UV), keeper, n=N), RemarkKind.CLOCK))


def test_single_records_far_apart_are_interruptions(tmp_path):
    keeper = timekeeping(lambda i: 60.0 * i)
    with pytest.raises(RecordingError, match="data record: 2; starts at 60 s, not 1 s"):
        read_channel(write(tmp_path / "n.edf", eeg(UV), keeper, n=N, reserved=b"EDF+D"))


def test_a_clock_that_drifts_a_little_is_said_and_one_that_leaves_the_rate_is_refused(tmp_path):
    uv = wave_uv(1000)
    slow = write(tmp_path / "n.edf", eeg(uv), timekeeping(lambda i: 1.0008 * i), n=1000)
    recording = read_with_remarks(slow, RemarkKind.CLOCK)
    assert "part by +0.799 s in 999 s" in recording.remarks[0].text
    assert_whole(recording, uv)
    wrong = write(tmp_path / "n.edf", eeg(uv), timekeeping(lambda i: 1.01 * i), n=1000)
    with pytest.raises(RecordingError, match="small interruptions or a wrong rate"):
        read_channel(wrong)


def test_a_first_record_that_begins_late_moves_the_start(tmp_path):
    path = write(tmp_path / "n.edf", eeg(UV), timekeeping(lambda i: 3600.25 + i), n=N)
    assert read_with_remarks(path, RemarkKind.CLOCK).start == datetime(2020, 5, 1, 23, 0, 0, 250_000)


def test_a_file_that_may_have_interruptions_must_say_where(tmp_path):
    silent = RawSignal(lambda _: bytes(120), 60, b"EDF Annotations")
    with pytest.raises(RecordingError, match="nothing in it says where"):
        read_channel(write(tmp_path / "n.edf", eeg(UV), silent, n=N, reserved=b"EDF+D"))
    with pytest.raises(RecordingError, match="nothing in it says where"):
        read_channel(write(tmp_path / "n.edf", eeg(UV), n=N, reserved=b"EDF+D"))
    assert_whole(read_with_remarks(write(tmp_path / "n.edf", eeg(UV), silent, n=N), RemarkKind.CLOCK))


def test_a_layout_that_fits_neither_size_nor_times_is_damage(tmp_path):
    wrong = eeg(wave_uv(N, 1), label=b"ECG", fields={"samples": b"101"})
    with pytest.raises(RecordingError, match="the header is damaged"):
        read_channel(write(tmp_path / "n.edf", wrong, eeg(UV), timekeeping(), n=N), "EEG Fpz-Cz")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    starts=st.lists(st.integers(1, 38), max_size=3, unique=True),
    gap_s=st.floats(0.6, 4000),
    odd=st.none() | st.integers(1, 38),
)
def test_samples_are_never_put_together_across_an_interruption(tmp_path, starts, gap_s, odd):
    def onset_s(i):
        return 77.0 if i == odd else i + gap_s * sum(i >= first for first in starts)

    path = write(tmp_path / "n.edf", eeg(wave_uv(40)), timekeeping(onset_s), n=40, reserved=b"EDF+D")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            read_channel(path)
    except RecordingError:
        return
    # An odd record beside the only step, at the last record but one, leaves a single one behind the step.
    assert not starts


# --- the start (EDF+ 2.1.3.4) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "time", "recording", "start"),
    [
        (b"01.02.20", b"21.55.00", b"", datetime(2020, 2, 1, 21, 55)),
        (b"1.2.20", b"21.55.00", b"", datetime(2020, 2, 1, 21, 55)),
        (b"01.02.20", b"9.5.3", b"", datetime(2020, 2, 1, 9, 5, 3)),
        (b"01/02/20", b"21:55:00", b"", datetime(2020, 2, 1, 21, 55)),
        (b"????????", b"21.55.00", b"Startdate 01-FEB-2020 X X X", datetime(2020, 2, 1, 21, 55)),
        (b"01.02.yy", b"21.55.00", b"Startdate 01-FEB-2099 X X X", datetime(2099, 2, 1, 21, 55)),
        (b"01.02.05", b"21.55.00", b"Startdate 01-feb-2105 X X X", datetime(2105, 2, 1, 21, 55)),
        (b"01.01.85", b"21.55.00", b"Startdate X X X X", datetime(1985, 1, 1, 21, 55)),
        (b"01.01.85", b"00.00.00", b"Startdate X X X X", None),
        (b"01.01.85", b"00.00.00", b"", None),
    ],
)
def test_the_start_is_the_date_that_can_be_read_and_the_clock(tmp_path, date, time, recording, start):
    path = write(tmp_path / "n.edf", eeg(UV), n=N, reserved=b"", date=date, time=time, recording=recording)
    assert read_with_remarks(path).start == start


@pytest.mark.parametrize(
    ("date", "time", "named"),
    [
        (b"31.02.99", b"22.00.00", "date '31.02.99'"),
        (b"2020-5-1", b"22.00.00", "date '2020-5-1'"),
        (b"", b"22.00.00", "date ''"),
        (b"01.05.20", b"25.00.00", "time '25.00.00'"),
        (b"XX.XX.XX", b"XX.XX.XX", "date 'XX.XX.XX' and time 'XX.XX.XX'"),
    ],
)
def test_a_start_that_cannot_be_read_is_unknown_and_said(tmp_path, date, time, named):
    path = write(tmp_path / "n.edf", eeg(UV), n=N, reserved=b"", date=date, time=time, recording=b"")
    recording = read_with_remarks(path, RemarkKind.START)
    assert recording.start is None
    assert recording.remarks[0].text == f"the start is unknown: its {named} cannot be read"


def test_two_dates_that_differ_are_said(tmp_path):
    path = write(tmp_path / "n.edf", eeg(UV), n=N, reserved=b"", date=b"02.05.20")
    assert read_with_remarks(path, RemarkKind.START).start == datetime(2020, 5, 1, 22)


# --- unit and calibration ---------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [b"", b"?V", b"\x83\xcaV", b"Volt", b"uV/cm"])
def test_a_unit_that_cannot_be_read_is_named_with_the_cure_and_can_be_said(tmp_path, unit):
    path = write(tmp_path / "n.edf", eeg(UV, unit=unit), n=N, reserved=b"")
    with pytest.raises(UnitError, match=r"say its unit \(unit, --unit\)"):
        read_channel(path)
    assert_whole(read_channel(path, unit="uV"))


def test_a_unit_that_is_said_wins_over_the_header(tmp_path):
    path = write(
        tmp_path / "n.edf",
        eeg(UV, unit=b"V", physical_min=b"-3.2768", physical_max=b"3.2767"),
        n=N,
        reserved=b"",
    )
    assert_whole(read_channel(path, unit="mV"))


def test_a_decimal_comma_in_a_range_is_read_and_a_possible_thousand_is_not(tmp_path):
    path = write(
        tmp_path / "n.edf", eeg(UV, physical_min=b"-3276,8", physical_max=b"3276,7"), n=N, reserved=b""
    )
    assert_whole(read_channel(path))
    path = write(
        tmp_path / "n.edf", eeg(UV, physical_min=b"-3,276", physical_max=b"3,276"), n=N, reserved=b""
    )
    with pytest.raises(RecordingError, match="physical minimum"):
        read_channel(path)
