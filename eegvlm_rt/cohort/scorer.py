"""One worker's hand: the model loaded once, then night after night to files and a receipt."""

from __future__ import annotations

import os
import socket
import stat
import warnings
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..bundle.trust import TrustPolicy, read_keys
from ..errors import BundleError, ChannelError, EegVlmError, InputError, RecordingError, RecordingWarning
from ..files.outputs import check_outputs, write_file
from ..files.seal import SEAL, file_digests
from ..files.strict_json import json_text
from ..hypnogram.formats import format_files, write_format
from ..night.files import ALWAYS, PREDICTIONS, make_folder, night_dict, predictions_json
from ..prompt import Mode
from ..report.write import check_output
from ..sources.edf import channels, read_channel
from ..stager import Stager
from .bids import DESCRIPTION, write_derivatives
from .receipt import Receipt, Status, failed, is_done, read_receipt, receipt_path, write_receipt
from .row import row_of_night
from .tasks import NightTask, ScoreOptions, file_digest

if TYPE_CHECKING:
    from pathlib import Path

    from ..night.night import Night
    from ..sources.edf import Recording

__all__ = ["Scorer"]

NIGHTS: Final = "nights"
NIGHT: Final = "night.json"
REPORT: Final = "report.html"


class Scorer:
    """Scores nights into a folder of results. Whatever a night does, `score` gives its receipt."""

    def __init__(self, out: Path, options: ScoreOptions, bundle_digest: str) -> None:
        """Load the model.

        Raises BundleError where the bundle is not the one with this digest (another version of it on another
        machine), and what `Stager.load` raises.
        """
        self.out, self.options, self.bundle_digest = out, options, bundle_digest
        keys = options.trusted_keys
        trust = None if keys is None else TrustPolicy(read_keys(keys), require_signature=True)
        self.stager = Stager.load(
            options.bundle,
            mode=options.mode,
            threads=options.threads,
            trust=trust,
            backend=options.backend,
        )
        if self.stager.bundle.digest != bundle_digest:
            cure = f"here this bundle is another than the run's, {bundle_digest[:10]}: install the same one"
            raise BundleError("bundle", self.stager.bundle.digest[:10], cure)

    def score(self, task: NightTask) -> Receipt:
        """Score a night, write its files, then its receipt, and return that.

        A night of which all is there already only gets a new receipt. Nothing is raised but what ends the
        process.
        """
        began = perf_counter()
        try:
            with warnings.catch_warnings():
                # What a reader left out goes into the receipt.
                warnings.simplefilter("ignore", RecordingWarning)
                receipt = self._score(task, began)
        except Exception as error:
            receipt = failed(task, error)
        try:
            write_receipt(self.out, receipt)
        except EegVlmError as error:
            # Without a receipt the night is not done, whatever lies there.
            receipt = failed(task, error)
        return receipt

    def _score(self, task: NightTask, began: float) -> Receipt:
        facts = task.path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise RecordingError("file", task.path.name, "this is no regular file", path=str(task.path))
        sha256 = file_digest(task.path)
        key = self.options.key(task, sha256, self.bundle_digest)
        common: dict[str, Any] = {
            "night": task.name,
            "path": str(task.path),
            "size": facts.st_size,
            "mtime_ns": facts.st_mtime_ns,
            "sha256": sha256,
            "key": key,
            "bundle": self.bundle_digest,
            "options": self.options.key_fields(),
            "channel": task.channel,
            "worker": f"{socket.gethostname()} {os.getpid()}",
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        before = read_receipt(receipt_path(self.out, task.name))
        if before is not None and before.key == key and is_done(before, task, self.out):
            return replace(before, **common)
        if task.searched and not _has_signals(task.path):
            text = "it holds no signals: annotations only"
            return Receipt(**common, status=Status.SKIPPED, error=text, error_kind="no signals")
        recording = self._read(task)
        options = self.options
        night = self.stager.predict_night(recording, smooth=options.smooth, memory=options.memory).run()
        if not len(night):
            raise InputError("recording", f"{recording.duration_s:g} s", "it is shorter than half an epoch")
        paths = self._write(task, night)
        return Receipt(
            **common,
            status=Status.SCORED,
            files={str(path.relative_to(self.out)): path.stat().st_size for path in paths},
            row=row_of_night(night),
            remarks=tuple(remark.text for remark in recording.remarks),
            elapsed_s=round(perf_counter() - began, 3),
        )

    def _read(self, task: NightTask) -> Recording:
        """The channel of the task, or the first of the options' that the recording has."""
        channels = (task.channel,) if task.channel is not None else self.options.channels or (None,)
        for channel in channels[:-1]:
            with suppress(ChannelError):
                return read_channel(task.path, channel, unit=self.options.unit)
        return read_channel(task.path, channels[-1], unit=self.options.unit)

    def _write(self, task: NightTask, night: Night) -> list[Path]:
        """Write the files of a night; returns them."""
        options = self.options
        folder = make_folder(self.out / (task.folder or f"{NIGHTS}/{task.name}"))
        _remove_leftovers(folder)
        page = folder / (REPORT if task.stem is None else f"{task.stem}_{DESCRIPTION}_{REPORT}")
        if options.report:
            check_output(page, inputs=[task.path], overwrite=options.overwrite)
        if task.stem is None:
            paths = write_plain(night, folder, task.path, options)
        else:
            paths = write_derivatives(night, folder, task.stem, options.formats, overwrite=options.overwrite)
        if options.report:
            paths.append(night.report(page, overwrite=options.overwrite))
        return paths


def write_plain(night: Night, folder: Path, source: Path, options: ScoreOptions) -> list[Path]:
    """Write the files that `stage --out` writes, without the picture (a report has a better one), and with
    night.json, which says all but the epochs, where nothing asks for predictions.json.
    """
    forms = list(dict.fromkeys((*ALWAYS, *options.formats)))
    record = PREDICTIONS if options.predictions or options.mode != Mode.HEAD else NIGHT
    targets = [folder / name for name in (*format_files(forms), record)]
    overwrite = options.overwrite
    check_outputs(targets, inputs=[source], overwrite=overwrite)
    tables = [write_format(night.hypnogram, folder, name, overwrite=overwrite) for name in forms]
    digests = file_digests(tables)
    if record == PREDICTIONS:
        data = predictions_json(night, files=digests)
    else:
        fields = night_dict(night) | {"format": "eegvlm-rt night", "written": {"by": SEAL, "files": digests}}
        data = json_text(fields, NIGHT).encode("utf-8", errors="replace")
    write_file(folder / record, data, overwrite=overwrite)
    return targets


def _has_signals(path: Path) -> bool:
    """False for a file of annotations only; what cannot be read says so when it is read."""
    with suppress(EegVlmError):
        return bool(channels(path))
    return True


def _remove_leftovers(folder: Path) -> None:
    """Files that a process which was killed had begun to write; `files.write_file` names them so."""
    for path in folder.glob(".eegvlm-*"):
        with suppress(OSError):
            path.unlink()
