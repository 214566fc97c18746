"""Scoring rules and reasons for exclusion, each with the measurable conditions under which it is true.

The ids are ours. Each rule paraphrases an adult criterion of the AASM Manual for the Scoring of Sleep and
Associated Events (version 3), as far as one EEG channel can show it; eye movements and chin tone are not
seen. "X.0" is the overall pattern of a stage where no criterion of it is visible in the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from ..evidence import Rhythm
from ..stages import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ALPHA_PCT",
    "AMPLITUDE_UV",
    "REASONS",
    "RULES",
    "SLOW_WAVE_PCT",
    "Condition",
    "Kind",
    "Reason",
    "Rule",
]

Kind = Literal["rhythm", "alpha_pct", "spindles", "k_complexes", "slow_wave_pct", "amplitude_uv"]

ALPHA_PCT: Final = 50.0
NO_ALPHA_PCT: Final = 10.0
SLOW_WAVE_PCT: Final = 20.0
AMPLITUDE_UV: Final = 75.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One measurable statement: a number below or at least `bound`, or a rhythm among `rhythms`."""

    kind: Kind
    bound: float = 0.0
    below: bool = False
    rhythms: frozenset[Rhythm] = frozenset()

    def holds(self, value: float) -> bool:
        """Whether a number satisfies the bound."""
        return value < self.bound if self.below else value >= self.bound


@dataclass(frozen=True, slots=True)
class Rule:
    """A scoring rule, true where all conditions hold; without conditions it claims nothing measurable."""

    id: str
    stage: Stage
    phrase: str
    source: str
    conditions: tuple[Condition, ...] = ()

    @property
    def text(self) -> str:
        """As it stands in a rationale, "N3.1: slow waves in 20 % or more"."""
        return f"{self.id}: {self.phrase}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a stage was excluded; without conditions it claims nothing measurable."""

    stage: Stage
    phrase: str
    conditions: tuple[Condition, ...] = ()

    @property
    def text(self) -> str:
        """As it stands in a rationale, "W: no alpha rhythm"."""
        return f"{self.stage.name}: {self.phrase}"


def _rhythm(*names: Rhythm) -> Condition:
    return Condition("rhythm", rhythms=frozenset(names))


_ALPHA_MOST = Condition("alpha_pct", ALPHA_PCT)
_ALPHA_LESS = Condition("alpha_pct", ALPHA_PCT, below=True)
_ALPHA_NONE = Condition("alpha_pct", NO_ALPHA_PCT, below=True)
_FAST = _rhythm(Rhythm.BETA)
_NOT_FAST = _rhythm(*(name for name in Rhythm if name is not Rhythm.BETA))
_THETA_OR_MIXED = _rhythm(Rhythm.THETA, Rhythm.MIXED)
_SPINDLE = Condition("spindles", 1)
_NO_SPINDLE = Condition("spindles", 1, below=True)
_K_COMPLEX = Condition("k_complexes", 1)
_NO_K_COMPLEX = Condition("k_complexes", 1, below=True)
_SLOW = Condition("slow_wave_pct", SLOW_WAVE_PCT)
_NOT_SLOW = Condition("slow_wave_pct", SLOW_WAVE_PCT, below=True)
_LARGE = Condition("amplitude_uv", AMPLITUDE_UV)
_SMALL = Condition("amplitude_uv", AMPLITUDE_UV, below=True)

_W = "AASM manual v3, adult stage W"
_N1 = "AASM manual v3, adult stage N1"
_N2 = "AASM manual v3, adult stage N2"
_N3 = "AASM manual v3, adult stage N3"
_R = "AASM manual v3, adult stage R"

