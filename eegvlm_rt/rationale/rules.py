"""Scoring rules and reasons for exclusion, each with the measurable conditions under which it is true.

The ids are ours. Each rule paraphrases an adult criterion of the AASM Manual for the Scoring of Sleep and
Associated Events (version 3), as far as one EEG channel and the epochs before can show it. "X.0" says that no
criterion of the stage can be measured here: such a text gives no reason, and says so.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ..findings.model import Rhythm
from ..stages import STAGES, Stage
from .criteria import (
    ALPHA_PCT,
    AMPLITUDE_UV,
    DEFLECTION_PCT,
    HALF_PCT,
    NO_ALPHA_PCT,
    SLOW_WAVE_PCT,
    SOME_PCT,
    Condition,
    Course,
    Reason,
    Rule,
    below,
    rhythm_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["REASONS", "RULES"]

_ALPHA_MOST = Condition("alpha_pct", ALPHA_PCT)
_ALPHA_LESS = below("alpha_pct", ALPHA_PCT)
_ALPHA_SOME = Condition("alpha_pct", NO_ALPHA_PCT)
_ALPHA_NONE = below("alpha_pct", NO_ALPHA_PCT)
_FAST = rhythm_of(Rhythm.BETA)
_THETA_OR_MIXED = rhythm_of(Rhythm.THETA, Rhythm.MIXED)
_DELTA = rhythm_of(Rhythm.DELTA)
_SPINDLE = Condition("clear_spindles", 1)
_NO_SPINDLE = below("clear_spindles", 1)
_K_COMPLEX = Condition("clear_k_complexes", 1)
_NO_K_COMPLEX = below("clear_k_complexes", 1)
_NO_EARLY_EVENT = below("early_events", 1)
_SLOW = Condition("slow_wave_pct", SLOW_WAVE_PCT)
_NOT_SLOW = below("slow_wave_pct", SLOW_WAVE_PCT)
_LARGE = Condition("amplitude_uv", AMPLITUDE_UV)
_SMALL = below("amplitude_uv", AMPLITUDE_UV)
_MUSCLE = Condition("muscle_pct", HALF_PCT)
_NO_MUSCLE = below("muscle_pct", HALF_PCT)
_DEFLECTIONS = Condition("deflection_pct", DEFLECTION_PCT)
_WAKING = Condition("waking_pct", HALF_PCT)
_SOME_WAKING = Condition("waking_pct", SOME_PCT)
_AFTER_N2 = Condition("previous", among=frozenset({"N2", "N3"}))
_AFTER_R = Condition("previous", among=frozenset({"R"}))
_AFTER_SLEEP = Condition("previous", among=frozenset({"N1", "N2", "R"}))
_EVENT_BEFORE = Condition("course", among=frozenset({str(Course.EVENT)}))
_AROUSED = Condition("course", among=frozenset({str(Course.AROUSAL)}))
_NOT_AROUSED = Condition("course", among=frozenset({str(Course.EVENT), str(Course.QUIET)}))

# What argues for another stage by the manual's arithmetic: no rule of a stage may be cited against it.
_NOT_N3 = (_NOT_SLOW,)
_NOT_W_N3 = (_ALPHA_LESS, _NOT_SLOW)
_NOT_W_N2_N3 = (_ALPHA_LESS, _NO_EARLY_EVENT, _NOT_SLOW)

_SOURCE: Final = {stage: f"AASM manual v3, adult stage {stage.name}" for stage in STAGES}


def _rule(name: str, phrase: str, source: str, *conditions: Condition) -> Rule:
    stage = Stage[name.partition(".")[0]]
    return Rule(name, stage, phrase, f"{_SOURCE[stage]}: {source}", conditions)


_RULES: Final = (
    _rule(
        "W.1",
        "alpha in half of the epoch or more",
        "alpha rhythm in more than half of the epoch",
        _ALPHA_MOST,
        *_NOT_N3,
    ),
    _rule(
        "W.2",
        "low-voltage fast activity",
        "eyes open, no alpha rhythm (Rechtschaffen & Kales 1968: low voltage, fast activity)",
        _FAST,
        *_NOT_W_N2_N3,
    ),
    _rule(
        "W.3",
        "muscle activity in half of the epoch or more",
        "irregular eye movements with normal or high chin tone; here the fast activity of scalp muscles",
        _MUSCLE,
        *_NOT_W_N3,
    ),
    _rule(
        "W.4",
        "eye movements or movement in 10 % or more",
        "eye blinks, reading eye movements or body movement; here large slow waves amid muscle activity",
        _DEFLECTIONS,
        *_NOT_W_N2_N3,
    ),
    _rule(
        "W.5",
        "alpha, muscle activity or movement in half of the epoch or more",
        "any of the signs of wakefulness in more than half of the epoch, counted together",
        _WAKING,
        *_NOT_W_N2_N3,
    ),
    _rule(
        "W.6",
        "alpha, muscle activity or movement in 20 % or more",
        "the same signs in a smaller part of the epoch, the others not visible in this channel",
        _SOME_WAKING,
        *_NOT_W_N2_N3,
    ),
    _rule("W.0", "no sign of wakefulness is measured", "no criterion is visible in this channel"),
    _rule(
        "N1.1",
        "low-amplitude theta or mixed-frequency activity",
        "alpha replaced by low-amplitude, mixed-frequency activity in more than half of the epoch",
        _THETA_OR_MIXED,
        _SMALL,
        *_NOT_W_N2_N3,
    ),
    _rule(
        "N1.2",
        "alpha in 10 to 50 %",
        "alpha attenuated, in less than half of the epoch",
        _ALPHA_SOME,
        *_NOT_W_N2_N3,
    ),
    _rule(
        "N1.3",
        "arousal before, no spindle or K-complex since",
        "an arousal ends N2; N1 until the next K-complex or spindle",
        _AFTER_SLEEP,
        _AROUSED,
        *_NOT_W_N2_N3,
    ),
    _rule("N1.0", "no sign of N1 is measured", "no criterion is visible in this channel"),
    _rule(
        "N2.3",
        "spindle and K-complex",
        "K-complex or spindle not tied to an arousal",
        _SPINDLE,
        _K_COMPLEX,
        *_NOT_W_N3,
    ),
    _rule("N2.1", "K-complex", "K-complex not tied to an arousal", _K_COMPLEX, *_NOT_W_N3),
    _rule("N2.2", "spindle", "sleep spindle", _SPINDLE, *_NOT_W_N3),
    _rule(
        "N2.5",
        "N2 continues, no arousal since",
        "continues through epochs without spindle or K-complex until an arousal, W, N3 or R",
        _AFTER_N2,
        _EVENT_BEFORE,
        *_NOT_W_N3,
    ),
    _rule(
        "N2.4",
        "doubtful spindle or K-complex",
        "a K-complex or spindle near the threshold of the detectors",
        Condition("possible_events", 1),
        *_NOT_W_N3,
    ),
    _rule(
        "N2.6",
        "almost no alpha or muscle activity, slow waves below 20 %",
        "continues through low-amplitude, mixed-frequency epochs without spindle or K-complex",
        _ALPHA_NONE,
        _NO_MUSCLE,
        *_NOT_W_N3,
    ),
    _rule("N2.0", "no sign of N2 is measured", "no criterion is visible in this channel"),
    _rule("N3.1", "slow waves in 20 % or more", "slow waves in 20 % or more of the epoch", _SLOW),
    _rule(
        "N3.2",
        "delta activity, slow waves below 20 %",
        "its 20 % are counted in a frontal channel, where slow waves are largest",
        _DELTA,
        *_NOT_W_N2_N3,
    ),
    _rule("N3.0", "no sign of N3 is measured", "its criterion is not met in this channel"),
    _rule(
        "R.3",
        "R continues, no arousal since",
        "continues through low-amplitude, mixed-frequency epochs without spindle, K-complex or arousal",
        _AFTER_R,
        _NOT_AROUSED,
        *_NOT_W_N2_N3,
    ),
    _rule(
        "R.1",
        "low-amplitude theta or mixed-frequency activity, quiet muscles",
        "low-amplitude, mixed-frequency activity without spindles or K-complexes, low chin tone",
        _THETA_OR_MIXED,
        _SMALL,
        _NO_MUSCLE,
        *_NOT_W_N2_N3,
    ),
    _rule(
        "R.2",
        "low-amplitude activity, quiet muscles",
        "low-amplitude activity, alpha allowed (slower than in wakefulness), low chin tone",
        _SMALL,
        _NO_MUSCLE,
        *_NOT_W_N2_N3,
    ),
    _rule("R.0", "no sign of R is measured", "no criterion is visible in this channel"),
)

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in _RULES})
"""Rules by id; within a stage the first whose conditions hold is the one a rationale cites."""

_W, _N1, _N2, _N3, _R = STAGES
_REASONS: Final = (
    Reason(_W, "slow waves in 20 % or more", (_SLOW,), overrides=True),
    Reason(_W, "spindle", (_SPINDLE,)),
    Reason(_W, "K-complex", (_K_COMPLEX,)),
    Reason(_W, "almost no alpha", (_ALPHA_NONE,)),
    Reason(_W, "alpha in less than half", (_ALPHA_LESS,)),
    Reason(_W, "less typical overall"),
    Reason(_N1, "slow waves in 20 % or more", (_SLOW,)),
    Reason(_N1, "spindle", (_SPINDLE,)),
    Reason(_N1, "K-complex", (_K_COMPLEX,)),
    Reason(_N1, "alpha in half of the epoch or more", (_ALPHA_MOST,)),
    Reason(_N1, "low-voltage fast activity", (_FAST,)),
    Reason(_N1, "muscle activity in half of the epoch or more", (_MUSCLE,)),
    Reason(_N1, "amplitude of 75 µV or more", (_LARGE,)),
    Reason(_N1, "less typical overall"),
    Reason(_N2, "slow waves in 20 % or more", (_SLOW,), overrides=True),
    Reason(_N2, "alpha in half of the epoch or more", (_ALPHA_MOST,), overrides=True),
    Reason(_N2, "no spindle or K-complex", (_NO_SPINDLE, _NO_K_COMPLEX)),
    Reason(_N2, "muscle activity in half of the epoch or more", (_MUSCLE,), overrides=True),
    Reason(_N2, "none in the first half", (_NO_EARLY_EVENT,), overrides=True),
    Reason(_N2, "less typical overall"),
    Reason(_N3, "slow waves below 20 %", (_NOT_SLOW,)),
    Reason(_N3, "less typical overall"),
    Reason(_R, "slow waves in 20 % or more", (_SLOW,)),
    Reason(_R, "spindle", (_SPINDLE,)),
    Reason(_R, "K-complex", (_K_COMPLEX,)),
    Reason(_R, "alpha in half of the epoch or more", (_ALPHA_MOST,)),
    Reason(_R, "low-voltage fast activity", (_FAST,)),
    Reason(_R, "muscle activity in half of the epoch or more", (_MUSCLE,)),
    Reason(_R, "amplitude of 75 µV or more", (_LARGE,)),
    Reason(_R, "less typical overall"),
)

REASONS: Final[Mapping[str, Reason]] = MappingProxyType({reason.text: reason for reason in _REASONS})
"""Reasons by their text, "W: almost no alpha"; within a stage the first whose conditions hold is given."""
