"""What every measurement says about itself: versions, machine, model; and how it sums up."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eegvlm_rt.bundle import Bundle

__all__ = ["PERCENTILES", "bundle_facts", "command_line", "environment", "fresh", "percentiles", "write_json"]

PERCENTILES: Final = (50, 95, 99)
PACKAGES: Final = ("eegvlm-rt", "numpy", "scipy", "onnxruntime", "tokenizers")


def environment(threads: int | None = None) -> dict[str, Any]:
    """Versions, processor, operating system and load of the machine at hand."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "os": platform.platform(),
        "cpu": _cpu(),
        "cpus_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "threads": threads,
    }


def bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """What tells one model from another: id, digest, and size and precision of each component."""
    return {
        "model_id": bundle.manifest.model_id,
        "digest": bundle.digest,
        "components": {
            name: {"file": part.file.file, "precision": part.precision, "bytes": part.file.bytes}
            for name, part in bundle.manifest.components.items()
        },
    }


def command_line(benchmark: str, arguments: Sequence[str] | None) -> str:
    """The command that a benchmark's `main` was started with; None stands for the process's own arguments."""
    words = sys.argv[1:] if arguments is None else arguments
    return shlex.join(["python", "-m", f"benchmarks.{benchmark}", *words])


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """50th, 95th and 99th percentile (linear interpolation) and the number of values they come from."""
    values_at = np.quantile(np.asarray(values, dtype=np.float64), np.asarray(PERCENTILES) / 100)
    return {**{f"p{p}": float(x) for p, x in zip(PERCENTILES, values_at, strict=True)}, "n": len(values)}


def fresh(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, progress: bool = False
) -> dict[str, Any]:
    """Run `python -m module arguments` in a new process and return the JSON object it prints last.

    `environment` is added to this process's. With `progress`, its standard error is shown as it comes.

    Raises:
        RuntimeError: the process failed; the message is what it wrote to standard error.
    """
    root = Path(__file__).resolve().parents[1]
    places = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=None if progress else subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, **(environment or {}), "PYTHONPATH": places},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module}: {(done.stderr or 'see above').strip()}")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def write_json(path: Path, results: dict[str, Any]) -> None:
    """Write results as indented JSON with a line feed at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model") and value.strip():
                return f"{value.strip()} ({platform.machine()})"
    return platform.processor() or platform.machine()
