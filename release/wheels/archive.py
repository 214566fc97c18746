"""Writes a wheel anew under its tag, in one form: the same content gives the same bytes."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import time
import zipfile
from pathlib import Path

__all__ = ["retag"]

_EARLIEST = 315532800
"""A zip archive knows no time before 1980."""


def retag(wheel: Path, tag: str, out: Path, epoch: int) -> Path:
    """Writes a wheel to the folder `out` with another tag, the members in order of their names, each with the
    time `epoch` and rights that do not depend on the machine; its path.
    """
    name, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    information = f"{name}-{version}.dist-info"
    lines = re.sub(rb"^Tag: .*\n", b"", files[f"{information}/WHEEL"], flags=re.M).rstrip()
    files[f"{information}/WHEEL"] = lines + f"\nTag: {tag}\n".encode()
    record = f"{information}/RECORD"
    files[record] = _record(files, record)
    target = out / f"{name}-{version}-{tag}.whl"
    out.mkdir(parents=True, exist_ok=True)
    moment = time.gmtime(max(epoch, _EARLIEST))[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        # The wheel's own description comes last, as PEP 427 advises.
        for path in sorted(files, key=lambda path: (path.startswith(information), path)):
            member = zipfile.ZipInfo(path, moment)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, of which the rights below are
            member.external_attr = (0o100755 if path.endswith(".so") else 0o100644) << 16
            archive.writestr(member, files[path], compresslevel=9)
    return target


def _record(files: dict[str, bytes], record: str) -> bytes:
    """The list of members with digest and size, itself without."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for path in sorted(files):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[path]).digest()).rstrip(b"=").decode()
        rows.writerow([path, "", ""] if path == record else [path, f"sha256={digest}", len(files[path])])
    return text.getvalue().encode()
