"""A wheel is written in one form: its bytes depend on its content and its tag alone."""

from __future__ import annotations

import base64
import csv
import hashlib
import zipfile
from pathlib import Path

from release.wheels.archive import retag

TAG = "cp312-cp312-manylinux_2_28_aarch64"
FILES = {
    "pkg/b.py": "b = 1\n",
    "pkg/a.so": "binary",
    "x-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_x86_64\n",
    "x-1.0.dist-info/RECORD": "old",
}


def made(folder: Path, names: list[str], date: tuple[int, int, int, int, int, int]) -> Path:
    folder.mkdir()
    with zipfile.ZipFile(folder / "x-1.0-cp311-cp311-linux_x86_64.whl", "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name, date), FILES[name])
    return retag(folder / "x-1.0-cp311-cp311-linux_x86_64.whl", TAG, folder / "out", 1780000000)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    one = made(tmp_path / "one", list(FILES), (2026, 1, 1, 0, 0, 0))
    two = made(tmp_path / "two", list(reversed(FILES)), (1999, 9, 9, 9, 9, 8))
    assert one.name == two.name == f"x-1.0-{TAG}.whl"
    assert one.read_bytes() == two.read_bytes()


def test_tag_record_and_rights_are_right(tmp_path: Path) -> None:
    with zipfile.ZipFile(made(tmp_path / "one", list(FILES), (2026, 1, 1, 0, 0, 0))) as archive:
        assert archive.read("x-1.0.dist-info/WHEEL").decode().splitlines()[-1] == f"Tag: {TAG}"
        rows = {
            row[0]: row[1:]
            for row in csv.reader(archive.read("x-1.0.dist-info/RECORD").decode().splitlines())
        }
        assert set(rows) == set(archive.namelist()) == set(FILES)
        digest = base64.urlsafe_b64encode(hashlib.sha256(b"binary").digest()).rstrip(b"=").decode()
        assert rows["pkg/a.so"] == [f"sha256={digest}", "6"]
        assert rows["x-1.0.dist-info/RECORD"] == ["", ""]
        rights = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert (rights["pkg/a.so"], rights["pkg/b.py"]) == (0o100755, 0o100644)
