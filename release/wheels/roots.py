"""Fresh Debian systems in folders, without a compiler, to try wheels in: debootstrap, and QEMU for aarch64.

Needs root's rights and the Debian packages debootstrap and, for aarch64, qemu-user-static. Mounts end with
each command. An aarch64 system is unpacked and not configured: that would have to run thousands of
emulated programs.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from subprocess import PIPE, Popen

from ..run import ReleaseError, run
from .headers import DEBIAN_SUITES, mirror
from .targets import ARCHITECTURES, Target

__all__ = ["in_root", "make_root"]

_QEMU = {"aarch64": "qemu-aarch64-static"}
_COMPILERS = ("cc", "gcc", "g++", "clang", "make")
# Own mounts in an own namespace: /proc and the processors of /sys are asked for by ONNX Runtime.
_ENTER = """
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
for name in null zero urandom random; do
  : > "$root/dev/$name"
  mount --bind /dev/$name "$root/dev/$name"
done
exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8 chroot "$root" "$@"
"""


def make_root(target: Target, folder: Path) -> Path:
    """The system of a target below `folder`: made once, then used again.

    Raises:
        ReleaseError: Debian has no such Python, or the system holds a compiler.
    """
    suite = DEBIAN_SUITES.get(target.python)
    if suite is None:
        raise ReleaseError(f"Debian has no Python {target.python}")
    root = folder / f"{suite}-{ARCHITECTURES[target.architecture]}"
    mark = root / "made"
    if not mark.is_file():
        _debootstrap(target, suite, root)
        mark.touch()
    for name in _COMPILERS:
        if (root / "usr" / "bin" / name).exists():
            raise ReleaseError(f"{root}: holds {name}; the wheels are to be tried without a compiler")
    return root


def _debootstrap(target: Target, suite: str, root: Path) -> None:
    python = f"python{target.python}"
    foreign = target.architecture in _QEMU
    packages = python if foreign else f"{python},{python}-venv"
    command = ["debootstrap", "--variant=minbase", f"--arch={ARCHITECTURES[target.architecture]}"]
    command += ["--foreign"] * foreign
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    # Newer suites than this debootstrap are made as sid is.
    log = root.with_suffix(".log")
    run(*command, f"--include={packages}", suite, root, mirror(), "sid", log=log)
    if foreign:
        for package in sorted((root / "var" / "cache" / "apt" / "archives").glob("*.deb")):
            _unpack(package, root)
        qemu = _QEMU[target.architecture]
        program = shutil.which(qemu)
        if program is None:
            raise ReleaseError(f"{qemu}: not installed; it is in Debian's package qemu-user-static")
        shutil.copy2(program, root / "usr" / "bin" / qemu)


def _unpack(package: Path, root: Path) -> None:
    """Files of a package, where /lib and /bin are links into /usr."""
    with Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=PIPE) as files:
        assert files.stdout is not None
        with Popen(["tar", "-x", "--keep-directory-symlink", "-C", root], stdin=files.stdout) as tar:
            status = tar.wait()
    if status or files.returncode:
        raise ReleaseError(f"{package.name}: cannot be unpacked")


def in_root(root: Path, target: Target, program: str, *words: str, log: Path | None = None) -> str:
    """Runs a program of a system; what it printed. Programs that it starts itself are not emulated."""
    command = [program, *words]
    if target.architecture in _QEMU:
        command.insert(0, f"/usr/bin/{_QEMU[target.architecture]}")
    return run("unshare", "--mount", "--fork", "sh", "-ec", _ENTER, "sh", root, *command, log=log)