_RULES: Final = (
    Rule(
        "W.1",
        Stage.W,
        "alpha in more than half of the epoch",
        f"{_W}: alpha rhythm over half the epoch",
        (_ALPHA_MOST,),
    ),
    Rule(
        "W.2",
        Stage.W,
        "low-voltage fast activity, alpha in less than half",
        f"{_W}: eyes open, no alpha rhythm (Rechtschaffen & Kales 1968: low voltage, fast activity)",
        (_FAST, _ALPHA_LESS),
    ),
    Rule(
        "W.0",
        Stage.W,
        "overall pattern of wakefulness",
        f"{_W}: other signs not visible here",
        (_NOT_FAST, _ALPHA_LESS),
    ),
    Rule(
        "N1.1",
        Stage.N1,
        "alpha in less than half, low-amplitude theta or mixed-frequency activity",
        f"{_N1}: alpha replaced by low-amplitude, mixed-frequency activity in over half the epoch",
        (_ALPHA_LESS, _THETA_OR_MIXED, _SMALL),
    ),
    Rule("N1.0", Stage.N1, "overall pattern of N1", f"{_N1}: other signs not visible here"),
    Rule(
        "N2.3",
        Stage.N2,
        "spindle and K-complex present",
        f"{_N2}: spindle or K-complex not tied to an arousal",
        (_SPINDLE, _K_COMPLEX),
    ),
    Rule("N2.1", Stage.N2, "K-complex present", f"{_N2}: K-complex not tied to an arousal", (_K_COMPLEX,)),
    Rule("N2.2", Stage.N2, "spindle present", f"{_N2}: sleep spindle", (_SPINDLE,)),
    Rule(
        "N2.0",
        Stage.N2,
        "pattern of N2 goes on without spindle or K-complex",
        f"{_N2}: continues through epochs without spindle or K-complex",
        (_NO_SPINDLE, _NO_K_COMPLEX),
    ),
    Rule(
        "N3.1",
        Stage.N3,
        "slow waves in 20 % or more",
        f"{_N3}: slow waves in 20 % or more of the epoch",
        (_SLOW,),
    ),
    Rule(
        "N3.0",
        Stage.N3,
        "overall pattern of N3",
        f"{_N3}: its criterion is not met in this channel",
        (_NOT_SLOW,),
    ),
    Rule(
        "R.1",
        Stage.R,
        "low-amplitude theta or mixed-frequency activity, no spindle or K-complex",
        f"{_R}: low-amplitude, mixed-frequency activity without spindles or K-complexes",
        (_THETA_OR_MIXED, _SMALL, _ALPHA_LESS, _NO_SPINDLE, _NO_K_COMPLEX, _NOT_SLOW),
    ),
    Rule("R.0", Stage.R, "overall pattern of R", f"{_R}: other signs not visible here"),
)

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in _RULES})
"""Rules by id; within a stage the first whose conditions hold is the one a rationale cites."""

_REASONS: Final = (
    Reason(Stage.W, "slow waves in 20 % or more", (_SLOW,)),
    Reason(Stage.W, "spindle present", (_SPINDLE,)),
    Reason(Stage.W, "K-complex present", (_K_COMPLEX,)),
    Reason(Stage.W, "no alpha rhythm", (_ALPHA_NONE,)),
    Reason(Stage.W, "alpha in less than half", (_ALPHA_LESS,)),
    Reason(Stage.W, "less typical overall"),
    Reason(Stage.N1, "slow waves in 20 % or more", (_SLOW,)),
    Reason(Stage.N1, "spindle present", (_SPINDLE,)),
    Reason(Stage.N1, "K-complex present", (_K_COMPLEX,)),
    Reason(Stage.N1, "alpha in more than half", (_ALPHA_MOST,)),
    Reason(Stage.N1, "low-voltage fast activity", (_FAST,)),
    Reason(Stage.N1, "amplitude of 75 µV or more", (_LARGE,)),
    Reason(Stage.N1, "less typical overall"),
    Reason(Stage.N2, "slow waves in 20 % or more", (_SLOW,)),
    Reason(Stage.N2, "alpha in more than half", (_ALPHA_MOST,)),
    Reason(Stage.N2, "no spindle or K-complex", (_NO_SPINDLE, _NO_K_COMPLEX)),
    Reason(Stage.N2, "less typical overall"),
    Reason(Stage.N3, "slow waves below 20 %", (_NOT_SLOW,)),
    Reason(Stage.N3, "less typical overall"),
    Reason(Stage.R, "slow waves in 20 % or more", (_SLOW,)),
    Reason(Stage.R, "spindle present", (_SPINDLE,)),
    Reason(Stage.R, "K-complex present", (_K_COMPLEX,)),
    Reason(Stage.R, "alpha in more than half", (_ALPHA_MOST,)),
    Reason(Stage.R, "low-voltage fast activity", (_FAST,)),
    Reason(Stage.R, "amplitude of 75 µV or more", (_LARGE,)),
    Reason(Stage.R, "less typical overall"),
)

REASONS: Final[Mapping[str, Reason]] = MappingProxyType({reason.text: reason for reason in _REASONS})
"""Reasons by their text, "W: no alpha rhythm"; within a stage the first whose conditions hold is given."""
