"""Other builds of the kernel draw the same bytes. `python tests/cpp/compare_builds.py` compares many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cpp.compare_builds import CROSS, LEVELS, aarch64_builds, digests, levels_here, native_builds


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


def test_native_builds_are_every_level_of_the_machine_at_every_optimization() -> None:
    levels = levels_here()
    assert levels == list(LEVELS)[: len(levels)]
    names = [build.name for build in native_builds("c++", "c++")]
    assert len(set(names)) == len(names) == 4 * max(len(levels), 1)
