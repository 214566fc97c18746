"""What a wheel is for, in the names of Python, Zig and Debian."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from release.run import ROOT, ReleaseError
from release.wheels.check import readme_program, target_of
from release.wheels.compiler import arguments_for_zig
from release.wheels.headers import find_headers
from release.wheels.targets import PYTHONS, Target


def test_a_target_has_the_names_that_every_tool_asks_for() -> None:
    target = Target("3.12", "aarch64")
    assert target.tag == "cp312-cp312-manylinux_2_28_aarch64"
    assert target.module_suffix == ".cpython-312-aarch64-linux-gnu.so"
    assert target.compiler_target == "aarch64-linux-gnu.2.28"


def test_the_target_is_read_from_the_name_of_a_wheel() -> None:
    for target in (Target("3.11", "x86_64"), Target("3.14", "aarch64")):
        assert target_of(Path(f"eegvlm_rt-0.2.0-{target.tag}.whl")) == target
    with pytest.raises(ReleaseError, match=r"x\.whl: no wheel of CPython"):
        target_of(Path("x.whl"))


def test_cibuildwheel_and_the_package_name_the_same_versions_of_python() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    versions = re.search(r"^\[tool\.cibuildwheel\]\nbuild = \[(.*?)\]", project, re.M)
    assert versions is not None
    assert re.findall(r'"cp3(\d+)-\*"', versions[1]) == [version.removeprefix("3.") for version in PYTHONS]
    assert re.findall(r"Python :: (3\.\d+)", project) == list(PYTHONS)


def test_instruction_sets_are_named_as_zig_names_them() -> None:
    assert arguments_for_zig(["-O3", "-march=x86-64-v3", "-c", "a.cpp"]) == [
        "-O3",
        "-mcpu=x86_64_v3",
        "-c",
        "a.cpp",
    ]


def test_headers_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no Python\.h in"):
        find_headers(Target("3.12", "x86_64"), {"3.12": tmp_path}, tmp_path)


def test_the_program_of_the_readme_is_found() -> None:
    assert readme_program().startswith("import eegvlm_rt as rt")
