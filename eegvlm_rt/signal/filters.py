"""The designs of the filters of the conditioning: SciPy's arithmetic, step by step, without `scipy.signal`.

They are the same to the last bit; tests compare them. Why: `scipy_loops`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

__all__ = ["butterworth", "kaiser_lowpass", "settled_state"]

_I0 = (
    -4.4153416464793395e-18,
    3.3307945188222384e-17,
    -2.431279846547955e-16,
    1.715391285555133e-15,
    -1.1685332877993451e-14,
    7.676185498604936e-14,
    -4.856446783111929e-13,
    2.95505266312964e-12,
    -1.726826291441556e-11,
    9.675809035373237e-11,
    -5.189795601635263e-10,
    2.6598237246823866e-09,
    -1.300025009986248e-08,
    6.046995022541919e-08,
    -2.670793853940612e-07,
    1.1173875391201037e-06,
    -4.4167383584587505e-06,
    1.6448448070728896e-05,
    -5.754195010082104e-05,
    0.00018850288509584165,
    -0.0005763755745385824,
    0.0016394756169413357,
    -0.004324309995050576,
    0.010546460394594998,
    -0.02373741480589947,
    0.04930528423967071,
    -0.09490109704804764,
    0.17162090152220877,
    -0.3046826723431984,
    0.6767952744094761,
)
"""Chebyshev coefficients of exp(-x) I0(x) for x of 0 to 8, the highest order first (Cephes, i0.c)."""


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
    """(taps,) of a linear-phase low-pass at `cutoff` of half the rate with a Kaiser window, `beta` of 0 to 8;
    its gain at 0 Hz is 1. As `scipy.signal.firwin`.
    """
    middle = 0.5 * (taps - 1)
    place = np.arange(taps, dtype=np.float64) - middle
    window = _bessel_i0(beta * np.sqrt(1 - (place / middle) ** 2.0)) / _bessel_i0(np.array([beta]))
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


def _bessel_i0(x: Float64) -> Float64:
    """The modified Bessel function I0 of (n,) numbers of 0 to 8, as `scipy.special.i0`."""
    # Clenshaw's recurrence. The exponential is the C library's: NumPy's differs in the last bit.
    place = x / 2.0 - 2.0
    first, second, third = np.full_like(x, _I0[0]), np.zeros_like(x), np.zeros_like(x)
    for coefficient in _I0[1:]:
        first, second, third = place * first - second + coefficient, first, second
    return np.array([math.exp(value) for value in x]) * (0.5 * (first - third))


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
