"""`StreamOptions`: how a stream answers, for `Stager.stream`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..signal.units import EPOCH_S, is_real

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StreamOptions", "with_old_keywords"]

LONGEST_GAP_S: Final = 43_200.0
TOLERANCE_S: Final = 0.02
LAG_WARNING_S: Final = 30.0

OLD_KEYWORDS: Final = {
    "deadline": "deadline_s",
    "hop": "hop_s",
    "lights_off_s": "lights_off_s",
    "smooth": "smooth",
    "lag_warning_s": "lag_warning_s",
    "tolerance_s": "tolerance_s",
    "max_gap_s": "max_gap_s",
}
"""Keyword of `Stager.stream` in version 0.1 -> field of `StreamOptions`."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How a stream answers.

    Attributes:
        deadline_s: seconds from the arrival of an epoch's last sample to its final prediction. None answers
            every epoch wholly before `push` returns, the same to the last bit every time. With a deadline,
            `push` gives the head's stage at once, as a provisional prediction, and the final one comes from
            a later `push`, `poll` or `flush`, in the order of the night.
        hop_s: seconds (0.1 to 30) between provisional predictions of the latest 30 s by the head; None for
            none.
        lights_off_s: device time at which epoch 0 begins; None is the first sample.
        memory: the night memory, where the bundle has one; False stages every epoch alone.
        smooth: "causal" fills `smoothed` from the epochs so far; None does not.
        lag_warning_s: an answer that stands further behind the wire gives a `lag` event.
        tolerance_s: timestamps may be off by this, at most 1 s, before anything is done.
        max_gap_s: a longer jump forward of the device's clock is a clock that was set, and no gap.

    Raises InputError for a value outside these bounds.
    """

    deadline_s: float | None = None
    hop_s: float | None = None
    lights_off_s: float | None = None
    memory: bool = True
    smooth: str | None = None
    lag_warning_s: float = LAG_WARNING_S
    tolerance_s: float = TOLERANCE_S
    max_gap_s: float = LONGEST_GAP_S

    def __post_init__(self) -> None:
        deadline_s, lights_off_s, hop_s = self.deadline_s, self.lights_off_s, self.hop_s
        if deadline_s is not None and not (is_real(deadline_s) and 0 <= deadline_s < inf):
            raise InputError("deadline_s", deadline_s, "give finite seconds, 0 or more, or None")
        if hop_s is not None and not (is_real(hop_s) and 0.1 <= hop_s <= EPOCH_S):
            raise InputError("hop_s", hop_s, "give seconds from 0.1 to 30, or None")
        if lights_off_s is not None and not (is_real(lights_off_s) and abs(lights_off_s) < inf):
            raise InputError("lights_off_s", lights_off_s, "give finite seconds, or None")
        if self.smooth not in (None, "causal"):
            cure = 'give "causal" or None: a stream knows no future, "viterbi" is for recordings'
            raise InputError("smooth", self.smooth, cure)
        for name in ("lag_warning_s", "max_gap_s"):
            value = getattr(self, name)
            if not is_real(value) or value <= 0:
                raise InputError(name, value, "give seconds above 0")
        if not is_real(self.tolerance_s) or not 0 < self.tolerance_s <= 1:
            raise InputError("tolerance_s", self.tolerance_s, "give seconds above 0, at most 1")


def with_old_keywords(options: StreamOptions | None, old: Mapping[str, Any]) -> StreamOptions:
    """Options with what was given by the keywords of version 0.1, which warn and name the new ones.

    Raises TypeError for a keyword that never was.
    """
    options = StreamOptions() if options is None else options
    unknown = sorted(set(old) - set(OLD_KEYWORDS))
    if unknown:
        raise TypeError(f"stream() got an unexpected keyword argument {unknown[0]!r}")
    for name, value in old.items():
        field = OLD_KEYWORDS[name]
        if field == "smooth" and isinstance(value, bool):
            value = "causal" if value else None
        text = (
            f"stream({name}=) goes in the next release: use stream(options=StreamOptions({field}={value!r}))"
        )
        warnings.warn(text, DeprecationWarning, stacklevel=3)
        options = replace(options, **{field: value})
    return options
