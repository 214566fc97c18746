"""What the board tells of itself: memory, temperature, power, disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

__all__ = ["board", "free_bytes", "memory_bytes"]


def memory_bytes(process: int | None = None) -> int | None:
    """Resident memory of a process in bytes, of this one by default; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{process or os.getpid()}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def free_bytes(folder: Path) -> int | None:
    """Space on the folder's file system that the service may use; None where it is not reachable."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def board() -> dict[str, Any]:
    """Highest temperature of any zone in degrees Celsius, and power in watts; None where no sensor tells."""
    zones = [_number(path) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    degrees = [value / 1000.0 for value in zones if value is not None]
    # hwmon gives power in microwatts; a Jetson's INA3221 gives volts (mV) and amperes (mA) of three rails.
    watts = [
        value / 1e6
        for path in Path("/sys/class/hwmon").glob("hwmon*/power1_input")
        if (value := _number(path)) is not None
    ]
    for folder in Path("/sys/class/hwmon").glob("hwmon*"):
        for rail in (1, 2, 3):
            volts, amperes = _number(folder / f"in{rail}_input"), _number(folder / f"curr{rail}_input")
            if volts is not None and amperes is not None:
                watts.append(volts * amperes / 1e6)
    return {"temperature_c": max(degrees, default=None), "power_w": sum(watts) if watts else None}


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None
