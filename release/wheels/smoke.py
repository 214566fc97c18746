"""Whether an installed wheel works: `python smoke.py [--epochs N]`. Needs the wheel and nothing beside
it.

Its pictures are those of the renderer's version, byte for byte and with every instruction set of the
processor; its model is what its manifest says; that model stages a simulated quarter of an hour as it did
where it was made. No test of accuracy, and no medical device.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["PICTURES", "main", "pictures"]

PICTURES = {
    "model": "faaf8fbfd29c5936",
    "float": "f75d74c48ae0b328",
    "gaps": "5fbba3efbc7ec476",
    "channels": "df1e689187972e7b",
    "edge": "713fa9ae9bc764fd",
    "dense": "a7097d88906c8f5d",
}
"""SHA-256 of pictures by the renderer 3, the first 16 digits."""

_EXPECTED = {0: ("W", 0.9941), 1: ("W", 0.9754), 25: ("N2", 0.9269)}
"""Epoch of the simulated quarter -> stage and its probability by nano's stage head; change with the model."""

_TOLERANCE = 0.02
"""Processors and versions of ONNX Runtime differ in the last bits, which the memory of the night adds up."""


def wander(samples: int, seed: int) -> NDArray[np.int16]:
    """Microvolts from arithmetic in whole numbers: the same on every machine."""
    state, level, values = seed, 0, []
    for _ in range(samples):
        state = (state * 1664525 + 1013904223) % 2**32
        level += (state >> 26) - 32 - level // 8
        values.append(level)
    return np.array(values, np.int16)


def pictures() -> dict[str, NDArray[np.generic]]:
    """Pictures of several kinds, by name."""
    from eegvlm_rt import RenderSpec, render

    gaps = wander(900, 3).astype(np.float32)
    gaps[[100, 101, 450]] = np.nan
    gaps[200:290] = np.inf
    channels = np.stack([wander(900, 4), wander(900, 5)])
    return {
        "model": render(wander(3000, 1)),
        "float": render(wander(3000, 2), output="f32"),
        "gaps": render(gaps, RenderSpec(width=160, height=96, rows=3, line_width=1.5)),
        "channels": render(channels, RenderSpec(width=160, height=100, rows=2, channels=2)),
        "edge": render(
            wander(900, 6), RenderSpec(width=160, height=60, rows=2, uv_range=40.0, line_width=3.0)
        ),
        "dense": render(wander(30000, 8), RenderSpec(width=97, height=61, rows=2)),
    }


def check_pictures() -> str:
    from eegvlm_rt.rendering import build_config
    from eegvlm_rt.rendering.kernel import kernel

    instruction_sets = str(build_config()["instruction_sets"]).split()
    cpu = Path("/proc/cpuinfo")
    wide = platform.machine() == "x86_64" and cpu.is_file() and "avx2" in cpu.read_text().split()
    if wide and "x86_64_v3" not in instruction_sets:
        raise SystemExit(f"pictures: AVX2 is here and not used, only {instruction_sets}")
    for name in instruction_sets:
        kernel.use_instruction_set(name)
        for picture, values in pictures().items():
            digest = hashlib.sha256(values.tobytes()).hexdigest()[:16]
            if digest != PICTURES[picture]:
                raise SystemExit(
                    f"picture {picture!r}, {name}: digest {digest}, expected {PICTURES[picture]}"
                )
    kernel.use_instruction_set(instruction_sets[0])
    return f"{len(PICTURES)} pictures, the bytes expected with {', '.join(instruction_sets)}"


def check_package() -> str:
    import eegvlm_rt

    package = distribution("eegvlm-rt")
    if package.version != eegvlm_rt.__version__:
        raise SystemExit(f"metadata say {package.version}, the package {eegvlm_rt.__version__}")
    place = Path(str(package.locate_file("eegvlm_rt"))).resolve()
    if Path(eegvlm_rt.__file__).resolve().parent != place:
        raise SystemExit(f"{eegvlm_rt.__file__}: imported in place of the package in {place}")
    names = {str(file) for file in package.files or ()}
    for name in ("eegvlm_rt/models/nano/manifest.json", "eegvlm_rt/py.typed"):
        if name not in names:
            raise SystemExit(f"{name}: not installed")
    licences = [name for name in names if "/licenses/" in name]
    if len(licences) < 5:
        raise SystemExit(f"licences: only {sorted(licences)}")
    return f"eegvlm-rt {package.version}: {len(names)} files, {len(licences)} licences"


def check_bundle() -> str:
    from eegvlm_rt.bundle import Bundle, find_bundle

    bundle = Bundle.open(find_bundle("nano"))
    return f"bundle {bundle.manifest.model_id}: every digest right, manifest {bundle.digest[:16]}"


def check_inference(epochs: int, modes: Sequence[str] = ("head", "direct", "cot")) -> str:
    import onnxruntime

    from eegvlm_rt import Stager
    from eegvlm_rt.simulator import simulate_night
    from eegvlm_rt.stages import Stage

    x = simulate_night(7, hours=0.25).samples_uv[: epochs * 3000]
    stager = Stager.load("nano")
    for mode in modes:
        night = stager.predict_night(x, sfreq=100, unit="uV", mode=mode).run()
        if len(night.predictions) != epochs:
            raise SystemExit(f"{mode}: {len(night.predictions)} predictions, expected {epochs}")
        if mode == "head":
            for epoch, (stage, expected) in _EXPECTED.items():
                if epoch >= epochs:
                    continue
                value = night.predictions[epoch].probabilities[Stage[stage]]
                if abs(value - expected) > _TOLERANCE:
                    raise SystemExit(f"head, epoch {epoch}: {stage} at {value:.4f}, expected {expected:.4f}")
        if mode == "cot" and not any(p.rationale_text and p.checks for p in night.predictions):
            raise SystemExit("cot: no reason was given")
    if "torch" in sys.modules:
        raise SystemExit("torch was imported")
    return f"{epochs} epochs by {', '.join(modes)}, ONNX Runtime {onnxruntime.__version__}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=30,
        choices=range(31),
        metavar="N",
        help="epochs to stage, at most 30; 0: without ONNX Runtime",
    )
    options = parser.parse_args()
    checks: list[Callable[[], str]] = [check_package, check_pictures, check_bundle]
    if options.epochs:
        checks += [partial(check_inference, options.epochs)]
    print(f"Python {platform.python_version()} on {platform.machine()}")
    for check in checks:
        print(check(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
