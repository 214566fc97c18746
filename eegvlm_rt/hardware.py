"""What this device is and has: files are read, `nvidia-smi` and `nvpmodel` asked, nothing is loaded."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["Facts", "probe"]

_ARCHITECTURES: Final = (("orin", "8.7"), ("xavier", "7.2"), ("thor", "11.0"))
"""Compute capability by board, https://developer.nvidia.com/cuda-gpus; `nvidia-smi` does not say it there."""

_PACKAGES: Final = ("onnxruntime", "onnxruntime-gpu", "tensorrt", "cuda-python", "cryptography")
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Facts:
    """One device. Sizes in bytes; None or an empty text is what could not be found out. `onnxruntime` is the
    package whose files `import onnxruntime` loads, which several packages of other names have.
    """

    board: str
    l4t: str | None
    gpu: str | None
    compute_capability: str | None
    driver: str | None
    memory_total: int
    memory_free: int
    gpu_memory_free: int | None
    disk_free: int
    power_mode: str | None
    packages: dict[str, str]
    onnxruntime: str = ""


def probe(folder: Path | None = None, *, root: Path = Path("/")) -> Facts:
    """Facts of this device; `folder` is where disk is asked for, `root` where the system's files are."""
    board = _board(root)
    gpu, capability, driver, gpu_memory = _gpu(board)
    memory = _memory(root)
    return Facts(
        board=board,
        l4t=_l4t(root),
        gpu=gpu,
        compute_capability=capability,
        driver=driver,
        memory_total=memory.get("MemTotal", 0),
        memory_free=memory.get("MemAvailable", 0),
        gpu_memory_free=gpu_memory,
        disk_free=shutil.disk_usage(folder or Path.cwd()).free,
        power_mode=_power_mode(),
        packages={name: number for name in _PACKAGES if (number := _version(name))},
        onnxruntime=_onnxruntime_in_use(),
    )


def _board(root: Path) -> str:
    model = _text(root / "proc/device-tree/model").replace("\0", "").strip()
    return model or f"{platform.machine()} {platform.system()}"


def _l4t(root: Path) -> str | None:
    """Version of NVIDIA's board support, "36.4.0": `# R36 (release), REVISION: 4.0, ...` in its file."""
    match = re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", _text(root / "etc/nv_tegra_release"))
    return f"{match[1]}.{match[2]}" if match else None


def _memory(root: Path) -> dict[str, int]:
    lines = re.findall(r"^(\w+):\s+(\d+) kB$", _text(root / "proc/meminfo"), re.MULTILINE)
    return {name: int(count) * 1024 for name, count in lines}


def _gpu(board: str) -> tuple[str | None, str | None, str | None, int | None]:
    """Name, compute capability, driver, free memory; on a Jetson the memory is the processor's own."""
    for part, capability in _ARCHITECTURES:
        if part in board.lower():
            return f"{board} (integrated)", capability, None, None
    fields = "name,compute_cap,driver_version,memory.free"
    answer = _ask("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits")
    parts = [part.strip() for part in (answer or "").partition("\n")[0].split(",")]
    if len(parts) != 4:
        return None, None, None, None
    return parts[0], parts[1], parts[2], int(parts[3]) << 20 if parts[3].isdigit() else None


def _power_mode() -> str | None:
    match = re.search(r"NV Power Mode:\s*(\S+)", _ask("nvpmodel", "-q") or "")
    return match[1] if match else None


def _ask(command: str, *arguments: str) -> str | None:
    path = shutil.which(command)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _onnxruntime_in_use() -> str:
    """The package that wrote the files of `onnxruntime` last."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return ""
    text = _text(Path(spec.origin).parent / "capi" / "build_and_package_info.py")
    name = re.search(r"package_name = ['\"]([\w-]+)['\"]", text)
    return name[1] if name else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
