"""`python -m eegvlm_train fit-simulator TABLES [OUT]`: the course and the spectra of real nights.

Reads the tables of people 20-82 and writes `course.json`, `spectra.json` and `transitions.json`: statistics
alone, no night. OUT is the simulator's folder by default.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eegvlm_rt.simulator

from ..outputs import add_overwrite, write_text
from .course import fit_course, transitions_of
from .spectra import fit_spectra
from .tables import SOURCE, TableNight, main_sleep, read_nights

__all__ = ["main"]


_WAKE_AROUND_EPOCHS = 60


def _transitions(nights: Sequence[TableNight]) -> dict[str, Any]:
    counts = transitions_of([in_bed(night.stages) for night in nights])
    return {
        "source": f"{SOURCE}: {len(nights)} nights of {len({night.person for night in nights})} people",
        "method": "30 s stages W N1 N2 N3 R (R&K 3 and 4 as N3), 30 min of wake around sleep, "
        "transitions counted by third of that time",
        "prior": np.sum(counts, axis=(0, 2)).tolist(),
        "counts": counts.tolist(),
    }


def in_bed(stages: NDArray[np.int8]) -> NDArray[np.int8]:
    """The night's main sleep with 30 min around it."""
    asleep = main_sleep(stages)
    return stages[max(0, asleep.start - _WAKE_AROUND_EPOCHS) : asleep.stop + _WAKE_AROUND_EPOCHS]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train fit-simulator", description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of bandpower.npz")
    own = Path(eegvlm_rt.simulator.__file__).parent
    parser.add_argument("out", type=Path, nargs="?", default=own, help="folder of the results")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    nights = read_nights(args.tables, "fit")
    tables = {
        "course.json": fit_course(nights),
        "spectra.json": fit_spectra(nights),
        "transitions.json": _transitions(nights),
    }
    for name, table in tables.items():
        write_text(args.out / name, json.dumps(table) + "\n", overwrite=args.overwrite)
        print(f"{args.out / name}: {len(nights)} nights")
    return 0
