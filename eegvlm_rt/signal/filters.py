"""The filters of the conditioning: SciPy's arithmetic without the package `scipy.signal`.

Importing `scipy.signal` brings `scipy.stats`, `optimize` and `interpolate` with it: some 45 MiB in every
process, and two thirds of the time that importing this package took. Here are the designs that the
conditioning needs, step by step as SciPy has them, and SciPy's two compiled loops, loaded by themselves.
Everything is the same to the last bit; tests compare it.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

__all__ = ["butterworth", "filter_sections", "kaiser_lowpass", "resample", "settled_state"]


def butterworth(
    order: int, cutoff_hz: float, kind: Literal["lowpass", "highpass"], rate_hz: float
) -> Float64:
    """Second-order sections (k, 6) of a digital Butterworth filter, as `scipy.signal.butter`."""
    # The analog prototype has its poles on the left half of the unit circle; frequencies are warped so that
    # the bilinear transform puts the cutoff where it is wanted.
    warped = 4.0 * np.tan(np.pi * (2 * np.float64(cutoff_hz) / rate_hz) / 2.0)
    poles = -np.exp(1j * np.pi * np.arange(-order + 1, order, 2, dtype=np.float64) / (2 * order))
    if kind == "lowpass":
        gain = 1.0 * warped**order
        zeros = np.zeros(0)
        poles = warped * poles
    else:
        gain = 1.0 * np.real(1.0 / np.prod(-poles))
        zeros = np.zeros(order)
        poles = warped / poles
    gain = gain * np.real(np.prod(4.0 - zeros) / np.prod(4.0 - poles))
    zeros = np.concatenate([(4.0 + zeros) / (4.0 - zeros), -np.ones(order - len(zeros))])
    return _sections(zeros, (4.0 + poles) / (4.0 - poles), gain)


def kaiser_lowpass(taps: int, cutoff: float, beta: float) -> Float64:
    """(taps,) of a linear-phase low-pass at `cutoff` of half the rate with a Kaiser window; its gain at 0 Hz
    is 1. As `scipy.signal.firwin`.
    """
    from scipy.special import i0

    middle = 0.5 * (taps - 1)
    place = np.arange(taps, dtype=np.float64) - middle
    window = i0(beta * np.sqrt(1 - (place / middle) ** 2.0)) / i0(np.float64(beta))
    filter_ = np.float64(cutoff) * np.sinc(np.float64(cutoff) * place) * window
    normed: Float64 = filter_ / np.sum(filter_)
    return normed


def settled_state(sos: Float64) -> Float64:
    """(k, 2) states of sections that a constant 1 has always gone through, as `scipy.signal.sosfilt_zi`."""
    states = np.empty((len(sos), 2))
    scale = 1.0
    for state, section in zip(states, sos, strict=True):
        b, a = section[:3], section[3:]
        feedback = np.array([[-a[1], -a[2]], [1.0, 0.0]])
        state[:] = scale * np.linalg.solve(np.eye(2) - feedback.T, b[1:] - a[1:] * b[0])
        scale *= np.sum(b) / np.sum(a)
    return states


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


def _sections(zeros: Float64, poles: NDArray[np.complex128], gain: float) -> Float64:
    """Second-order sections of real zeros and of poles in conjugate pairs, with one real pole where their
    number is odd, as `scipy.signal.zpk2sos`.
    """
    if len(poles) % 2:
        zeros, poles = np.append(zeros, 0.0), np.append(poles, 0.0)
    zeros = np.sort(zeros)
    # One of each pair, averaged with the other; then those that are real.
    poles = poles[np.lexsort((abs(poles.imag), poles.real))]
    is_real = abs(poles.imag) <= 100 * np.finfo(np.float64).eps * abs(poles)
    pairs = poles[~is_real]
    above, below = pairs[pairs.imag > 0], pairs[pairs.imag < 0]
    poles = np.concatenate([(above + below.conj()) / 2, poles[is_real].real])
    sections = np.zeros(((len(zeros) + 1) // 2, 6))
    # The pole nearest to the unit circle comes last, with the zeros nearest to it.
    for section in sections[::-1]:
        place = np.argmin(np.abs(1 - np.abs(poles)))
        pole, poles = poles[place], np.delete(poles, place)
        other = pole.conj()
        if np.isreal(pole):
            place = np.flatnonzero(np.isreal(poles))[0]
            other, poles = poles[place], np.delete(poles, place)
        nearest = []
        for _ in range(2):
            place = np.argsort(np.abs(zeros - pole))[0]
            nearest.append(zeros[place])
            zeros = np.delete(zeros, place)
        section[:3], section[3:] = np.poly(nearest), np.poly([pole, other]).real
    sections[0, :3] *= gain
    return sections


def _compiled(name: str, runs: Callable[[Any], object]) -> Any:
    """A compiled module of `scipy.signal` without the package around it; None where this SciPy has none, or
    one that does not run as this file has it.
    """
    full = f"scipy.signal.{name}"
    module = sys.modules.get(full)
    if module is None:
        spec = PathFinder.find_spec(full, [str(Path(scipy.__file__).with_name("signal"))])
        if spec is None or spec.loader is None:
            return None
        try:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
        except ImportError:
            return None
        # Whoever imports `scipy.signal` later gets this one.
        sys.modules[full] = module
    try:
        runs(module)
    except (AttributeError, TypeError, ValueError):
        return None
    return module


_SECTIONS = _compiled("_sosfilt", lambda m: _run_sections(m, np.zeros((1, 6)), np.zeros(1), np.zeros((1, 2))))
_PHASES = _compiled(
    "_upfirdn_apply", lambda m: _run_phases(m, np.zeros(1, np.float32), np.zeros(1, np.float32), 1, 1)
)
