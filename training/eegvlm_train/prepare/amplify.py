"""`python -m eegvlm_train amplify NIGHTS OUT`: nights, and copies of them with another gain.

A stage does not depend on the gain of the amplifier, so a copy keeps the labels of its night. Rules of the
manual that speak of microvolts do depend on it: `eegvlm_train findings` measures a copy anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from eegvlm_rt.files import claim_folder

from ..data.findings import findings_path
from ..data.night_files import clipped_steps, in_order, labels_path, save_npz
from ..data.nightset import list_nights, split_nights
from ..outputs import add_overwrite

__all__ = ["amplify_night", "main", "split_of_copies"]


def amplify_night(night: Path, out: Path, *, copies: int, low: float, high: float) -> list[Path]:
    """The night and `copies` of it in `out`, with its labels; the gain of a copy is drawn log-uniformly
    from `low` to `high`.

    The draw depends on the number of the night alone: a second run writes the same copies. The first copy of
    `night-00007.npz` is `night-0000701.npz`. Findings of an older copy go: its gain may have been another.
    """
    for path in (night, labels_path(night), findings_path(night)):
        _take_over(path, out / path.name)
    rng = np.random.default_rng([0x6A17, int(night.stem.rpartition("-")[2])])
    with np.load(night) as file:
        content = dict(file)
    paths = [out / night.name]
    for number in range(1, copies + 1):
        gain = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        scaled = {
            name: clipped_steps(content[name] * np.float32(gain)) for name in ("x", "raw") if name in content
        }
        path = out / _copy_name(night, number)
        findings_path(path).unlink(missing_ok=True)
        save_npz(path, **(content | scaled | {"gain": np.float64(gain)}))
        _take_over(labels_path(night), labels_path(path))
        paths.append(path)
    return paths


def split_of_copies(nights: Sequence[Path], copies: int) -> dict[str, list[str]]:
    """What `split.json` of the new folder says: a copy is on the side of its night."""
    listed = list(nights)
    return {
        side: [name for night in split_nights(listed, side) for name in _names(night, copies)]
        for side in ("validation", "test")
    }


def _copy_name(night: Path, number: int) -> str:
    return f"{night.stem}{number:02d}.npz"


def _names(night: Path, copies: int) -> list[str]:
    return [night.name, *(_copy_name(night, number) for number in range(1, copies + 1))]


def _check_names(nights: Sequence[Path], copies: int, out: Path) -> None:
    """Raises ValueError where a copy would take the name of a night, or the new folder holds nights that
    this run does not write: no list would say on which side those are."""
    itself = {night.name for night in nights}
    names = {name for night in nights for name in _names(night, copies)}
    if len(names) < len(nights) * (copies + 1):
        clashes = sorted(itself & {_copy_name(night, n) for night in nights for n in range(1, copies + 1)})
        raise ValueError(f"nights: {clashes[0]} is the name of a copy too; amplify the nights before copies")
    listed = (path.name for path in out.glob("night-*.npz"))
    others = sorted(name for name in listed if f"{name.partition('.')[0]}.npz" not in names)
    if others:
        raise ValueError(f"out: {out} holds {others[0]}, which is of another run; name an empty folder")


def _take_over(source: Path, target: Path) -> None:
    """The same file under another name; a second name for it where the file system has such. None where
    there is no source."""
    target.unlink(missing_ok=True)
    if not source.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


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
    if not 0.0 < args.low <= args.high < float("inf"):
        raise ValueError(
            f"--low, --high: {args.low:g}, {args.high:g}; give two gains above 0, the lower first"
        )
    nights = list_nights(args.nights)
    if args.out.resolve() != args.nights.resolve():
        _check_names(nights, args.copies, args.out)
    claim_folder(args.out, "amplify", inputs=[args.nights], overwrite=args.overwrite)
    sides = split_of_copies(nights, args.copies)
    (args.out / "split.json").write_text(json.dumps(sides, indent=1) + "\n", encoding="utf-8")
    work = partial(amplify_night, out=args.out, copies=args.copies, low=args.low, high=args.high)
    for done, paths in enumerate(in_order(work, nights, args.workers), start=1):
        print(f"{done}/{len(nights)} {paths[0].name}", flush=True)
    return 0
