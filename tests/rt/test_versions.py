"""One version, said by every program in the same words."""

from __future__ import annotations

import re
from pathlib import Path

import eegvlm_rt
from eegvlm_rt.versions import version_text

ROOT = Path(__file__).parents[2]


def test_the_text_names_package_bundles_and_renderer() -> None:
    assert re.fullmatch(
        re.escape(f"eegvlm-rt {eegvlm_rt.__version__} ") + r"\(bundle schemas 1 to \d+, renderer \d+\)",
        version_text("eegvlm-rt"),
    )


def test_the_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.M).group(1) == eegvlm_rt.__version__  # type: ignore[union-attr]


def test_the_version_is_written_in_one_file() -> None:
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
