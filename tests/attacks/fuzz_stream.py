"""Fuzzing the chunk path of a stream: `python -m tests.attacks.fuzz_stream --runs 250000 --seed 0`.

Each run is a night of up to eighty hostile chunks: dtypes, sizes, NaN, infinity, timestamps that jump, turn
back, repeat or are no numbers, values that are no signal, resumed nights, odd options. Clock, placing,
conditioning, cutting and counting are the real ones; only the model is left out. What must hold is in
`hostile_chunks`. A night that breaks it is named by its seed and number.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from pathlib import Path

from tests.attacks.hostile_chunks import check


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 1 where a night broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=250_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first night")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--crashes", type=Path, default=Path("crashes"))
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    broken = chunks = epochs = runs = 0
    started = time.perf_counter()
    for run in range(options.first, options.first + options.runs):
        try:
            some = check(options.seed, run)
            chunks, epochs = chunks + some[0], epochs + some[1]
        except Exception as error:
            broken += 1
            options.crashes.mkdir(parents=True, exist_ok=True)
            name = f"{type(error).__name__}-{options.seed}-{run}.txt"
            (options.crashes / name).write_text(traceback.format_exc(), encoding="utf-8")
        runs += 1
        if time.perf_counter() - started > options.seconds:
            break
    elapsed_s = time.perf_counter() - started
    print(f"{runs} nights of {chunks} chunks in {elapsed_s:.0f} s, {epochs} epochs, {broken} broke a promise")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
