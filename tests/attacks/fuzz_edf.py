"""Fuzzing the EDF and BDF reader: `python -m tests.attacks.fuzz_edf --runs 400000 --seed 0`.

Mutates small files that once were whole: header fields replaced by likely and by absurd ones, bytes set, cut
and copied, with the promised size made to fit again so that much of it gets past the header. Every file goes
through the channel reader, the annotation reader, the hypnogram and the chunked source; anything but a typed
error is kept in `--crashes`: put it under tests/attacks/edf, where the suite reads it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from edfio import Bdf, BdfSignal, Edf, EdfAnnotation, EdfSignal

from eegvlm_rt.errors import EegVlmError, RecordingWarning
from eegvlm_rt.hypnogram import read_edf
from eegvlm_rt.sources import EdfSource, channels, read_annotations, read_channel

ATOMS = (
    *(b"", b"0", b"1", b"-1", b"2", b"3", b"50", b"256", b"512", b"768", b"4096", b"99999999", b"-9999999"),
    *(b"1e300", b"1e-300", b"nan", b"inf", b".", b"+", b"0.0", b"0.001", b"1e999", b"\0\0\0\0\0\0\0\0"),
    *(b"uV", b"mV", b"V", b"\xb5V", b"EDF+C", b"EDF+D", b"BDF+C", b"\xffBIOSEMI", b"EDF Annotations "),
    *(b"BDF Annotations ", b"EEG Cz", b"\x14", b"\x15", b"+0\x14\x14\0", b"+1\x14\x14\0", b"-5\x1530\x14"),
    *(b"+0\x1530\x14Sleep stage W\x14\0", b"Sleep stage 9", b"+999999999999\x14Sleep stage N2\x14\0"),
)
WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
FIXED = ((0, 8), (88, 80), (168, 8), (176, 8), (184, 8), (192, 44), (236, 8), (244, 8), (252, 4))


def seeds() -> list[bytes]:
    """Whole files: EDF, EDF+ with stages, BDF+, and one of two channels."""
    wave = 40 * np.sin(np.arange(240) / 9.0)
    stages = [EdfAnnotation(0, 30, "Sleep stage W"), EdfAnnotation(30, None, "Sleep stage 2")]
    eeg = {"label": "EEG Cz", "physical_dimension": "uV", "physical_range": (-99, 99)}
    return [
        Edf([EdfSignal(wave, 60, **eeg)]).to_bytes(),
        Edf([EdfSignal(wave, 60, **eeg)], annotations=stages).to_bytes(),
        Bdf([BdfSignal(wave, 60, **eeg)], annotations=stages).to_bytes(),
        Edf([EdfSignal(wave, 60, **eeg), EdfSignal(wave[:80], 20, label="EOG")]).to_bytes(),
        Edf([], annotations=stages).to_bytes(),
    ]


def mutate(rng: random.Random, whole: bytes) -> bytes:
    """One hostile file."""
    data = bytearray(whole)
    signals = int(whole[252:256])
    for _ in range(rng.randrange(1, 5)):
        what = rng.randrange(8)
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
        else:
            del data[rng.randrange(len(data) + 1) :]
    if rng.random() < 0.5 and len(data) < len(whole):
        data += bytes(len(whole) - len(data))
    return bytes(data)


def survive(path: Path) -> int:
    """Read the file in every way; how many ways gave a result. Only typed errors are passed over."""
    held = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        for read in (channels, read_channel, read_annotations, read_edf, _played):
            try:
                read(path)
            except EegVlmError:
                continue
            held += 1
    return held


def _played(path: Path) -> None:
    with EdfSource(path, chunk_s=1.0) as source:
        for chunk in source.chunks():
            assert len(chunk.samples) == len(chunk.timestamps)


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 1 where a file broke a reader."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crashes", type=Path, default=Path("crashes"))
    options = parser.parse_args(arguments)
    broken = held = 0
    started = time.perf_counter()
    wholes = seeds()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hostile.edf"
        for run in range(options.runs):
            rng = random.Random(options.seed << 32 | run)
            data = mutate(rng, rng.choice(wholes))
            path.write_bytes(data)
            try:
                held += survive(path) > 0
            except Exception as error:
                broken += 1
                options.crashes.mkdir(parents=True, exist_ok=True)
                (options.crashes / f"{type(error).__name__}-{options.seed}-{run}").write_bytes(data)
    elapsed_s = time.perf_counter() - started
    print(f"{options.runs} runs in {elapsed_s:.0f} s, {held} files read, {broken} broke a reader")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
