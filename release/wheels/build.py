"""Builds one wheel: CMake with clang and libc++ for the target, packed by the project's own build backend."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from ..run import ReleaseError, run
from .archive import retag
from .compiler import write_compilers
from .headers import Headers
from .targets import Target

__all__ = ["build_wheel", "check_platform"]

_TOOLCHAIN = """\
# Nothing of this machine: its own Python would be found before that of the target.
set(CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH FALSE)
set(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH FALSE)
set(CMAKE_MAKE_PROGRAM "{ninja}")
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR {architecture})
set(CMAKE_C_COMPILER "{cc}")
set(CMAKE_CXX_COMPILER "{cxx}")
set(CMAKE_AR "{ar}")
set(CMAKE_RANLIB "{ranlib}")
set(CMAKE_CXX_FLAGS_INIT "{flags}")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-s")
set(CMAKE_STRIP "")
set(PYBIND11_USE_CROSSCOMPILING TRUE)
set(Python_INCLUDE_DIR "{include}")
set(PYTHON_IS_DEBUG FALSE)
set(PYTHON_MODULE_EXTENSION {suffix})
set(PYTHON_MODULE_DEBUG_POSTFIX "")
"""


def build_wheel(source: Path, target: Target, headers: Headers, work: Path, out: Path, epoch: int) -> Path:
    """The wheel of a target, in the folder `out`; work: a folder for what is between."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    toolchain = work / "toolchain.cmake"
    toolchain.write_text(_toolchain(source, target, headers, work), encoding="utf-8")
    settings = {
        "build-dir": str(work / "cmake"),
        "cmake.python-hints": "false",
        "cmake.args": f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
    }
    options = [f"-C{name}={value}" for name, value in settings.items()]
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Objects that do not depend on Python are compiled once a processor.
    store = str(work.parent / "objects")
    environment = {"SOURCE_DATE_EPOCH": str(epoch), "PATH": tools, "ZIG_LOCAL_CACHE_DIR": store}
    command: tuple[str | Path, ...] = (
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        work,
        *options,
        source,
    )
    run(*command, environment=environment, log=work / "build.log")
    (wheel,) = work.glob("*.whl")
    return retag(wheel, target.tag, out, epoch)


def _toolchain(source: Path, target: Target, headers: Headers, work: Path) -> str:
    compilers = write_compilers(work / "compilers", target.compiler_target)
    flags = [f"-ffile-prefix-map={source}/=", *(f"-isystem {folder}" for folder in headers.folders[1:])]
    return _TOOLCHAIN.format(
        architecture=target.architecture,
        ninja=Path(sys.executable).with_name("ninja"),
        cc=compilers["cc"],
        cxx=compilers["c++"],
        ar=compilers["ar"],
        ranlib=compilers["ranlib"],
        flags=" ".join(flags),
        include=headers.folders[0],
        suffix=target.module_suffix,
    )


def check_platform(wheel: Path, target: Target) -> None:
    """Lets auditwheel judge the wheel: it may ask for nothing that the tag does not promise.

    Raises:
        ReleaseError: it asks for a newer C library, or for a library that is not part of the platform.
    """
    verdict = run(sys.executable, "-m", "auditwheel", "show", wheel)
    match = re.search(r'platform\s+tag:\s+"manylinux_2_(\d+)_(\w+)"', verdict)
    newest = int(target.platform.split("_")[2])
    if match is None or int(match[1]) > newest or match[2] != target.architecture:
        raise ReleaseError(f"{wheel.name}: auditwheel does not find {target.platform!r} right\n{verdict}")
