"""The files of a release, in one folder with their digests."""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .materials import audit, environment_with, write_bill
from .provenance import TOOLS, digest_of, statement, sums
from .run import ROOT, ReleaseError, output_of, run
from .source import commit_time
from .wheels.__main__ import build_all
from .wheels.targets import Target

__all__ = ["Parts", "build_parts", "is_whole"]

SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Parts:
    """What belongs to a release, and where."""

    version: str
    commit: str
    folder: Path
    targets: list[Target]

    @property
    def provenance(self) -> Path:
        return self.folder / f"eegvlm_rt-{self.version}.intoto.json"

    @property
    def bill(self) -> Path:
        return self.folder / f"eegvlm_rt-{self.version}.cdx.json"

    @property
    def bundle(self) -> Path:
        return self.folder / f"nano-{self.version}.tar"


def is_whole(parts: Parts) -> bool:
    """Whether the folder holds a release of this commit for these targets, with every digest right."""
    try:
        content = json.loads(parts.provenance.read_text(encoding="utf-8"))
        predicate = content["predicate"]["buildDefinition"]
        commit = predicate["resolvedDependencies"][0]["digest"]["gitCommit"]
        targets = predicate["externalParameters"]["targets"]
        lines = (parts.folder / SUMS).read_text(encoding="utf-8").splitlines()
        digests = {name: digest for digest, name in (line.split("  ") for line in lines)}
    except (OSError, ValueError, LookupError, TypeError):
        return False  # missing, or cut by a run that was ended
    if commit != parts.commit or targets != [target.tag for target in parts.targets]:
        return False
    if not {subject["name"] for subject in content["subject"]} <= set(digests):
        return False
    files = {parts.folder / name: digest for name, digest in digests.items()}
    return all(file.is_file() and digest_of(file) == digest for file, digest in files.items())


def build_parts(parts: Parts, notes: str, *, unaudited: bool) -> None:
    """Builds every file of a release anew.

    Raises:
        ReleaseError: a step failed; a known weakness; or no advisories, without `unaudited`.
    """
    if _here() not in parts.targets:
        raise ReleaseError(
            f"{_here().tag}: not among the targets; a release is tried on the machine that makes it"
        )
    begin = datetime.now(UTC)
    shutil.rmtree(parts.folder, ignore_errors=True)
    # What was compiled of the same source stays: a release whose audit failed is soon tried again.
    work = ROOT / "build" / "release"
    origins = build_all(parts.targets, parts.folder, work, commit=parts.commit)
    python = environment_with(_native(parts), work / "installed")
    print(run(python, ROOT / "release" / "wheels" / "smoke.py", folder=work).rstrip(), flush=True)
    run(python, "-m", "eegvlm_rt.cli", "bundle", "pack", "nano", parts.bundle, folder=work)
    tools = {name: version(name) for name in TOOLS}
    write_bill(python, parts.bill, commit_time(parts.commit), tools)
    _audit(parts, python, unaudited=unaudited)
    (parts.folder / "NOTES.md").write_text(notes, encoding="utf-8")
    subjects = sorted(
        file for file in parts.folder.iterdir() if file.suffix in (".whl", ".gz", ".tar", ".json")
    )
    provenance_statement = statement(
        subjects,
        version_number=parts.version,
        commit=parts.commit,
        repository=_address(),
        targets=[target.tag for target in parts.targets],
        materials={f"headers of {name}": uri for name, uri in origins.items() if name.endswith(".whl")},
        begin=begin,
    )
    parts.provenance.write_text(json.dumps(provenance_statement, indent=1) + "\n", encoding="utf-8")
    (parts.folder / SUMS).write_text(sums(sorted(parts.folder.iterdir())), encoding="utf-8")
    print(f"{parts.folder}: {len(list(parts.folder.iterdir()))} files")


def _native(parts: Parts) -> Path:
    """The wheel that this interpreter can install."""
    return next(parts.folder.glob(f"*-{_here().tag}.whl"))


def _here() -> Target:
    return Target(".".join(platform.python_version_tuple()[:2]), platform.machine())


def _audit(parts: Parts, python: Path, *, unaudited: bool) -> None:
    """Writes what the advisories say into the release."""
    answer = audit(python)
    if answer.weaknesses:
        raise ReleaseError("known weaknesses:\n" + "\n".join(answer.weaknesses))
    verdict = "no known weakness"
    if answer.gaps:
        verdict = f"not audited, no advisories could be reached: {', '.join(answer.gaps)}"
        if not unaudited:
            raise ReleaseError(f"{verdict}; try again, or --unaudited, which the release then says")
    (parts.folder / "AUDIT.txt").write_text(
        f"pip-audit, {datetime.now(UTC).date()}: {verdict}\n", encoding="utf-8"
    )
    print(f"audit: {verdict}")


def _address() -> str:
    try:
        address = output_of("git", "remote", "get-url", "origin")
    except ReleaseError:
        return ""
    # A folder of this machine is no address.
    return address if "://" in address else ""
