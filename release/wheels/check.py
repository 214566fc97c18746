"""`python -m release.wheels.check WHEEL ...`: installs wheels in fresh Debian systems and uses them there.

A system has Python and no compiler. On x86-64 the wheel is installed by pip with everything it needs, then
comes the smoke test, the demo of the README and its Python. On aarch64 the same by emulation, which is
slow: the smoke test alone, and without ONNX Runtime where --epochs 0 says so. Needs root's rights,
debootstrap and qemu-user-static.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from ..run import ROOT, ReleaseError, run
from .roots import in_root, make_root
from .targets import Target

__all__ = ["main", "readme_program", "target_of"]

_SMOKE = Path(__file__).with_name("smoke.py")
_OLDEST_GLIBC = 17
"""Minor version of the C library of manylinux2014: wheels for it run on every newer one."""


def target_of(wheel: Path) -> Target:
    """What a wheel is for, by its name.

    Raises:
        ReleaseError: another kind of wheel.
    """
    match = re.search(r"-cp3(\d+)-cp3\d+-manylinux_2_\d+_(x86_64|aarch64)\.whl$", wheel.name)
    if match is None:
        raise ReleaseError(f"{wheel.name}: no wheel of CPython for manylinux")
    return Target(f"3.{match[1]}", match[2])


def readme_program() -> str:
    """The Python of the README."""
    return "\n".join(
        re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    )


def download_needs(wheel: Path, target: Target, folder: Path, pins: list[str]) -> None:
    """Puts pip and the wheels of everything that a wheel needs into a folder, for any processor."""
    newest = int(target.platform.split("_")[2])
    platforms = [
        f"manylinux_2_{minor}_{target.architecture}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)
    ]
    platforms += [f"manylinux2014_{target.architecture}"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    command += [
        f"--python-version={target.python}",
        f"--abi={target.interpreter}",
        "--abi=abi3",
        "--abi=none",
    ]
    run(*command, *(f"--platform={name}" for name in platforms), str(wheel), "pip", *pins)


def check(wheel: Path, folder: Path, *, epochs: int, pins: list[str]) -> None:
    """Installs and uses one wheel; prints what it does."""
    target = target_of(wheel)
    root = make_root(target, folder)
    house, place = root / "opt" / "wheelhouse", root / "opt" / "check"
    for old in (house, place):
        shutil.rmtree(old, ignore_errors=True)
    house.mkdir(parents=True)
    download_needs(wheel, target, house, pins)
    (pip,) = house.glob("pip-*.whl")
    (root / "opt" / "smoke.py").write_bytes(_SMOKE.read_bytes())
    (root / "opt" / "readme.py").write_text(readme_program(), encoding="utf-8")

    def python(*words: str) -> str:
        return in_root(root, target, "/opt/check/bin/python", *words)

    in_root(root, target, f"/usr/bin/python{target.python}", "-m", "venv", "--without-pip", "/opt/check")
    emulated = target.architecture == "aarch64"
    options = ["--quiet", "--no-index", "--find-links=/opt/wheelhouse", *["--no-compile"] * emulated, *pins]
    python(f"/opt/wheelhouse/{pip.name}/pip", "install", *options, f"/opt/wheelhouse/{wheel.name}")
    print(f"{wheel.name}: installed in {root.name}", flush=True)
    print(python("/opt/smoke.py", *[f"--epochs={epochs}"] * emulated).rstrip(), flush=True)
    if not emulated:
        in_root(
            root, target, "/opt/check/bin/eegvlm-rt", "demo", "--hours", "1", "--out", "/opt/check/demo-night"
        )
        files = sorted(path.name for path in (place / "demo-night").iterdir())
        print(f"eegvlm-rt demo: {', '.join(files)}", flush=True)
        print(f"README: {python('/opt/readme.py').splitlines()[0]}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.wheels.check", description=__doc__)
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument(
        "--epochs",
        type=int,
        default=4,
        help="staged by emulation on aarch64; 0: without ONNX Runtime (default: 4)",
    )
    parser.add_argument("--with", dest="pins", action="append", default=[], metavar="PACKAGE==VERSION")
    parser.add_argument("--roots", type=Path, default=ROOT / "build" / "roots")
    options = parser.parse_args()
    failed = 0
    for wheel in options.wheels:
        try:
            check(wheel.resolve(), options.roots.resolve(), epochs=options.epochs, pins=options.pins)
        except ReleaseError as error:
            failed += 1
            print(f"{wheel.name}: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
