"""Every file that states the version agrees, and a file that does not is named."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from release.run import ROOT, ReleaseError
from release.version import cite, disagreements, version_of

FILES = ("eegvlm_rt/__init__.py", "CITATION.cff", "pyproject.toml", "docs/upgrading.md")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_this_checkout_agrees_with_itself() -> None:
    assert disagreements() == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("CITATION.cff", "version: 0", "version: 9"),
        ("pyproject.toml", "[project]", '[project]\nversion = "0.1.0"'),
        ("docs/upgrading.md", " to 0.", " to 9."),
    ],
)
def test_a_file_of_another_version_is_named(checkout: Path, name: str, old: str, new: str) -> None:
    replace(checkout / name, old, new)
    (line,) = disagreements(checkout)
    assert line.startswith(name)


def test_an_empty_page_leads_nowhere(checkout: Path) -> None:
    (checkout / "docs" / "upgrading.md").write_text("", encoding="utf-8")
    assert disagreements(checkout) == [
        "docs/upgrading.md: its title does not lead to " + version_of().rpartition(".")[0]
    ]


def test_a_version_that_cannot_be_released_is_refused(checkout: Path) -> None:
    replace(checkout / FILES[0], f'"{version_of()}"', '"0.2.dev1"')
    with pytest.raises(ReleaseError, match=r"'0\.2\.dev1' is not like 0\.2\.0"):
        version_of(checkout)


def test_the_citation_takes_the_day_of_the_release() -> None:
    old = "version: 0.2.0\ndate-released: 2026-11-23\nauthors:\n"
    assert cite(old, date(2026, 12, 1)) == "version: 0.2.0\ndate-released: 2026-12-01\nauthors:\n"
