"""`python -m eegvlm_train prepare sleep-edf DIR OUT`: a real dataset as a folder to train and evaluate on."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from eegvlm_rt.errors import InputError, RecordingWarning
from eegvlm_rt.extras import install_command
from eegvlm_rt.files import claim_folder
from eegvlm_rt.hypnogram.alignment import Basis

from ..data.findings import measure_night
from .layouts import DEFAULT_CHANNELS, LAYOUTS
from .night import SourceNight, write_night
from .splitting import split_subjects

__all__ = ["fetch_sleep_edf", "main"]


def fetch_sleep_edf(folder: Path, subjects: Sequence[int]) -> None:
    """Download Sleep-EDF's cassette nights by MNE's fetcher; raises InputError where that cannot be."""
    try:
        from mne.datasets.sleep_physionet.age import fetch_data
    except ModuleNotFoundError as error:
        raise InputError("--fetch", error.name, install_command("mne")) from error
    folder.mkdir(parents=True, exist_ok=True)
    try:
        fetch_data(list(subjects), recording=[1, 2], path=str(folder), on_missing="warn")
    except (OSError, RuntimeError, ValueError) as error:
        cure = "PhysioNet cannot be reached from here; copy the files into DIR and leave --fetch out"
        raise InputError("--fetch", f"{type(error).__name__}: {error}", cure) from error


def _quietly(nights: Iterator[SourceNight]) -> Iterator[SourceNight]:
    """The same nights; their remarks are printed and recorded by the command, and are no warnings too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        yield from nights


def _fold(text: str) -> tuple[int, int]:
    first, slash, count = text.partition("/")
    if not slash or not first.isdigit() or not count.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no fold; write 1/20")
    return int(first), int(count)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train prepare", description=__doc__)
    parser.add_argument("layout", choices=sorted(LAYOUTS))
    parser.add_argument("folder", type=Path, metavar="DIR", help="the dataset")
    parser.add_argument("out", type=Path, metavar="OUT", help="training folder to write")
    parser.add_argument("--channel", help="EEG channel; default: Fpz-Cz for sleep-edf, C3-A2 for isruc")
    parser.add_argument("--wake-minutes", type=float, default=30.0, help="wake kept around sleep")
    parser.add_argument("--validation-share", type=float, default=0.1, help="share of the subjects")
    parser.add_argument("--test-share", type=float, default=0.1, help="share of the subjects")
    parser.add_argument("--fold", type=_fold, help="I/K: test on the I-th of K parts of the subjects")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--fetch", action="store_true", help="download Sleep-EDF into DIR first (MNE)")
    parser.add_argument("--subjects", type=int, nargs="+", default=list(range(20)), help="to fetch")
    args = parser.parse_args(argv)
    if args.fetch:
        if args.layout != "sleep-edf":
            raise InputError("--fetch", args.layout, "only sleep-edf can be fetched")
        fetch_sleep_edf(args.folder, args.subjects)
    if any(args.out.glob("night-*.npz")):
        raise InputError("OUT", str(args.out), "it holds nights already; give an empty folder")
    claim_folder(args.out, "prepare", inputs=[args.folder])
    subjects = {}
    alignments, remarks = {}, {}
    channel = args.channel or DEFAULT_CHANNELS[args.layout]
    for number, night in enumerate(_quietly(LAYOUTS[args.layout](args.folder, channel))):
        path = write_night(night, args.out, number, args.wake_minutes)
        measure_night(path)
        subjects[path.name] = night.subject
        print(f"{path.name}: {night.name}, subject {night.subject}, {night.channel}", flush=True)
        alignments[path.name] = night.alignment.to_dict()
        unknown = () if night.alignment.remark is None else (night.alignment.remark,)
        remarks[path.name] = [remark.to_dict() for remark in (*night.remarks, *unknown)]
        for remark in (*night.remarks, *unknown):
            print(f"  {remark.text}", flush=True)
    sides = split_subjects(
        subjects, validation=args.validation_share, test=args.test_share, seed=args.seed, fold=args.fold
    )
    about = {"alignment": alignments, "remarks": {name: texts for name, texts in remarks.items() if texts}}
    (args.out / "split.json").write_text(json.dumps(sides | about, indent=1) + "\n", encoding="utf-8")
    unknown = sum(one["basis"] == Basis.UNKNOWN for one in alignments.values())
    if unknown:
        print(f"{unknown} nights: nothing says that recording and scoring begin together; it was taken so")
    print(f"{len(subjects)} nights of {len(set(subjects.values()))} subjects; split.json says who is tested")
    return 0
