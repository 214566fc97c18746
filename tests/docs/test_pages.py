"""The Python programs of README and pages run, in order, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

import mktestdocs
import pytest

from tests.docs.commands import ROOT
from tests.rt.tiny_bundle import write_tiny_bundle

OWN_TEST = {
    "docs/cohort.md": "tests/rt/cohort/test_guide.py",
    "docs/report.md": "tests/rt/report/test_guide.py",
    "docs/service.md": "tests/rt/service/test_service_guide.py",
    "docs/training.md": "tests/train/test_pages.py",
}
"""Pages whose programs need commands between them, folders of the system, or torch."""

SHIPPED_MODEL = ("docs/evaluation.md",)
"""Pages that use what the tiny model of the tests does not have, a smoother."""

PRINTED = {
    "docs/python.md": ("Stage:", "n_samples: 2998; an epoch is 30 s: give 3000 samples at 100 Hz"),
    "docs/streaming.md": ("59 scored", "2\n"),
}

PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    if "```python" in page.read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder / "nano")
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if page not in OWN_TEST])
def test_every_program_of_a_page_runs(
    page: str,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if page not in SHIPPED_MODEL:
        monkeypatch.setenv("EEGVLM_RT_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    mktestdocs.check_md_file(ROOT / page, memory=True)
    printed = capsys.readouterr().out
    for text in PRINTED.get(page, ()):
        assert text in printed


def test_no_page_is_forgotten() -> None:
    assert len(PAGES) >= 13
    for page, test in OWN_TEST.items():
        assert page in PAGES
        assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_python_is_called_python(page: str) -> None:
    """A block of another name ("py", "pycon") would not run."""
    names = set(re.findall(r"^ *```([A-Za-z].*)$", (ROOT / page).read_text(encoding="utf-8"), re.M))
    assert names <= {"python", "toml", "sh", "text", "json", "console", "yaml", "ini", "cpp", "c", "csv"}
