"""Fuzzing the readers of recordings and hypnograms: `python -m tests.attacks.fuzz_edf --runs 400000`.

Mutates small files that once were whole: header fields replaced by likely and by absurd ones, bytes set, cut
and copied, times of data records moved, rows of tables changed. A recording goes through the channel reader,
the annotation reader, the hypnogram, lights and the chunked source; a table through the readers of its kind.
Anything but a typed error is a break, and so is

- a message that speaks Python, or is no single printable line;
- a signal that was put together across an interruption that the mutation made;
- a chunked source that gives other samples, another start or other remarks than the channel reader;
- more samples than the file has bytes for.

What broke is kept in `--crashes`: put it under tests/attacks/edf, where the suite reads it.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from edfio import Bdf, BdfSignal, Edf, EdfAnnotation, EdfSignal

from eegvlm_rt.errors import EegVlmError, RecordingWarning
from eegvlm_rt.hypnogram import (
    FORMATS,
    Hypnogram,
    from_csv,
    from_json,
    read_bids_events,
    read_bids_hypnogram,
    read_edf,
    read_edfbrowser,
    read_profusion,
)
from eegvlm_rt.sources import EdfSource, channels, read_annotations, read_channel
from eegvlm_rt.sources.lights import read_lights

if TYPE_CHECKING:
    from collections.abc import Callable

ATOMS = (
    *(b"", b"0", b"1", b"-1", b"2", b"3", b"50", b"256", b"512", b"768", b"4096", b"99999999", b"-9999999"),
    *(b"1e300", b"1e-300", b"nan", b"inf", b".", b"+", b"0.0", b"0.001", b"1e999", b"\0\0\0\0\0\0\0\0"),
    *(b"uV", b"mV", b"V", b"\xb5V", b"EDF+C", b"EDF+D", b"BDF+C", b"\xffBIOSEMI", b"EDF Annotations "),
    *(b"BDF Annotations ", b"EEG Cz", b"\x14", b"\x15", b"+0\x14\x14\0", b"+1\x14\x14\0", b"-5\x1530\x14"),
    *(b"+0\x1530\x14Sleep stage W\x14\0", b"Sleep stage 9", b"+999999999999\x14Sleep stage N2\x14\0"),
    *(b"1.2.20", b"31.02.99", b"01.02.yy", b"9.5.3", b"25.61.00", b"Startdate 01-FEB-2020 X X X"),
    *(b"Startdate 31-FEB-0000 X", b"-3276,8", b"1,000", b"\x83\xcaV", b"\x9d\x80\x81", b"+0,5\x14\x14\0"),
    *(b"+12.5\x15\x14Lights off\x14\0", b"12.5\x14x\x14\0", b"+1.5\x14\x14\0", b"+86400\x14\x14\0"),
)
WORDS = (
    *(b"", b"n/a", b"nan", b"inf", b"-1", b"1e400", b"30", b"0", b"4", b"5", b"W", b"N2", b"Wake", b"REM"),
    *(b"Sleep stage W", b"Sleep stage 9", b"?", b"\t", b",", b"\n", b"\r\n", b'"', b"\0", b"\xff\xfe"),
    *(b"\xef\xbb\xbf", b"onset", b"stage", b"trial_type", b"value", b"[", b"{", b"null", b"<SleepStage>"),
)
WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
FIXED = ((0, 8), (88, 80), (168, 8), (176, 8), (184, 8), (192, 44), (236, 8), (244, 8), (252, 4))
PYTHON = re.compile(r"Error\b|Errno|list ind|not in list|base 10|could not convert|object is not|codec can't")


@dataclass(frozen=True)
class Seed:
    """A whole file, and what reads it."""

    data: bytes
    readers: tuple[Callable[[Path], Any], ...]
    is_recording: bool = False


def recordings() -> list[Seed]:
    """Whole files: EDF, EDF+ with stages, EDF+D, BDF+, one of two channels, annotations alone."""
    wave = 40 * np.sin(np.arange(360) / 9.0)
    stages = [EdfAnnotation(0, 30, "Sleep stage W"), EdfAnnotation(30, None, "Sleep stage 2")]
    eeg = {"label": "EEG Cz", "physical_dimension": "uV", "physical_range": (-99, 99)}
    plus = Edf([EdfSignal(wave, 60, **eeg)], annotations=stages).to_bytes()
    files = [
        Edf([EdfSignal(wave, 60, **eeg)]).to_bytes(),
        plus,
        plus.replace(b"EDF+C", b"EDF+D", 1),
        Bdf([BdfSignal(wave, 60, **eeg)], annotations=stages).to_bytes(),
        Edf([EdfSignal(wave, 60, **eeg), EdfSignal(wave[:120], 20, label="EOG")]).to_bytes(),
        Edf([], annotations=stages).to_bytes(),
    ]
    readers = (channels, read_both, read_annotations, read_edf, read_lights)
    return [Seed(data, readers, is_recording=True) for data in files]


def tables() -> list[Seed]:
    """A hypnogram in every form that is text."""
    night = Hypnogram.of([0, 1, 2, -1, 4, 2], datetime(2024, 2, 28, 23, 59, 30))
    readers = {
        "csv": (from_csv,),
        "json": (from_json,),
        "bids": (read_bids_events, read_bids_hypnogram),
        "bids-hypnogram": (read_bids_events, read_bids_hypnogram),
        "profusion": (read_profusion,),
        "edfbrowser": (read_edfbrowser,),
    }
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, some in readers.items():
            file, write = FORMATS[name]
            found.append(Seed(write(night, Path(folder) / file, overwrite=True).read_bytes(), some))
    return found


def mutate(rng: random.Random, seed: Seed) -> tuple[bytes, bool]:
    """One hostile file, and whether it is a recording with an interruption and nothing else wrong."""
    if not seed.is_recording:
        return _mutate_table(rng, seed.data), False
    if rng.random() < 0.1 and b"+4\x14\x14" in seed.data and b"EEG Cz" in seed.data:
        return _interrupt(rng, seed.data), True
    return _mutate_recording(rng, seed.data), False


def _interrupt(rng: random.Random, whole: bytes) -> bytes:
    """Later times for the last data records, two or more of six; EDF+C and EDF+D alike."""
    first, gap_s = rng.randrange(1, 5), rng.choice((1, 2, 3, 60, 3600))

    def later(entry: re.Match[bytes]) -> bytes:
        record = int(entry[1])
        onset_s = record + gap_s if record >= first else record
        return (b"+%d\x14\x14" % onset_s).ljust(len(entry[0]), b"\0")

    return re.sub(rb"\+([1-5])\x14\x14\0+", later, whole)


def _mutate_recording(rng: random.Random, whole: bytes) -> bytes:
    data = bytearray(whole)
    signals = int(whole[252:256])
    for _ in range(rng.randrange(1, 5)):
        what = rng.randrange(9)
        if what <= 2:
            offset, width = rng.choice(FIXED)
            data[offset : offset + width] = rng.choice(ATOMS).ljust(width)[:width]
        elif what <= 4:
            column = rng.randrange(len(WIDTHS))
            offset = 256 + signals * sum(WIDTHS[:column]) + WIDTHS[column] * rng.randrange(signals)
            data[offset : offset + WIDTHS[column]] = rng.choice(ATOMS).ljust(WIDTHS[column])[: WIDTHS[column]]
        elif what == 5 and data:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif what == 6:
            place = rng.randrange(len(data) + 1)
            atom = rng.choice(ATOMS)
            data[place : place + (len(atom) if rng.random() < 0.8 else 0)] = atom
        elif what == 7:
            # The time of one data record.
            places = [match.start() for match in re.finditer(rb"\+\d\x14\x14", bytes(data))]
            if places:
                data[rng.choice(places) + 1] = rng.choice(b"0123456789,.x")
        else:
            del data[rng.randrange(len(data) + 1) :]
    if rng.random() < 0.5 and len(data) < len(whole):
        data += bytes(len(whole) - len(data))
    return bytes(data)


def _mutate_table(rng: random.Random, whole: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.randrange(1, 5)):
        place, word = rng.randrange(len(data) + 1), rng.choice(WORDS)
        what = rng.randrange(4)
        if what == 0:
            # A whole cell: what lies between two marks.
            marks = [0, *(m.end() for m in re.finditer(rb"[\t\n,<>\[\]:]", bytes(data))), len(data)]
            first = rng.randrange(len(marks) - 1)
            data[marks[first] : max(marks[first], marks[first + 1] - 1)] = word
        elif what == 1:
            data[place : place + len(word)] = word
        elif what == 2 and data:
            data[rng.randrange(len(data))] = rng.randrange(256)
        else:
            del data[place : place + rng.randrange(1, 40)]
    return bytes(data)


def survive(path: Path, readers: tuple[Callable[[Path], Any], ...] | None = None) -> int:
    """Read the file in every way; how many ways gave a result. Only typed errors are passed over."""
    held = 0
    for read in readers or recordings()[0].readers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            try:
                read(path)
            except EegVlmError as error:
                said = str(error)
                assert said.isprintable(), said
                assert PYTHON.search(said) is None, said
                continue
        held += 1
    return held


def read_both(path: Path) -> None:
    """The channel reader, and the chunked source, which must give the same."""
    size = path.stat().st_size
    try:
        recording = read_channel(path)
    except EegVlmError:
        _played(path)
        raise
    assert 2 * len(recording.samples_uv) <= size
    assert all(remark.seconds >= 0 and remark.text.isprintable() for remark in recording.remarks)
    samples, start, remarks = _played(path)
    np.testing.assert_array_equal(samples, recording.samples_uv)
    assert (start, remarks) == (recording.start, recording.remarks)


def _played(path: Path) -> tuple[Any, Any, Any]:
    """Samples, start and remarks of the chunked source; amplitudes are left to the quality of an epoch."""
    try:
        source = EdfSource(path, chunk_s=1.0)
    except EegVlmError:
        return None, None, None
    with source:
        chunks = list(source.chunks())
        assert all(len(chunk.samples) == len(chunk.timestamps) for chunk in chunks)
        samples = np.concatenate([chunk.samples for chunk in chunks]).astype(np.float32)
        return samples, source.start, source.remarks


def _refused(path: Path) -> None:
    """Raises AssertionError where a signal is put together across an interruption."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            recording = read_channel(path)
    except EegVlmError:
        return
    raise AssertionError(f"{len(recording.samples_uv)} samples across an interruption")


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 1 where a file broke a reader."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crashes", type=Path, default=Path("crashes"))
    options = parser.parse_args(arguments)
    broken = held = interrupted = 0
    started = time.perf_counter()
    seeds = [*recordings(), *recordings(), *tables()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hostile.edf"
        for run in range(options.runs):
            rng = random.Random(options.seed << 32 | run)
            seed = rng.choice(seeds)
            data, must_refuse = mutate(rng, seed)
            path.write_bytes(data)
            interrupted += must_refuse
            try:
                held += survive(path, seed.readers) > 0
                if must_refuse:
                    _refused(path)
            except Exception as error:
                broken += 1
                options.crashes.mkdir(parents=True, exist_ok=True)
                (options.crashes / f"{type(error).__name__}-{options.seed}-{run}").write_bytes(data)
    elapsed_s = time.perf_counter() - started
    print(
        f"{options.runs} runs in {elapsed_s:.0f} s, {held} files read, {interrupted} interruptions refused, "
        f"{broken} broke a reader"
    )
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
