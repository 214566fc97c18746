"""The changelog: what waits under "Unreleased" becomes a version, and a version's section its notes."""

from __future__ import annotations

import re
from datetime import date

from .run import ReleaseError

__all__ = ["UNRELEASED", "cut_version", "notes_of", "sections_of"]

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## (.+?)\s*$", re.M)
_UNRELEASED_HEADING = re.compile(rf"^## {UNRELEASED}[ \t]*\n+", re.M)


def sections_of(text: str) -> dict[str, str]:
    """Heading -> what stands below it, of every part of second order: {"0.1.0 - 2026-11-23": ...}."""
    parts = _HEADING.split(text)[1:]
    return {heading: body.strip() for heading, body in zip(parts[::2], parts[1::2], strict=True)}


def _section(text: str, version: str) -> str | None:
    bodies = [body for heading, body in sections_of(text).items() if heading.split(" ")[0] == version]
    return bodies[0] if bodies else None


def cut_version(text: str, version: str, day: date) -> str:
    """The changelog with what is unreleased as a version of that day, below an empty part for the next one.

    A changelog that has the version is given back as it is.

    Raises:
        ReleaseError: nothing is there to be released; or the version is there, and something unreleased too.
    """
    news = sections_of(text).get(UNRELEASED, "")
    if _section(text, version) is not None:
        if news:
            raise ReleaseError(
                f"CHANGELOG.md: {version} is there, and {UNRELEASED} is not empty; raise the version"
            )
        return text
    if not news:
        raise ReleaseError(f"CHANGELOG.md: nothing under {UNRELEASED}; write what {version} brings")
    headings = f"## {UNRELEASED}\n\n## {version} - {day.isoformat()}\n\n"
    return _UNRELEASED_HEADING.sub(headings, text, count=1)


def notes_of(text: str, version: str) -> str:
    """The notes of a release in Markdown: the version's section, and how to verify what was downloaded.

    Raises:
        ReleaseError: the changelog has no such version.
    """
    section = _section(text, version)
    if section is None:
        raise ReleaseError(f"CHANGELOG.md: no section {version}")
    # Links lead from the root of the repository, where the changelog is; the notes stand elsewhere.
    section = re.sub(r"\[([^\]]+)\]\((?!https?:)([^)#]+)(#[^)]*)?\)", r"\1 (`\2`)", section)
    verify = (
        "### Verify\n\n"
        "    sha256sum --check --ignore-missing SHA256SUMS\n\n"
        "Bill of materials, provenance and how to build the same bytes: `docs/releasing.md`. "
        "Not a medical device."
    )
    return f"# eegvlm-rt {version}\n\n{section}\n\n{verify}\n"
