"""The headers of a version of Python for a processor, without an interpreter for it.

They come from Debian's package libpython3.N-dev, whose signature apt-get checks, through lists of packages
that are kept apart from the machine's own: no rights of root, and nothing is installed. A version that
Debian does not carry is taken from an interpreter of this machine; its headers serve both processors,
which are of 64 bits and of the same byte order, and which differ in no size or alignment that Python asks
for.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..run import ReleaseError, output_of, run
from .targets import ARCHITECTURES, Target

__all__ = ["DEBIAN_SUITES", "Headers", "find_headers", "mirror"]

DEBIAN_SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "forky"}
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Headers:
    """Folders to look for headers in, the one with Python.h first, and their origin as a package URL."""

    folders: tuple[Path, ...]
    origin: str


def mirror() -> str:
    """Where Debian's packages are: $EEGVLM_DEBIAN_MIRROR, or Debian's own address."""
    return os.environ.get("EEGVLM_DEBIAN_MIRROR", "http://deb.debian.org/debian")


def find_headers(target: Target, folders: dict[str, Path], work: Path) -> Headers:
    """The headers of a target: those that were given, Debian's, or those of an interpreter.

    folders: version -> folder with Python.h.

    Raises:
        ReleaseError: none of them is there.
    """
    if target.python in folders:
        folder = folders[target.python]
        if not (folder / "Python.h").is_file():
            raise ReleaseError(f"--headers: no Python.h in {folder}")
        return Headers((folder,), f"pkg:generic/cpython@{target.python}")
    reason = "Debian has no such version"
    if target.python in DEBIAN_SUITES:
        if shutil.which("apt-get") and _KEYS.is_file():
            return _of_debian(target, work)
        reason = "no apt-get and debian-archive-keyring here"
    return _of_an_interpreter(target, reason)


def _of_an_interpreter(target: Target, reason: str) -> Headers:
    program = f"python{target.python}"
    ask = "import sys, sysconfig; print(sys.version.split()[0], sysconfig.get_path('include'))"
    cure = f"install {program}, or name the folder of its Python.h: --headers {target.python}=FOLDER"
    try:
        version, folder = output_of(program, "-c", ask).split(maxsplit=1)
    except ReleaseError:
        raise ReleaseError(f"headers of Python {target.python}: {reason}; {cure}") from None
    if not (Path(folder) / "Python.h").is_file():
        raise ReleaseError(f"headers of Python {target.python}: no Python.h in {folder}; {cure}")
    return Headers((Path(folder),), f"pkg:generic/cpython@{version}")


def _of_debian(target: Target, work: Path) -> Headers:
    suite = DEBIAN_SUITES[target.python]
    package = f"libpython{target.python}-dev:{ARCHITECTURES[target.architecture]}"
    folder = work / f"{target.python}-{target.architecture}"
    origin = folder / "origin"
    if not origin.is_file():
        options = _apt_options(work / f"apt-{suite}", suite)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run("apt-get", *options, "-qq", "update")
        run("apt-get", *options, "-qq", "download", package, folder=folder)
        (file,) = folder.glob("*.deb")
        run("dpkg-deb", "-x", file, folder / "root")
        name, version, architecture = file.stem.split("_")
        purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}&distro={suite}"
        origin.write_text(purl, encoding="utf-8")
    include = folder / "root" / "usr" / "include"
    return Headers((include / f"python{target.python}", include), origin.read_text(encoding="utf-8"))


def _apt_options(folder: Path, suite: str) -> list[str]:
    """Options by which apt-get uses a folder of its own, for both processors."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sources, status = folder / "sources.list", folder / "status"
    sources.write_text(f"deb [signed-by={_KEYS}] {mirror()} {suite} main\n", encoding="utf-8")
    status.touch()
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": status,
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "APT::Architecture": "amd64",
        "Acquire::Languages": "none",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    return [*options, *(f"-oAPT::Architectures::={name}" for name in ARCHITECTURES.values())]
