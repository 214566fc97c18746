"""Journals that somebody altered, or that are none: every change is named, nothing is read for ever."""

from __future__ import annotations

import json
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import JournalError
from eegvlm_rt.journal import Journal, Trouble, night_state, read
from eegvlm_rt.journal.frames import PREAMBLE, genesis, kind_code, pack
from eegvlm_rt.journal.reader import scan
from eegvlm_rt.night import Night
from tests.attacks import fuzz_journal
from tests.attacks.journal_bytes import frames, survive

BODIES = [json.dumps({"index": i - 1, "outcome": "scored"}).encode() for i in range(8)]
KINDS = ["start", *["prediction"] * 7]
CHAIN = frames(BODIES, KINDS)


def troubles(parts: list[bytes]) -> list[tuple[Trouble, int]]:
    return [(f.trouble, f.sequence) for f in scan(PREAMBLE + b"".join(parts)).findings]


def with_checksum(frame: bytes, body: bytes) -> bytes:
    head = frame[:4] + len(body).to_bytes(4, "little") + frame[8:60]
    return head + zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "little") + body


def test_an_untouched_chain_has_no_findings():
    assert troubles(CHAIN) == []


@pytest.mark.parametrize("place", [1, 5, 9, 20, 40, 61, 70])
def test_a_flipped_bit_names_its_record(place):
    altered = bytearray(CHAIN[3])
    altered[place] ^= 1
    assert troubles([*CHAIN[:3], bytes(altered), *CHAIN[4:]]) == [(Trouble.DAMAGED, 3)]


def test_a_body_altered_with_its_checksum_corrected_is_named():
    altered = with_checksum(CHAIN[3], b'{"index":2,"outcome":"failed"}')
    assert troubles([*CHAIN[:3], altered, *CHAIN[4:]]) == [(Trouble.ALTERED, 3)]


def test_missing_repeated_and_reordered_records_are_named():
    assert troubles([*CHAIN[:3], *CHAIN[5:]]) == [(Trouble.MISSING, 3)]
    assert troubles([*CHAIN[:4], CHAIN[3], *CHAIN[4:]])[0] == (Trouble.REORDERED, 3)
    swapped = troubles([*CHAIN[:3], CHAIN[4], CHAIN[3], *CHAIN[5:]])
    assert (Trouble.REORDERED, 3) in swapped
    assert (Trouble.MISSING, 3) in swapped


def test_a_chain_without_its_beginning_is_no_night():
    assert (Trouble.NO_START, 0) in troubles(CHAIN[1:])


def test_a_record_of_another_journal_does_not_fit():
    foreign = frames([b'{"night":2}', *BODIES[1:]], KINDS)
    assert troubles([*CHAIN[:4], *foreign[4:]]) == [(Trouble.ALTERED, 3)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"index":' + b"9" * 5000 + b"}",
        b"{'a':1}",
        b'{"x":1e999}',
    ],
)
def test_a_body_that_is_no_object_is_named_and_reading_goes_on(body):
    bodies = [*BODIES[:2], body, *BODIES[3:]]
    report = scan(PREAMBLE + b"".join(frames(bodies, KINDS)))
    assert [(f.trouble, f.sequence) for f in report.findings] == [(Trouble.UNREADABLE, 2)]
    assert len(report.records) == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"index": -1},
        {"index": True},
        {"index": 10**30},
        {"index": 1.5},
        {"index": "0"},
        {"last_timestamp_s": 10**400},
        {"last_timestamp_s": []},
        {"outcome": {"a": 1}, "index": 0},
        {"index": 0, "stage": [], "probabilities": {"W": []}},
        {"index": 0, "stage": "W", "probabilities": {"W": 9}},
        {"index": 2**31 - 1},
    ],
)
def test_values_of_the_wrong_kind_reach_neither_state_nor_hypnogram(wrong):
    bodies = [b"{}", json.dumps(wrong).encode(), json.dumps({"grid_start_wall_s": 1e14}).encode()]
    assert survive(PREAMBLE + b"".join(frames(bodies, ["start", "prediction", "clock"]))) is not None


@pytest.mark.parametrize(
    ("header", "more"),
    [
        ({"recording_start": 5}, {}),
        ({"recording_start": "noon"}, {}),
        ({"recording_start": "9999-12-31T23:59:59"}, {}),
        ({"utc_offset_s": 10**400}, {}),
        ({"utc_offset_s": "9"}, {}),
        ({}, {"smoothed": 1}),
        ({}, {"smoothed": {"W": "1"}}),
        ({}, {"smoothed": {"W": 10**400}}),
        ({}, {"smoothed": {str(i): 0 for i in range(100)}}),
        ({}, {"records": -5}),
        ({}, {"records": []}),
    ],
)
def test_headers_smoothers_and_losses_of_the_wrong_kind_do_no_harm(header, more):
    bodies = [
        header,
        {"grid_start_wall_s": 1e9, "grid_start_device_s": 7e5},
        {"index": 0, **more},
        more,
        more,
    ]
    kinds = ["start", "clock", "prediction", "loss", "stage"]
    found = survive(PREAMBLE + b"".join(frames([json.dumps(body).encode() for body in bodies], kinds)))
    assert found is not None
    state = night_state(found.records)
    assert (state.smoothed, state.lost_records) == (None, 0)
    assert len(Night.from_journal(found.records)) == 1


def test_numbers_json_does_not_know_do_not_reach_an_export():
    data = PREAMBLE + b"".join(frames([b'{"x":NaN,"y":Infinity}'], ["start"]))
    assert [f.trouble for f in scan(data).findings] == [Trouble.UNREADABLE]


def test_a_file_of_false_starts_is_read_in_its_own_time():
    head = CHAIN[0][:4] + (1 << 20).to_bytes(4, "little") + CHAIN[0][8:64]
    data = PREAMBLE + head * 60_000
    started = time.process_time()
    report = scan(data)
    assert report.torn_bytes == len(data) - len(PREAMBLE)
    assert time.process_time() - started < 60


def test_a_damaged_journal_is_not_gone_on_with(tmp_path):
    data = PREAMBLE + b"".join([*CHAIN[:3], *CHAIN[4:]])
    (tmp_path / "j").write_bytes(data)
    with pytest.raises(JournalError, match=r"record 3 .*missing"):
        Journal.resume(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == data
    assert not read(tmp_path / "j").ok


def test_a_sequence_at_the_end_of_its_range_is_read():
    frame, _ = pack(2**64 - 1, kind_code("start") or b"", genesis(), b"{}")
    report = survive(PREAMBLE + frame)
    assert report is not None
    assert not report.ok


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data):
    survive(data)
    survive(PREAMBLE + data)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 7), max_size=10),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=4),
    st.integers(0, 60),
)
def test_any_order_of_records_with_any_damage_is_survived_and_only_the_whole_one_is_whole(order, damage, cut):
    data = bytearray(PREAMBLE + b"".join(CHAIN[i] for i in order))
    for place, value in damage:
        if place < len(data):
            data[place] = value
    del data[len(data) - min(cut, len(data)) :]
    report = survive(bytes(data))
    whole = any(bytes(data) == PREAMBLE + b"".join(CHAIN[:n]) for n in range(9))
    assert (report is not None and report.ok and len(data) >= len(PREAMBLE)) == whole


def test_fuzzing_finds_nothing_in_a_few_thousand_runs(tmp_path):
    assert fuzz_journal.main(["--runs", "2000", "--seed", "7", "--crashes", str(tmp_path)]) == 0
