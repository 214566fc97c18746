"""What waits in the changelog becomes a version once, and the version's section its notes."""

from __future__ import annotations

from datetime import date

import pytest

from release.changelog import cut_version, notes_of, sections_of
from release.run import ROOT, ReleaseError

DAY = date(2026, 12, 1)
TEXT = """# Changelog

## Unreleased

- A [page](docs/page.md#part) and a [place](https://example.org).

## 0.1.0 - 2026-11-23

First.
"""


def test_what_is_unreleased_becomes_the_version_of_the_day() -> None:
    sections = sections_of(cut_version(TEXT, "0.2.0", DAY))
    assert list(sections) == ["Unreleased", "0.2.0 - 2026-12-01", "0.1.0 - 2026-11-23"]
    assert sections["Unreleased"] == ""
    assert sections["0.2.0 - 2026-12-01"].startswith("- A [page]")


@pytest.mark.parametrize("heading", ["## Unreleased\n", "## Unreleased  \n\n", "## Unreleased\n\n\n"])
def test_space_about_the_heading_does_not_matter(heading: str) -> None:
    text = TEXT.replace("## Unreleased\n\n", "### Unreleased\n\nNo such heading.\n\n" + heading)
    new = cut_version(text, "0.2.0", DAY)
    assert list(sections_of(new)) == ["Unreleased", "0.2.0 - 2026-12-01", "0.1.0 - 2026-11-23"]
    assert new.startswith("# Changelog\n\n### Unreleased\n\nNo such heading.\n\n## Unreleased\n\n## 0.2.0 - ")


def test_a_version_is_cut_once() -> None:
    once = cut_version(TEXT, "0.2.0", DAY)
    assert cut_version(once, "0.2.0", date(2027, 1, 1)) == once


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            TEXT.replace("- A [page](docs/page.md#part) and a [place](https://example.org).", ""),
            "nothing under",
        ),
        (TEXT.replace("0.1.0", "0.2.0"), "is not empty; raise the version"),
    ],
)
def test_nothing_to_release_and_a_version_used_twice_are_refused(text: str, why: str) -> None:
    with pytest.raises(ReleaseError, match=why):
        cut_version(text, "0.2.0", DAY)


def test_notes_are_the_section_and_how_to_verify() -> None:
    notes = notes_of(cut_version(TEXT, "0.2.0", DAY), "0.2.0")
    assert notes.startswith(
        "# eegvlm-rt 0.2.0\n\n- A page (`docs/page.md`) and a [place](https://example.org)."
    )
    assert "sha256sum --check" in notes
    assert "First." not in notes
    with pytest.raises(ReleaseError, match=r"no section 9\.9\.9"):
        notes_of(TEXT, "9.9.9")


def test_the_changelog_of_this_checkout_can_be_cut() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = "99.0.0"
    if sections_of(text)["Unreleased"]:
        assert notes_of(cut_version(text, version, DAY), version)
