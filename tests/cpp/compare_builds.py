"""Draws grids of pictures with many builds of the kernel and compares their digests.

    python tests/cpp/compare_builds.py [--quick] [--only NAME] [--json FILE]

Native builds for every x86-64 level the processor has, at -O0 to -O3, by g++ and, where it is installed, by
clang++; for aarch64 where g++-aarch64-linux-gnu and qemu-user are installed (the names of the Debian
packages). Each loop of the kernel is then compiled for the level itself, not chosen at run time; how the
package is built, with all levels and a choice at run time, is one more build. Ends with status 1 if two
digests differ or one differs from the digest kept in digest.cpp. Only g++ and the standard library are
needed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STRICT = [
    "-std=c++17",
    "-ffp-contract=off",
    "-fno-fast-math",
    "-fno-trapping-math",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
]
OPTIMIZATIONS = ("-O0", "-O1", "-O2", "-O3")
# What GCC's -march=x86-64-vN may emit, by the names of Linux: System V ABI for AMD64, table 3.1.
LEVELS = {
    "x86-64": set[str](),
    "x86-64-v2": {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"},
    "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
CROSS = ("aarch64-linux-gnu-g++", "qemu-aarch64")


@dataclass(frozen=True)
class Build:
    """One way to compile the kernel, and how to run what comes out."""

    name: str
    compiler: tuple[str, ...]
    runner: tuple[str, ...] = ()
    grid: str = "whole"


def levels_here() -> list[str]:
    """The x86-64 levels of this processor, the lowest first; none on another architecture."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return []
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).partition(":")[2].split())
    found: list[str] = []
    for level, needed in LEVELS.items():
        if not needed <= flags:
            break
        found.append(level)
    return found


def native_builds(compiler: str, label: str) -> list[Build]:
    """Every level of this machine at every optimization."""
    marches = [("-march=" + level, level) for level in levels_here()] or [("", platform.machine())]
    return [
        Build(f"{label} {level} {o}", (compiler, *filter(None, [march]), o))
        for march, level in marches
        for o in OPTIMIZATIONS
    ]


def aarch64_builds(grid: str = "whole") -> list[Build]:
    """Cross builds, run by qemu; none where the compiler or qemu is missing.

    Code that was not optimized draws the quick grid in place of the whole one: emulated, it is slow.
    """
    compiler, qemu = (shutil.which(tool) for tool in CROSS)
    if compiler is None or qemu is None:
        return []
    return [
        Build(f"g++ aarch64 {o}", (compiler, "-static", o), (qemu,), "quick" if o in ("-O0", "-O1") else grid)
        for o in OPTIMIZATIONS
    ]


def packaged_build(folder: Path) -> Path:
    """The digest program as CMake builds it for the package."""
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = ["-DEEGVLM_BUILD_PYTHON=OFF", "-DEEGVLM_BUILD_TESTS=ON"]
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(folder), *generator, *options],
        ["cmake", "--build", str(folder), "--target", "eegvlm_digest"],
    ):
        run(command)
    return folder / "tests" / "cpp" / "eegvlm_digest"


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def compiled(build: Build, folder: Path) -> Path:
    folders = (ROOT / "csrc", ROOT / "csrc" / "simd")
    sources = [p for place in folders for p in sorted(place.glob("*.cpp")) if p.name != "bindings.cpp"]
    program = folder / build.name.replace(" ", "_")
    inputs = [str(p) for p in (*sources, ROOT / "tests" / "cpp" / "digest.cpp")]
    run([*build.compiler, *STRICT, f"-I{ROOT / 'csrc'}", *inputs, "-o", str(program), "-lpthread"])
    return program


def digests(build: Build, folder: Path, grid: str) -> dict[str, Any]:
    """What the build draws, by grid and instruction set, and whether it is what the repository expects.

    Beside `grid`, or the build's own where that is the quick one, it draws the coarse grid.
    """
    begin = time.perf_counter()
    packaged = not build.compiler
    program = packaged_build(folder / "packaged") if packaged else compiled(build, folder)
    found: dict[str, dict[str, str]] = {}
    expected = True
    for drawn in ("quick" if "quick" in (grid, build.grid) else grid, "coarse"):
        command = [*build.runner, str(program), drawn]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{build.name}: ended with {done.returncode}: {done.stderr}")
        found[drawn] = dict(line.split() for line in done.stdout.splitlines())
        expected = expected and done.returncode == 0
    return {
        "build": build.name,
        "digests": found,
        "expected": expected,
        "seconds": round(time.perf_counter() - begin, 1),
    }


def compare(builds: list[Build], grid: str, jobs: int) -> list[dict[str, Any]]:
    """All builds, `jobs` at a time, each told as soon as it is there."""

    def one(build: Build) -> dict[str, Any]:
        found = digests(build, folder, grid)
        told = "; ".join(
            f"{drawn} " + " ".join(f"{name} {digest}" for name, digest in by_set.items())
            for drawn, by_set in found["digests"].items()
        )
        verdict = "" if found["expected"] else "  DIFFERS"
        print(f"{build.name:28} {told}{verdict}", flush=True)
        return found

    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(jobs) as pool:
        folder = Path(name)
        return list(pool.map(one, builds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the quick grid in place of the whole one")
    parser.add_argument("--only", default="", help="builds with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="builds at a time")
    parser.add_argument("--json", type=Path, help="also write everything here")
    options = parser.parse_args()
    builds = [Build("as packaged", ()), *native_builds("g++", "g++")]
    clang = next((found for name in ("clang++", "clang++-19") if (found := shutil.which(name))), None)
    if clang is not None:
        builds += native_builds(clang, "clang++")
    crossed = aarch64_builds()
    if not crossed:
        print("aarch64: not built, install g++-aarch64-linux-gnu and qemu-user")
    chosen = [b for b in [*builds, *crossed] if options.only in b.name]
    if not chosen:
        parser.error(f"--only: no build has {options.only!r} in its name")
    found = compare(chosen, "quick" if options.quick else "whole", options.jobs)
    for grid in ("quick", "coarse", "whole"):
        by_build = [f["digests"][grid] for f in found if grid in f["digests"]]
        drawn = {digest for by_set in by_build for digest in by_set.values()}
        if drawn:
            count = len(by_build)
            print(f"{grid}: {count} builds, {len(drawn)} digest{'s' * (len(drawn) != 1)}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0 if all(f["expected"] for f in found) else 1


if __name__ == "__main__":
    sys.exit(main())
