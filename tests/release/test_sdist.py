"""The source distribution holds what the build reads, and nothing else."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest
from scikit_build_core.build import build_sdist

from release.run import ROOT, output_of
from release.version import version_of

PARTS = {
    "CHANGELOG.md",
    "CITATION.cff",
    "CMakeLists.txt",
    "LICENSE",
    "PKG-INFO",
    "README.md",
    "csrc",
    "eegvlm_rt",
    "export",
    "licences",
    "models",
    "pyproject.toml",
    "training",
}


def test_it_holds_what_the_build_reads_as_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1780000000")
    file_class = gzip.GzipFile
    with monkeypatch.context() as quick:
        # Half of the time goes into squeezing a model that cannot be squeezed.
        quick.setattr(
            "gzip.GzipFile", lambda path, **options: file_class(path, **{**options, "compresslevel": 1})
        )
        name = build_sdist(str(tmp_path))
    assert name == f"eegvlm_rt-{version_of()}.tar.gz"
    with tarfile.open(tmp_path / name) as archive:
        files = {member.name.partition("/")[2]: member for member in archive}
    assert {path.partition("/")[0] for path in files} == PARTS
    assert {member.mtime for member in files.values()} == {1780000000}
    # A file that only lies about belongs to nobody's release.
    tracked = set(output_of("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines())
    assert set(files) - tracked == {"PKG-INFO"}
    assert {path for path in files if path.startswith("models/")} == {
        path for path in tracked if path.startswith("models/nano/")
    }
