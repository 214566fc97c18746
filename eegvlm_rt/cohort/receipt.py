"""The receipt of a night: written last, as a whole, and so the truth about what is done."""

from __future__ import annotations

import json
import os
import socket
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ..errors import EegVlmError, InputError
from ..files.outputs import write_file
from ..files.seal import SEAL
from ..files.strict_json import json_text
from ..night.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .tasks import NightTask

__all__ = [
    "FOLDER",
    "Receipt",
    "Status",
    "failed",
    "is_done",
    "read_receipt",
    "receipt_path",
    "receipts_in",
    "write_receipt",
]

FOLDER: Final = "receipts"
_LARGEST: Final = 1 << 22
_LONGEST_ERROR: Final = 2000
_FORMAT, _VERSION = "eegvlm-rt receipt", 1


class Status(StrEnum):
    """What became of a night. SKIPPED: a file in a folder that holds no signals, such as a hypnogram."""

    SCORED = "scored"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done for one night.

    Attributes:
        night: name of the night; `path` its recording, with size, time of change and SHA-256 as they were.
        key: see `ScoreOptions.key`; empty where the input could not be read.
        bundle: digest of the bundle; `options` those of `ScoreOptions.key_fields`.
        files: path below the results -> bytes.
        row: the night's row of the table, without what the receipt has itself.
        error: kind and message where the night failed or was passed over.
        remarks: what was left out of the recording or taken for granted.
    """

    night: str
    status: Status
    path: str
    size: int = -1
    mtime_ns: int = -1
    sha256: str = ""
    key: str = ""
    bundle: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    channel: str | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    row: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    error_kind: str = ""
    remarks: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    worker: str = ""
    finished: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        fields = {name: getattr(self, name) for name in Receipt.__slots__}
        fields |= {"status": str(self.status), "remarks": list(self.remarks)}
        fields["path"] = os.fsencode(self.path).decode("utf-8", errors="surrogateescape")
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Receipt:
        """What `to_dict` gave. Raises InputError for anything else."""
        try:
            values = {name: fields[name] for name in cls.__slots__}
            values |= {"status": Status(values["status"]), "remarks": tuple(map(str, values["remarks"]))}
            receipt = cls(**values)
            for name, kind in _KINDS:
                if not isinstance(getattr(receipt, name), kind):
                    raise TypeError(f"{name} is of another kind")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("receipt", repr(error), "give one that eegvlm-rt wrote") from error
        return receipt

    def is_about(self, task: NightTask, size: int, mtime_ns: int) -> bool:
        """Whether the input is unchanged, by its size and its time of change; its place does not matter."""
        return (self.size, self.mtime_ns, self.channel) == (size, mtime_ns, task.channel)


_KINDS: Final[tuple[tuple[str, type], ...]] = (
    *((name, str) for name in ("night", "path", "sha256", "key", "bundle", "worker", "finished")),
    *((name, str) for name in ("error", "error_kind")),
    *((name, dict) for name in ("options", "files", "row")),
    ("size", int),
    ("mtime_ns", int),
)


def failed(task: NightTask, error: BaseException | str) -> Receipt:
    """The receipt of a night that failed, with the error's kind and message."""
    size, mtime_ns = -1, -1
    with suppress(OSError):
        facts = task.path.stat()
        size, mtime_ns = facts.st_size, facts.st_mtime_ns
    is_usual = isinstance(error, EegVlmError | OSError | MemoryError | str)
    text = str(error) or type(error).__name__
    if not is_usual and isinstance(error, BaseException):
        # A fault of this software: where it is helps whoever repairs it.
        place = traceback.extract_tb(error.__traceback__)[-1:]
        text += "".join(f" ({os.path.basename(f.filename)}, line {f.lineno})" for f in place)  # noqa: PTH119
    return Receipt(
        night=task.name,
        status=Status.FAILED,
        path=str(task.path),
        size=size,
        mtime_ns=mtime_ns,
        channel=task.channel,
        error=text[:_LONGEST_ERROR],
        error_kind="worker" if isinstance(error, str) else type(error).__name__,
        worker=f"{socket.gethostname()} {os.getpid()}",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def is_done(receipt: Receipt, task: NightTask, out: Path) -> bool:
    """Whether a receipt stands for a night that need not be done again: all its files are there. One that a
    person changed since is there, and stays.
    """
    if receipt.status is Status.FAILED or (receipt.status is Status.SKIPPED and not task.searched):
        return False
    return all((out / name).is_file() for name in receipt.files)


def receipt_path(out: Path, night: str) -> Path:
    """Where the receipt of a night lies."""
    return out / FOLDER / f"{night}.json"


def write_receipt(out: Path, receipt: Receipt) -> Path:
    """Write a receipt over the one before; raises RecordingError where it cannot be written."""
    path = make_folder(out / FOLDER) / f"{receipt.night}.json"
    fields = {"format": _FORMAT, "version": _VERSION, **receipt.to_dict(), "written": {"by": SEAL}}
    text = json_text(fields, "receipt").encode("utf-8", errors="surrogateescape")
    return write_file(path, text, overwrite=True)


def read_receipt(path: Path) -> Receipt | None:
    """The receipt in a file; None where there is none, or what is there is no whole receipt: the night
    is then done again.
    """
    try:
        with path.open("rb") as handle:
            raw = handle.read(_LARGEST)
        fields = json.loads(raw.decode("utf-8", errors="surrogateescape"))
        if fields["format"] != _FORMAT or fields["version"] != _VERSION:
            return None
        return Receipt.from_dict(fields)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError):
        return None


def receipts_in(out: Path) -> Iterator[Receipt]:
    """Every whole receipt of a folder of results in order of the names, one at a time."""
    folder = out / FOLDER
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name.endswith(".json"))
    for name in names:
        receipt = read_receipt(folder / name)
        if receipt is not None and f"{receipt.night}.json" == name:
            yield receipt
