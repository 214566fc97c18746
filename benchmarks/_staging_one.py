"""One stager stages one night in a process of its own: time of the first night and of the next ones, memory.

    python -m benchmarks._staging_one NAME NIGHT THREADS WARM BUNDLE BATCH BAND_POWER

The thread pools are bounded by the environment that the parent gives.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ._fresh_stager import peak_mib

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["LOADERS", "main"]

SFREQ_HZ: Final = 100.0
EPOCH_SAMPLES: Final = 3000


def _ours(mode: str) -> Callable[..., Any]:
    def load(threads: int, bundle: str, batch: int, band_power: str) -> Any:  # noqa: ARG001
        from eegvlm_rt import Stager

        stager = Stager.load(bundle, mode=mode, threads=threads)
        options: dict[str, Any] = {"batch": batch} if batch else {}

        def stage(samples: NDArray[np.float32]) -> int:
            return len(list(stager.predict_recording(samples, sfreq=SFREQ_HZ, **options)))

        return stage

    return load


def _yasa(threads: int, bundle: str, batch: int, band_power: str) -> Any:  # noqa: ARG001
    from eegvlm_train.teachers.yasa import yasa_probabilities

    return lambda samples: len(yasa_probabilities(samples, SFREQ_HZ))


def _gssc(threads: int, bundle: str, batch: int, band_power: str) -> Any:  # noqa: ARG001
    import torch
    from eegvlm_train.teachers.gssc import GsscTeacher

    torch.set_num_threads(threads)
    teacher = GsscTeacher.load("cpu")
    return lambda samples: len(teacher(samples, SFREQ_HZ)[1])


def _band_power(view: str) -> Callable[..., Any]:
    def load(threads: int, bundle: str, batch: int, band_power: str) -> Any:  # noqa: ARG001
        from eegvlm_train.teachers import band_power as stagers

        stager = stagers.BandPowerStager.load(Path(band_power))
        chosen = {one.name: one for one in (stagers.OFFLINE, stagers.CAUSAL)}[view]
        return lambda samples: len(stager(samples, SFREQ_HZ, chosen))

    return load


LOADERS: Final[dict[str, Callable[..., Any]]] = {
    "head": _ours("head"),
    "direct": _ours("direct"),
    "cot": _ours("cot"),
    "YASA": _yasa,
    "GSSC": _gssc,
    "band powers": _band_power("offline"),
    "band powers, causal": _band_power("causal"),
}
"""How each stager is loaded; the result stages samples (n,) at 100 Hz and returns how many epochs."""


def _timed(stage: Callable[[NDArray[np.float32]], int], samples: NDArray[np.float32]) -> dict[str, float]:
    wall, cpu = perf_counter(), process_time()
    epochs = stage(samples)
    if epochs != len(samples) // EPOCH_SAMPLES:
        raise RuntimeError(f"{epochs} epochs staged of {len(samples) // EPOCH_SAMPLES}")
    return {"wall_s": perf_counter() - wall, "cpu_s": process_time() - cpu}


def main(name: str, night: str, threads: str, warm: str, bundle: str, batch: str, band_power: str) -> None:
    """Print what it took as one JSON object; a stager that is not installed is one with `missing`."""
    samples = np.load(night)
    started = perf_counter()
    try:
        stage = LOADERS[name](int(threads), bundle, int(batch), band_power)
        loaded_s, loaded_mib = perf_counter() - started, peak_mib()
        first = _timed(stage, samples)
        rest = [_timed(stage, samples) for _ in range(int(warm))]
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))
        return
    facts = {
        "load_s": loaded_s,
        "first": first,
        "warm": rest,
        "loaded_mib": loaded_mib,
        "peak_mib": peak_mib(),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
