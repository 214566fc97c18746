"""The version of this checkout, and whether every file that states one agrees."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from .run import ROOT, ReleaseError

__all__ = ["cite", "disagreements", "version_of"]


def version_of(root: Path = ROOT) -> str:
    """The version in `eegvlm_rt/__init__.py`, where the build reads it too.

    Raises:
        ReleaseError: none is there, or it is no version that can be released.
    """
    match = re.search(
        r'^__version__ = "(.*)"$', (root / "eegvlm_rt" / "__init__.py").read_text("utf-8"), re.M
    )
    version = match[1] if match else ""
    if not re.fullmatch(r"\d+\.\d+\.\d+(rc\d+)?", version):
        raise ReleaseError(f"eegvlm_rt/__init__.py: __version__ {version!r} is not like 0.2.0 or 0.2.0rc1")
    return version


def disagreements(root: Path = ROOT) -> list[str]:
    """What contradicts the version, one line each; empty where all is well."""
    version = version_of(root)
    contradictions = []
    citation = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text("utf-8"), re.M)
    if citation is None or citation[1] != version:
        contradictions.append(
            f"CITATION.cff: version {citation[1] if citation else 'missing'}, expected {version}"
        )
    if re.search(r'^version = "', (root / "pyproject.toml").read_text("utf-8"), re.M):
        contradictions.append(
            "pyproject.toml: has a version of its own; it is dynamic, from eegvlm_rt/__init__.py"
        )
    supported = (root / "docs" / "upgrading.md").read_text("utf-8").partition("\n")[0]
    minor = version.rpartition(".")[0]
    if f" to {minor}." not in supported:
        contradictions.append(f"docs/upgrading.md: its title does not lead to {minor}")
    return contradictions


def cite(citation: str, day: date) -> str:
    """CITATION.cff with the day of the release."""
    return re.sub(r"^date-released: .*$", f"date-released: {day.isoformat()}", citation, flags=re.M)
