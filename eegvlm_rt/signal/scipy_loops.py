"""SciPy's compiled loops, filters and Fourier transforms, without the packages around them.

Importing `scipy.signal` brings `scipy.stats`, `optimize` and `interpolate` with it: with `scipy.fft` some 60
MiB in every process, and four fifths of the time that importing this package took. A SciPy whose loops are
elsewhere, or called otherwise, is used as a whole.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

__all__ = ["filter_sections", "irfft", "resample", "rfft"]

_BACKWARD = 2
"""PocketFFT's number for a sum divided by the length."""


def filter_sections(sos: Float64, x: Float64, state: Float64) -> tuple[Float64, Float64]:
    """(n,) samples through sections (k, 6), and the state (k, 2) after them, as `scipy.signal.sosfilt`."""
    if _SECTIONS is None:
        from scipy.signal import sosfilt

        filtered, after = sosfilt(sos, x, zi=state)
        return filtered, after
    return _run_sections(_SECTIONS, sos, x, state)


def resample(taps: Float32, x: Float32, up: int, down: int) -> Float32:
    """(n,) samples with `up` - 1 zeros behind each, through a filter, every `down`-th of them, as
    `scipy.signal.upfirdn`.
    """
    if _PHASES is None:
        from scipy.signal import upfirdn

        resampled: Float32 = upfirdn(taps, x, up, down)
        return resampled
    return _run_phases(_PHASES, taps, x, up, down)


def rfft(x: NDArray[np.floating]) -> NDArray[np.complexfloating]:
    """(..., n // 2 + 1) spectrum over the last axis of (..., n) float32 or float64, as `scipy.fft.rfft`. That
    of NumPy is another in float32.
    """
    if _FOURIER is None:
        from scipy.fft import rfft as transform

        spectrum: NDArray[np.complexfloating] = transform(x, axis=-1)
        return spectrum
    return _forward(_FOURIER, x)


def irfft(spectrum: NDArray[np.complexfloating], n: int) -> NDArray[np.floating]:
    """(..., n) signal of its spectrum (..., n // 2 + 1), as `scipy.fft.irfft`."""
    if _FOURIER is None:
        from scipy.fft import irfft as transform

        x: NDArray[np.floating] = transform(spectrum, n=n, axis=-1)
        return x
    return _back(_FOURIER, spectrum, n)


def _run_sections(module: Any, sos: Float64, x: Float64, state: Float64) -> tuple[Float64, Float64]:
    samples, after = np.array(x, dtype=np.float64)[None], np.array(state, dtype=np.float64)[None]
    module._sosfilt(np.ascontiguousarray(sos), samples, after)
    return samples[0], after[0]


def _run_phases(module: Any, taps: Float32, x: Float32, up: int, down: int) -> Float32:
    # Phase by phase, each backwards: so the loop goes through taps and samples in one direction.
    padded = np.concatenate([taps, np.zeros(-len(taps) % up, dtype=np.float32)])
    phases = np.ascontiguousarray(padded.reshape(-1, up).T[:, ::-1]).ravel()
    out = np.zeros(module._output_len(len(taps), len(x), up, down), dtype=np.float32)
    module._apply(np.ascontiguousarray(x), phases, out, up, down, 0, module.mode_enum("constant"), 0)
    return out


def _forward(module: Any, x: NDArray[np.floating]) -> NDArray[np.complexfloating]:
    spectrum: NDArray[np.complexfloating] = module.r2c(x, (x.ndim - 1,), True, 0, None, 1)
    return spectrum


def _back(module: Any, spectrum: NDArray[np.complexfloating], n: int) -> NDArray[np.floating]:
    x: NDArray[np.floating] = module.c2r(spectrum, (spectrum.ndim - 1,), n, False, _BACKWARD, None, 1)
    return x


def _compiled(name: str, runs: Callable[[Any], object]) -> Any:
    """A module by its name in SciPy, such as "signal._sosfilt"; None where this SciPy has none, or one that
    does not run as `runs` calls it.
    """
    full = f"scipy.{name}"
    module = sys.modules.get(full)
    if module is None:
        spec = PathFinder.find_spec(full, [str(Path(scipy.__file__).parent.joinpath(*name.split(".")[:-1]))])
        if spec is None or spec.loader is None:
            return None
        try:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
        except ImportError:
            return None
        # Whoever imports the package later gets this one.
        sys.modules[full] = module
    try:
        runs(module)
    except (AttributeError, TypeError, ValueError):
        return None
    return module


_SECTIONS = _compiled(
    "signal._sosfilt", lambda m: _run_sections(m, np.zeros((1, 6)), np.zeros(1), np.zeros((1, 2)))
)
_PHASES = _compiled(
    "signal._upfirdn_apply", lambda m: _run_phases(m, np.zeros(1, np.float32), np.zeros(1, np.float32), 1, 1)
)
_FOURIER = _compiled(
    "fft._pocketfft.pypocketfft", lambda m: _back(m, _forward(m, np.zeros((1, 2), np.float32)), 2)
)
