"""The C and C++ compilers of `make wheels`: clang and libc++ of the package ziglang.

    compiler.py TARGET cc|c++|ar|ranlib ARGUMENTS

GCC writes -march=x86-64-v3 where Zig writes -mcpu=x86_64_v3; everything else is handed on as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["arguments_for_zig", "write_compilers"]

_ARCHIVERS = ("ar", "ranlib")
_ALWAYS = ["-g0"]
"""Debugging information would hold the folder that the wheel was built in."""


def arguments_for_zig(arguments: Sequence[str]) -> list[str]:
    """The arguments of a GCC command, with the instruction set as Zig names it."""
    march = "-march="
    return [
        "-mcpu=" + word.removeprefix(march).replace("-", "_") if word.startswith(march) else word
        for word in arguments
    ]


def write_compilers(folder: Path, target: str) -> dict[str, Path]:
    """Writes cc, c++, ar and ranlib for a target of Zig, such as aarch64-linux-gnu.2.28; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    programs = {}
    for name in ("cc", "c++", *_ARCHIVERS):
        program = folder / name
        program.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" {target} {name} "$@"\n',
            encoding="utf-8",
        )
        program.chmod(0o755)
        programs[name] = program
    return programs


def main() -> None:
    import ziglang

    target, name, *arguments = sys.argv[1:]
    if name not in _ARCHIVERS:
        arguments = ["-target", target, *_ALWAYS, *arguments_for_zig(arguments)]
    zig = str(Path(ziglang.__file__).parent / "zig")
    os.execv(zig, [zig, name, *arguments])


if __name__ == "__main__":
    main()
