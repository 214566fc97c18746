"""Fuzzing without a framework: `python -m tests.attacks.fuzz_journal --runs 600000 --seed 0`.

Mutates journals that once were whole: bytes set, cut, copied and moved, lengths and checksums made to fit
again, so that much of it gets past the checksum. A file that breaks the reader is kept in `--crashes`; put it
under tests/attacks/journals, where the suite reads it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import zlib
from pathlib import Path

from eegvlm_rt.journal.frames import HEADER, MAGIC, PREAMBLE
from tests.attacks.journal_bytes import frames, survive

ATOMS = (
    *(b"", b"null", b"[]", b"{}", b"true", b"-0", b"1e999", b"NaN", b'"\\ud800"', b"9" * 400, b"[" * 300),
    *(b'"index"', b'"outcome"', b'"grid_start_wall_s"', b'"last_timestamp_s"', b'"stage"', b'"W"', b"-1"),
    *(MAGIC, PREAMBLE, b"\0" * 12, b"\xff" * 8, b"\xff\xfe", b"2147483647", b"start", b"prediction"),
)
KINDS = ("start", "clock", "prediction", "source", "loss", "resume", "shutdown")


def seeds(rng: random.Random) -> list[bytes]:
    """The parts of a whole journal of up to eight records."""
    bodies, kinds = [b'{"model":"x"}'], ["start"]
    for index in range(rng.randrange(8)):
        kind = rng.choice(KINDS)
        body = {
            "index": rng.choice([index, -1, 10**9, 1.5, None]),
            "outcome": rng.choice(["scored", "gap", 3, None]),
            "stage": rng.choice(["W", "N3", "X", None, []]),
            "grid_start_wall_s": rng.choice([0.0, 1.7e9, -1e14, 1e300]),
            "grid_start_device_s": rng.choice([0, 1.5, "x"]),
            "last_timestamp_s": rng.choice([1.0, None, {}]),
            "probabilities": rng.choice([None, {}, {"W": 1, "N1": 0, "N2": 0, "N3": 0, "R": 0}]),
        }
        bodies.append(json.dumps(body).encode())
        kinds.append(kind)
    return [PREAMBLE, *frames(bodies, kinds)]


def mutate(rng: random.Random, parts: list[bytes]) -> bytes:
    """One hostile file."""
    for _ in range(rng.randrange(5)):
        at = rng.randrange(len(parts))
        part = bytearray(parts[at])
        what = rng.randrange(8)
        if what == 0 and part:
            part[rng.randrange(len(part))] = rng.randrange(256)
        elif what == 1:
            part[rng.randrange(len(part) + 1) :] = b""
        elif what == 2:
            place = rng.randrange(len(part) + 1)
            part[place:place] = rng.choice(ATOMS)
        elif what == 3:
            place = rng.randrange(len(part) + 1)
            part[place : place + rng.randrange(20)] = rng.choice(ATOMS)
        elif what == 4:
            parts.insert(rng.randrange(len(parts) + 1), parts[at])
        elif what == 5 and len(parts) > 1:
            del parts[at]
            continue
        elif what == 6:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
            continue
        elif len(part) >= HEADER.size:
            part[4:8] = (len(part) - HEADER.size).to_bytes(4, "little")
            part[60:64] = zlib.crc32(part[64:], zlib.crc32(part[:60])).to_bytes(4, "little")
        parts[at] = bytes(part)
    return b"".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 1 where a file broke the reader."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=600_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crashes", type=Path, default=Path("crashes"))
    options = parser.parse_args(arguments)
    broken = whole = 0
    started = time.perf_counter()
    for run in range(options.runs):
        rng = random.Random(options.seed << 32 | run)
        data = mutate(rng, seeds(rng))
        try:
            report = survive(data)
        except Exception as error:
            broken += 1
            options.crashes.mkdir(parents=True, exist_ok=True)
            (options.crashes / f"{type(error).__name__}-{options.seed}-{run}").write_bytes(data)
        else:
            whole += report is not None and report.ok
    elapsed_s = time.perf_counter() - started
    print(f"{options.runs} runs in {elapsed_s:.0f} s, {whole} files whole, {broken} broke the reader")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
