"""Muscle activity, and arousals.

Chin tone and eye movements are not recorded, but scalp muscles are seen in an EEG channel as fast activity. A
second shows muscle activity where its 4.5-30 Hz signal is less than 2.3 times its 20-34 Hz signal (rms):
awake that is so in about half of the seconds, in sleep in few (recordings of both, ours).

Arousal (AASM manual): an abrupt shift of the EEG to alpha, theta or above 16 Hz, at least 3 s long, after 10
s of sleep. Here: a run of at least three seconds that show muscle activity or that alpha dominates, the
muscle activity at least twice the epoch's usual one. The 10 s before are not asked for, since an arousal may
begin with the epoch: what counts as an arousal of sleep depends on the epochs before, which the night's
record knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .bands import SFREQ_HZ, STEP, runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_arousals", "muscle_seconds"]

MUSCLE_RATIO: Final = 2.3
SHORTEST_S: Final = 3
USUAL_TIMES: Final = 2.0


def muscle_seconds(
    broad_sums: NDArray[np.float64], muscle_sums: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(n, 30) whether each second shows muscle activity, and the rms of its 20-34 Hz signal in µV.

    Both arguments are `running_squares`, of 4.5-30 and of 20-34 Hz.
    """
    a_second = SFREQ_HZ // STEP
    # Differences of running sums give each second without adding up its samples again.
    broad = np.diff(broad_sums[:, ::a_second], axis=1) / SFREQ_HZ
    muscle = np.diff(muscle_sums[:, ::a_second], axis=1) / SFREQ_HZ
    # A flat second shows nothing.
    return (muscle > 1e-6) & (broad < MUSCLE_RATIO**2 * muscle), np.sqrt(np.maximum(muscle, 0.0))


def count_arousals(
    shown: NDArray[np.bool_], level_uv: NDArray[np.float64], alpha: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """(n,) arousals of each epoch.

    `shown` and `level_uv` (n, 30) are those of `muscle_seconds`; `alpha` (n, 29) the windows of 2 s, one a
    second, that alpha dominates.
    """
    # Fast activity counts as an arousal only where it stands out from the rest of the epoch: a tense sleeper
    # has it all the time.
    usual = np.median(level_uv, axis=1, keepdims=True)
    awake = shown & (level_uv >= USUAL_TIMES * usual)
    # Alpha is an arousal without any muscle; a window of 2 s belongs to its first second.
    awake[:, :-1] |= alpha
    rows, starts, stops = runs(awake)
    return np.bincount(rows[stops - starts >= SHORTEST_S], minlength=len(shown))
