"""An audit that asked nobody is not a clean one."""

from __future__ import annotations

import json

import pytest

from release.materials import COMPILED_IN, Audit, read_audit
from release.run import ROOT, ReleaseError


def test_weaknesses_and_packages_that_were_not_looked_up_are_told() -> None:
    packages = [
        {"name": "numpy", "version": "2.0", "vulns": []},
        {"name": "rich", "version": "1.0", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]},
        {"name": "scipy", "skip_reason": "not found"},
        {"name": "eegvlm-rt", "skip_reason": "not found"},
    ]
    answer = read_audit(json.dumps({"dependencies": packages, "fixes": []}))
    assert answer == Audit(("rich 1.0: PYSEC-1", "rich 1.0: PYSEC-2"), ("scipy",))


@pytest.mark.parametrize("text", ["", "no network", "[]", "{}"])
def test_an_answer_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ReleaseError, match="pip-audit: no answer"):
        read_audit(text)


def test_every_licence_of_what_is_compiled_in_is_shipped() -> None:
    page = (ROOT / "licences" / "README.md").read_text(encoding="utf-8")
    for name, _, licence in COMPILED_IN:
        assert name.split(",")[0].split(" of ")[0] in page
        assert licence in page
    assert {file.name for file in (ROOT / "licences").glob("*.txt")} == {
        "llvm.txt",
        "pybind11.txt",
        "zig.txt",
    }
