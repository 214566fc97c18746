"""Other builds of the kernel draw the same bytes. `python tests/cpp/compare_builds.py` compares many more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from eegvlm_rt.rendering import build_config
from tests.cpp.compare_builds import CROSS, LEVELS, ROOT, aarch64_builds, digests, levels_here, native_builds


def test_aarch64_draws_the_bytes_of_this_machine(tmp_path: Path) -> None:
    builds = [b for b in aarch64_builds("quick") if b.name.endswith("-O2")]
    if not builds:
        pytest.skip(f"not here: {' and '.join(CROSS)}, of g++-aarch64-linux-gnu and qemu-user")
    found = digests(builds[0], tmp_path, "quick")
    assert found["expected"], found
    assert {grid: list(by_set) for grid, by_set in found["digests"].items()} == {
        "quick": ["plain"],
        "coarse": ["plain"],
    }


@pytest.mark.skipif(not levels_here(), reason="instruction sets are chosen at run time on x86-64 alone")
def test_code_for_wider_instructions_is_shared_with_nobody(tmp_path: Path) -> None:
    """The linker keeps one of all functions of a name: compiled for AVX-512, others could not run it."""
    made = tmp_path / "loops.o"
    options = ["-std=c++17", "-O0", "-march=x86-64-v4", "-DEEGVLM_LEVEL=x86_64_v4", "-Wno-psabi"]
    command = [
        "c++",
        *options,
        f"-I{ROOT / 'csrc'}",
        "-c",
        str(ROOT / "csrc" / "simd" / "loops.cpp"),
        "-o",
        str(made),
    ]
    subprocess.run(command, check=True, capture_output=True)
    symbols = subprocess.run(["nm", "-C", str(made)], check=True, capture_output=True, text=True).stdout
    kinds = [line.split(maxsplit=2)[-2:] for line in symbols.splitlines()]
    assert ["R", "eegvlm::x86_64_v4::kLoops"] in kinds or ["D", "eegvlm::x86_64_v4::kLoops"] in kinds
    assert [name for kind, name in kinds if kind in "WVu"] == []


@pytest.mark.skipif(not levels_here(), reason="instruction sets are chosen at run time on x86-64 alone")
def test_every_level_of_this_processor_can_be_chosen() -> None:
    names = [level.replace("-", "_") for level in levels_here()[1:]]
    assert str(build_config()["instruction_sets"]).split() == [*reversed(names), "plain"]


def test_native_builds_are_every_level_of_the_machine_at_every_optimization() -> None:
    levels = levels_here()
    assert levels == list(LEVELS)[: len(levels)]
    names = [build.name for build in native_builds("c++", "c++")]
    assert len(set(names)) == len(names) == 4 * max(len(levels), 1)
