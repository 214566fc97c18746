"""Plans that this device built, kept where its user alone can write.

A plan is native code. One from here is opened because this user built it: the folder belongs to the user and
nobody else may write there, and every plan has the size and SHA-256 that its record says. A record names what
its plan was built from; it appears after the plan, in one step, so that a crash leaves the older plan or the
newer one. What no record names is never opened.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import BundleError, IntegrityError
from ..files.strict_json import json_text, load_object
from .plan_key import PlanKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["STORE_VARIABLE", "PlanStore", "StoredPlan"]

STORE_VARIABLE: Final = "EEGVLM_RT_ENGINES"

_FORMAT: Final = {"format": "eegvlm-rt engine", "version": 1}
_MAX_RECORD_BYTES: Final = 1 << 16
_CHUNK: Final = 1 << 22
_AGAIN: Final = "build it again: eegvlm-rt bundle build-engines"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A record: what the plan `file` was built from, its size and SHA-256, and the seconds it took."""

    key: PlanKey
    file: str
    bytes: int
    sha256: str
    seconds: float


class PlanStore:
    """A folder of plans. Made on first use; `PlanStore()` is `$EEGVLM_RT_ENGINES`, or `eegvlm-rt/engines`
    in the user's cache folder.

    Raises:
        BundleError: a folder that is a link, belongs to somebody else, or that others may write to.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = Path(folder) if folder is not None else _default()
        if os.path.lexists(self.folder):
            self._check()

    def find(self, key: PlanKey) -> StoredPlan | None:
        """The record of a plan built from just this; None where there is none."""
        return self._record(self.folder / f"{key.name}.json")

    def usable(self, key: PlanKey) -> StoredPlan | None:
        """The newest plan that does what `key` asks for, however it was built."""
        records = (record for record in self._of(key.place) if record.key.serves(key))
        return next(records, None)

    def older(self, key: PlanKey) -> list[StoredPlan]:
        """Records of other plans of the same component and precision, the newest first."""
        return [record for record in self._of(key.place) if record.key != key]

    def plans(self) -> list[StoredPlan]:
        """Every record, by name."""
        records = (self._record(path) for path in sorted(self.folder.glob("*.json")))
        return [record for record in records if record is not None]

    def read(self, record: StoredPlan) -> bytes:
        """The bytes of a plan; these very bytes had the size and digest of the record.

        Raises:
            IntegrityError: missing, a link, or other bytes than were published.
        """
        self._check()
        path = self.folder / record.file
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise IntegrityError(record.file, "missing or a link", _AGAIN) from error
        with os.fdopen(descriptor, "rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            if size != record.bytes:
                raise IntegrityError(record.file, f"{size} bytes", f"{record.bytes} were written; {_AGAIN}")
            content = handle.read(record.bytes + 1)
        digest = hashlib.sha256(content).hexdigest()
        if digest != record.sha256:
            raise IntegrityError(record.file, f"sha256 {digest}", f"{record.sha256} was written; {_AGAIN}")
        return content

    def publish(self, key: PlanKey, plan: bytes | memoryview, seconds: float) -> StoredPlan:
        """Write a plan and then its record, each in one step and durable; plans that it supersedes go.

        The caller holds `lock(key)`.
        """
        self._make()
        digest = hashlib.sha256(plan).hexdigest()
        file = f"{key.name}.{digest[:16]}.plan"
        record = StoredPlan(key, file, len(plan), digest, round(seconds, 3))
        _put(self.folder / record.file, plan)
        fields = {"key": key.to_dict(), "file": record.file, "bytes": record.bytes, "sha256": digest}
        text = json_text(_FORMAT | fields | {"seconds": record.seconds}, "engine record")
        _put(self.folder / f"{key.name}.json", text.encode())
        for leftover in self.folder.glob(f"{key.name}.*.plan"):
            if leftover.name != record.file:
                leftover.unlink(missing_ok=True)
        for older in self.older(key):
            if key.supersedes(older.key):
                (self.folder / f"{older.key.name}.json").unlink(missing_ok=True)
                (self.folder / older.file).unlink(missing_ok=True)
        return record

    @contextmanager
    def lock(self, key: PlanKey, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the lock of a key, so that one process builds it; `waiting` is called where another does."""
        self._make()
        with (self.folder / f"{key.name}.lock").open("wb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            for leftover in self.folder.glob(f".{key.name}.*"):
                shutil.rmtree(
                    leftover
                ) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
            yield

    @contextmanager
    def workspace(self, key: PlanKey) -> Iterator[Path]:
        """A folder for the files of a build, removed after it; what a killed one left goes with the next."""
        with tempfile.TemporaryDirectory(prefix=f".{key.name}.", dir=self.folder) as place:
            yield Path(place)

    def timing_cache(self, builder: str, architecture: str) -> bytes:
        """What was kept of the timings of earlier builds by this package for such a GPU; empty for none."""
        path = self.folder / _timing_name(builder, architecture)
        return path.read_bytes() if path.is_file() and not path.is_symlink() else b""

    def keep_timing_cache(self, builder: str, architecture: str, content: bytes) -> None:
        """Keep timings for later builds, in one step. The last build to end is the one that is kept."""
        self._make()
        if content:
            _put(self.folder / _timing_name(builder, architecture), content)

    def _of(self, place: str) -> list[StoredPlan]:
        """Records of a component and precision, the newest first."""
        records = (self._record(path) for path in sorted(self.folder.glob(f"{place}.sm*.json"), key=_age))
        return [record for record in records if record is not None]

    def _record(self, path: Path) -> StoredPlan | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        self._check()
        fields = load_object(content, path.name, _MAX_RECORD_BYTES)
        values: dict[str, Any] = {name: fields.get(name) for name in _FORMAT}
        if values != _FORMAT:
            return None
        try:
            record = StoredPlan(
                PlanKey.from_dict(fields["key"]),
                str(fields["file"]),
                int(fields["bytes"]),
                str(fields["sha256"]),
                float(fields["seconds"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(path.name, str(error), f"remove it and {_AGAIN}") from error
        own = path.name == f"{record.key.name}.json"
        if not own or Path(record.file).name != record.file or not record.file.startswith(record.key.name):
            raise BundleError(path.name, record.file, f"a record of another plan: remove it and {_AGAIN}")
        return record

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check()

    def _check(self) -> None:
        status = self.folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise BundleError("engine store", str(self.folder), "give a folder, not a link or a file")
        if status.st_uid != os.geteuid():
            raise BundleError(
                "engine store",
                str(self.folder),
                f"belongs to user {status.st_uid}; plans are native code: use a folder of your own",
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise BundleError(
                "engine store",
                str(self.folder),
                f"others may write there; plans are native code: chmod 700 {self.folder}",
            )


def _default() -> Path:
    variable = os.environ.get(STORE_VARIABLE)
    if variable:
        return Path(variable)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "eegvlm-rt" / "engines"


def _timing_name(builder: str, architecture: str) -> str:
    return f"{builder.replace(' ', '-')}.sm{architecture.replace('.', '')}.timing"


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0


def _put(path: Path, content: bytes | memoryview) -> None:
    """Write a file of the user's own beside its place, make it durable, then put it there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            view = memoryview(content)
            for start in range(0, len(view), _CHUNK):
                handle.write(view[start : start + _CHUNK])
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
