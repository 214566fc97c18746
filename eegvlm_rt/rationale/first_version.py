"""The first version of the grammar: read and decoded for bundles that were trained on it, no longer composed.

Its texts begin with "Step 1, background:". Rules and reasons have the conditions they always had.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ..findings.model import Rhythm
from ..stages import STAGES, Stage
from .criteria import ALPHA_PCT, AMPLITUDE_UV, NO_ALPHA_PCT, SLOW_WAVE_PCT, Condition, Reason, Rule, rhythm_of
from .parts import Literal, Slot, spaced

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIRST_PARTS", "FIRST_REASONS", "FIRST_RULES", "K_COMPLEX_WORDS", "SPINDLE_WORDS"]

_ALPHA_MOST = Condition("alpha_pct", ALPHA_PCT)
_ALPHA_LESS = Condition("alpha_pct", ALPHA_PCT, below=True)
_ALPHA_NONE = Condition("alpha_pct", NO_ALPHA_PCT, below=True)
_FAST = rhythm_of(Rhythm.BETA)
_NOT_FAST = rhythm_of(*(name for name in Rhythm if name is not Rhythm.BETA))
_THETA_OR_MIXED = rhythm_of(Rhythm.THETA, Rhythm.MIXED)
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

FIRST_RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in _RULES})

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

FIRST_REASONS: Final[Mapping[str, Reason]] = MappingProxyType({reason.text: reason for reason in _REASONS})

SPINDLE_WORDS: Final = spaced(
    "no spindle", "one spindle", "two spindles", "three spindles", "four or more spindles"
)
K_COMPLEX_WORDS: Final = spaced("no K-complex", "one K-complex", "several K-complexes")
_EXCLUDED: Final = spaced(*FIRST_REASONS)

FIRST_PARTS: Final[tuple[Literal | Slot, ...]] = (
    Literal("Step 1, background:"),
    Slot("rhythm", spaced(*Rhythm)),
    Literal(" activity, alpha in about"),
    Slot("alpha_pct", spaced(*range(0, 101, 10))),
    Literal(" % of the epoch.\nStep 2, events:"),
    Slot("spindles", SPINDLE_WORDS),
    Literal(";"),
    Slot("k_complexes", K_COMPLEX_WORDS),
    Literal(".\nStep 3, slow waves: about"),
    Slot("slow_wave_pct", spaced(*range(0, 101, 5))),
    Literal(" % of the epoch; amplitude about"),
    Slot("amplitude_uv", spaced(*range(10, 201, 10))),
    Literal(" µV.\nStep 4, rule:"),
    Slot("rule", spaced(*(rule.text for rule in FIRST_RULES.values()))),
    Literal(". Excluded:"),
    Slot("excluded_1", _EXCLUDED),
    Literal(";"),
    Slot("excluded_2", _EXCLUDED),
    Literal(".\nStep 5, conclusion: the stage is"),
    Slot("stage", spaced(*(stage.name for stage in STAGES))),
    Literal("."),
)
