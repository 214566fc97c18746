"""One stager in a process of its own: how long import and loading take, how much memory staging needs."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from time import perf_counter


def main(bundle: str, mode: str, threads: str, samples: str) -> None:
    """Stage the array in the file `samples` and print what it took as one JSON object."""
    started = perf_counter()
    from eegvlm_rt import Stager

    imported = perf_counter()
    stager = Stager.load(bundle, mode=mode, threads=int(threads) or None)
    loaded = perf_counter()
    import numpy as np

    loaded_mib = peak_mib()
    rows = stager.predict_recording(np.load(samples), sfreq=100)
    next(rows)
    first = perf_counter()
    epochs = 1 + sum(1 for _ in rows)
    finished = perf_counter()
    facts = {
        "mode": mode,
        "import_s": imported - started,
        "load_s": loaded - imported,
        "first_prediction_s": first - loaded,
        "epochs": epochs,
        "recording_ms_per_epoch": (finished - first) / max(1, epochs - 1) * 1e3,
        "loaded_mib": loaded_mib,
        "peak_mib": peak_mib(),
    }
    print(json.dumps(facts))


def peak_mib() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    main(*sys.argv[1:])
