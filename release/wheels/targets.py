"""What wheels are made for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ARCHITECTURES", "GLIBC", "PYTHONS", "Target"]

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Name on Linux -> name in Debian."""

GLIBC = "2.28"
"""The C library that a wheel needs at least; NumPy, SciPy and ONNX Runtime need no older one either."""


@dataclass(frozen=True)
class Target:
    """One wheel: a version of Python ("3.12") on a processor ("aarch64")."""

    python: str
    architecture: str

    @property
    def interpreter(self) -> str:
        """As in the name of a wheel: cp312."""
        return "cp" + self.python.replace(".", "")

    @property
    def platform(self) -> str:
        """As in the name of a wheel: manylinux_2_28_aarch64."""
        return f"manylinux_{GLIBC.replace('.', '_')}_{self.architecture}"

    @property
    def tag(self) -> str:
        """The whole tag: cp312-cp312-manylinux_2_28_aarch64."""
        return f"{self.interpreter}-{self.interpreter}-{self.platform}"

    @property
    def module_suffix(self) -> str:
        """The end of a compiled module's name."""
        return f".cpython-{self.interpreter.removeprefix('cp')}-{self.architecture}-linux-gnu.so"

    @property
    def compiler_target(self) -> str:
        """As Zig names it."""
        return f"{self.architecture}-linux-gnu.{GLIBC}"
