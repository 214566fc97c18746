"""An audit that asked nobody is not a clean one."""

from __future__ import annotations

import json

import pytest

from release.materials import COMPILED_IN, Audit, complete_bill, read_audit
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


def test_the_bill_is_about_the_package_and_lists_what_is_compiled_in() -> None:
    names = ("eegvlm-rt", "numpy", "pip", "setuptools")
    parts = [
        {"name": name, "bom-ref": name, "externalReferences": [{"url": "file:///tmp"}]} for name in names
    ]
    needs = [{"ref": "eegvlm-rt", "dependsOn": ["numpy", "setuptools"]}, {"ref": "pip"}, {"ref": "numpy"}]
    bill = complete_bill(
        {"components": parts, "dependencies": needs, "metadata": {"timestamp": "2026"}},
        {"pybind11": "3.1.0", "ziglang": "0.17.1"},
    )
    assert bill["metadata"] == {
        "timestamp": "2026",
        "component": {"name": "eegvlm-rt", "bom-ref": "eegvlm-rt"},
    }
    compiled_in = [f"compiled-in:{name}" for name, _, _ in COMPILED_IN]
    assert [part["bom-ref"] for part in bill["components"]] == ["numpy", *compiled_in]
    assert bill["components"][1]["purl"] == "pkg:pypi/pybind11@3.1.0"
    assert bill["dependencies"] == [
        {"ref": "eegvlm-rt", "dependsOn": sorted(["numpy", *compiled_in])},
        {"ref": "numpy", "dependsOn": []},
    ]
