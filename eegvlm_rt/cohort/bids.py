"""Nights of a BIDS dataset, and their results as BIDS derivatives.

The Brain Imaging Data Structure, 1.10: "Electroencephalography" for what is read, "Derivatives" and
"Task events" for what is written; the command line is that of BIDS-Apps (Gorgolewski et al. 2017, PLOS
Computational Biology 13:e1005209).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from ..errors import InputError
from ..files.outputs import check_outputs, write_file
from ..files.seal import SEAL, file_digests
from ..files.strict_json import json_text
from ..hypnogram.bids import write_bids_hypnogram
from ..hypnogram.formats import format_files, write_format
from ..notice import NOTICE
from ..signal.units import EPOCH_S
from ..stages import STAGES
from .tasks import NightTask, plain_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..night.night import Night

__all__ = ["DESCRIPTION", "describe_dataset", "find_bids", "is_dataset", "participants", "write_derivatives"]

DESCRIPTION: Final = "desc-eegvlm"
_RECORDINGS: Final = ("_eeg.edf", "_eeg.bdf")
_OTHERS: Final = ("_eeg.vhdr", "_eeg.set", "_eeg.fif")
_VERSION: Final = "1.10.0"
_IGNORED: Final = ("receipts/", "nights.*", "group.html", "eegvlm-rt.json")


def is_dataset(folder: Path) -> bool:
    """Whether a folder says that it is a BIDS dataset of raw data."""
    try:
        fields = json.loads((folder / "dataset_description.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("DatasetType", "raw") == "raw"


def participants(dataset: Path) -> list[str]:
    """Labels of the participants, without "sub-"."""
    return sorted(p.name.removeprefix("sub-") for p in dataset.glob("sub-*") if p.is_dir())


def find_bids(dataset: Path, labels: Sequence[str] = ()) -> tuple[list[NightTask], list[Path]]:
    """The EEG recordings (EDF, BDF) of a dataset, of the participants `labels` or of all, and the recordings
    in forms that are not read.

    Raises InputError for a folder that is no dataset, a participant it does not have, or no recording.
    """
    if not dataset.is_dir() or not is_dataset(dataset):
        cure = "give a BIDS dataset: a folder with dataset_description.json"
        raise InputError("bids_dir", str(dataset), cure)
    there = participants(dataset)
    chosen_labels = [label.removeprefix("sub-") for label in labels] or there
    unknown = sorted(set(chosen_labels) - set(there))
    if unknown:
        cure = "this dataset has " + (", ".join(there[:50]) or "no participant")
        raise InputError("participant-label", ", ".join(unknown), cure)
    tasks, others = [], []
    for label in dict.fromkeys(chosen_labels):
        for path in sorted((dataset / f"sub-{label}").glob("**/eeg/*")):
            name = path.name.lower()
            if name.endswith(_RECORDINGS):
                stem = path.name.rsplit("_", 1)[0]
                folder = path.parent.relative_to(dataset).as_posix()
                name = plain_name([stem])
                tasks.append(NightTask(name, path.resolve(), searched=True, folder=folder, stem=stem))
            elif name.endswith(_OTHERS):
                others.append(path)
    if not tasks:
        raise InputError("bids_dir", str(dataset), "it has no *_eeg.edf or *_eeg.bdf of these participants")
    return tasks, others


def describe_dataset(out: Path, dataset: Path, *, overwrite: bool = False) -> None:
    """Write `dataset_description.json` of the derivatives, and a `.bidsignore` of what is not BIDS.

    Raises what `files.write_file` raises.
    """
    source = {"URL": dataset.resolve().as_uri()}
    fields = {
        "Name": "Sleep stages by eegvlm-rt",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "eegvlm-rt",
                "Version": __version__,
                "Description": f"Stages given by a model from one EEG channel. {NOTICE}",
            }
        ],
        "SourceDatasets": [source],
        "written": {"by": SEAL},
    }
    target = out / "dataset_description.json"
    write_file(target, json_text(fields, target.name).encode(), overwrite=overwrite)
    ignored = out / ".bidsignore"
    if not ignored.exists():
        write_file(ignored, "".join(f"{line}\n" for line in _IGNORED).encode())


def write_derivatives(
    night: Night, folder: Path, stem: str, formats: Sequence[str] = (), *, overwrite: bool = False
) -> list[Path]:
    """Write `STEM_desc-eegvlm_events.tsv` with its sidecar, the proposed `..._hypnogram.tsv` where `formats`
    has bids-hypnogram, and other forms as `STEM_desc-eegvlm_NAME`; returns the files.
    """
    begin = folder / f"{stem}_{DESCRIPTION}"
    events = Path(f"{begin}_events.tsv")
    paths = [events, events.with_suffix(".json")]
    check_outputs(paths, overwrite=overwrite)
    columns = ("onset", "duration", "stage", *(f"p_{s.name}" for s in STAGES), "method", "annotator")
    rows = ["\t".join(columns)]
    by = _annotator(night)
    hypnogram = night.hypnogram
    for i, stage in enumerate(hypnogram.stages):
        row = None if hypnogram.probabilities is None else hypnogram.probabilities[i]
        shares = ["n/a"] * len(STAGES) if row is None else [f"{p:.6f}" for p in row]
        name = "n/a" if stage is None else stage.name
        rows.append("\t".join((f"{EPOCH_S * i:g}", f"{EPOCH_S:g}", name, *shares, "automatic", by)))
    write_file(events, ("\n".join(rows) + "\n").encode(), overwrite=overwrite)
    sidecar = _sidecar(night) | {"written": {"by": SEAL, "files": file_digests([events])}}
    write_file(paths[1], json_text(sidecar, paths[1].name).encode(), overwrite=overwrite)
    for name in formats:
        if name == "bids":
            continue
        if name == "bids-hypnogram":
            table = Path(f"{begin}_hypnogram.tsv")
            paths += [write_bids_hypnogram(hypnogram, table, overwrite=overwrite), table.with_suffix(".json")]
            continue
        place = folder / f"{stem}_{DESCRIPTION}_files"
        place.mkdir(exist_ok=True)
        write_format(hypnogram, place, name, overwrite=overwrite)
        paths += [place / file for file in format_files([name])]
    return paths


def _annotator(night: Night) -> str:
    info = night.info
    return f"eegvlm-rt {__version__}, model {info.model_id} ({info.model_digest[:10]}), mode {info.mode}"


def _sidecar(night: Night) -> dict[str, Any]:
    info = night.info
    return {
        "onset": {"Description": "Start of the epoch from the start of the recording", "Units": "s"},
        "duration": {"Description": "Length of the epoch", "Units": "s"},
        "stage": {
            "Description": "Sleep stage after the AASM manual, given by a model; n/a where unscored",
            "Levels": {stage.name: f"AASM stage {stage.name}" for stage in STAGES},
        },
        **{f"p_{s.name}": {"Description": f"Probability of {s.name}, 0 to 1"} for s in STAGES},
        "method": {"Description": "How the stage was found", "Levels": {"automatic": "by a model"}},
        "annotator": {"Description": "Software, model with the beginning of its digest, mode"},
        "Channel": info.channel,
        "ModelDigest": info.model_digest,
        "Remarks": [remark.text for remark in info.remarks],
        "Notice": NOTICE,
    }
