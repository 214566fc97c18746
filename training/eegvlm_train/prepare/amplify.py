"""`python -m eegvlm_train amplify NIGHTS OUT`: nights, and copies of them with another gain.

A stage does not depend on the gain of the amplifier, so a copy keeps the labels of its night. Rules of the
manual that speak of microvolts do depend on it: `eegvlm_train findings` measures a copy anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.files import claim_folder

from ..data.findings import findings_path
from ..data.night_files import labels_path, save_npz
from ..data.nightset import list_nights, split_nights
from ..outputs import add_overwrite

__all__ = ["amplify_night", "main", "split_of_copies"]

_LARGEST = 32767


def amplify_night(night: Path, out: Path, *, copies: int, low: float, high: float) -> list[Path]:
    """The night and `copies` of it in `out`, with its labels; the gain of a copy is drawn log-uniformly
    from `low` to `high`.

    The draw depends on the number of the night alone: a second run writes the same copies. The first copy of
    `night-00007.npz` is `night-0000701.npz`.
    """
    for path in (night, labels_path(night), findings_path(night)):
        if path.exists():
            _take_over(path, out / path.name)
    rng = np.random.default_rng([0x6A17, int(night.stem.rpartition("-")[2])])
    with np.load(night) as file:
        content = dict(file)
    paths = [out / night.name]
    for number in range(1, copies + 1):
        gain = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        scaled = {name: _scaled(content[name], gain) for name in ("x", "raw") if name in content}
        path = out / f"{night.stem}{number:02d}.npz"
        save_npz(path, **(content | scaled | {"gain": np.float64(gain)}))
        if labels_path(night).exists():
            shutil.copyfile(labels_path(night), labels_path(path))
        paths.append(path)
    return paths


def split_of_copies(nights: Sequence[Path], copies: int) -> dict[str, list[str]]:
    """What `split.json` of the new folder says: a copy is on the side of its night."""
    listed = list(nights)
    return {
        side: [
            name
            for night in split_nights(listed, side)
            for name in (night.name, *(f"{night.stem}{number:02d}.npz" for number in range(1, copies + 1)))
        ]
        for side in ("validation", "test")
    }


def _take_over(source: Path, target: Path) -> None:
    """The same file under another folder; a second name for it where the file system has such."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _scaled(samples: NDArray[np.int16], gain: float) -> NDArray[np.int16]:
    """Steps of the same size; what lies beyond int16 is cut, as an amplifier would."""
    return np.clip(np.round(samples * np.float32(gain)), -_LARGEST, _LARGEST).astype(np.int16)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train amplify", description=__doc__)
    parser.add_argument("nights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--copies", type=int, default=1, help="copies of every night, 1 to 99")
    parser.add_argument("--low", type=float, default=0.4, help="least gain")
    parser.add_argument("--high", type=float, default=2.5, help="largest gain")
    parser.add_argument("--workers", type=int, default=2)
    add_overwrite(parser)
    args = parser.parse_args(argv)
    if not 1 <= args.copies <= 99:
        raise ValueError(f"--copies: {args.copies}; give 1 to 99")
    if not 0.0 < args.low <= args.high:
        raise ValueError(
            f"--low, --high: {args.low:g}, {args.high:g}; give two gains above 0, the lower first"
        )
    claim_folder(args.out, "amplify", inputs=[args.nights], overwrite=args.overwrite)
    nights = list_nights(args.nights)
    sides = split_of_copies(nights, args.copies)
    (args.out / "split.json").write_text(json.dumps(sides, indent=1) + "\n", encoding="utf-8")
    work = partial(amplify_night, out=args.out, copies=args.copies, low=args.low, high=args.high)
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        for done, paths in enumerate(pool.imap(work, nights), start=1):
            print(f"{done}/{len(nights)} {paths[0].name}", flush=True)
    return 0
