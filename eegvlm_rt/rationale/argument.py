"""The manual's own arithmetic: which stages the numbers of a text argue for, and whether it answers them.

Slow waves in 20 % or more argue for N3, alpha in half of the epoch for W, a spindle or a K-complex for N2. A
text that concludes with another stage must exclude each of them with a ground that overrides it: N2 gives way
to N3 and W, to muscle activity, and to W, N1 or R where its event is in the second half of the epoch (the
manual lets N2 begin with an event in the first half); W gives way to N3; N3 gives way to nothing. Whether the
grounds are true is a claim of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..stages import Stage
from .criteria import SLOW_WAVE_PCT
from .grammar import ALPHA_WORDS, K_COMPLEX_WORDS, SPINDLE_WORDS
from .values import CLEAR

if TYPE_CHECKING:
    from .criteria import Reason
    from .parse import Rationale

__all__ = ["argued_stages", "unanswered_stages"]

_MOST_ALPHA: Final = 2


def argued_stages(spindles: int, k_complexes: int, alpha: int, slow_wave_pct: float) -> frozenset[Stage]:
    """Stages whose deciding criterion is met by stated classes (indices of the words) and numbers."""
    argued = set()
    if slow_wave_pct >= SLOW_WAVE_PCT:
        argued.add(Stage.N3)
    if alpha >= _MOST_ALPHA:
        argued.add(Stage.W)
    if spindles >= CLEAR or k_complexes >= CLEAR:
        argued.add(Stage.N2)
    return frozenset(argued)


def unanswered_stages(rationale: Rationale, slow_wave_margin: float = 0.0) -> tuple[Stage, ...]:
    """Stages that the text's own numbers argue for, other than its conclusion, and that it does not exclude
    with a ground that overrides them. `slow_wave_margin`: points by which slow waves may pass their bound.
    """
    stated = _argued(rationale, 0.0)
    argued = _argued(rationale, slow_wave_margin)
    answered = {one.stage for one in rationale.excluded if one.overrides and _is_stated(one, stated)}
    return tuple(sorted(argued - answered - {rationale.stage}))


def _argued(rationale: Rationale, slow_wave_margin: float) -> frozenset[Stage]:
    values = {claim.kind: claim.value for claim in rationale.claims}
    return argued_stages(
        SPINDLE_WORDS.index(str(values["spindles"])),
        K_COMPLEX_WORDS.index(str(values["k_complexes"])),
        ALPHA_WORDS.index(str(values["alpha"])),
        float(values["slow_wave_pct"]) - slow_wave_margin,
    )


def _is_stated(reason: Reason, argued: frozenset[Stage]) -> bool:
    """Whether the numbers of the text do not deny a ground that rests on them."""
    needed = {"slow_wave_pct": Stage.N3, "alpha_pct": Stage.W}
    return all(one.kind not in needed or needed[one.kind] in argued for one in reason.conditions)
