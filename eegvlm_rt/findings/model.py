"""What is measured in one epoch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

__all__ = ["NO_FINDINGS", "Findings", "Rhythm", "Span"]

Span = tuple[float, float]


class Rhythm(StrEnum):
    """Prevailing background activity."""

    ALPHA = "alpha"
    BETA = "low-voltage fast"
    THETA = "theta"
    DELTA = "delta"
    MIXED = "mixed-frequency"


@dataclass(frozen=True, slots=True)
class Findings:
    """Measured features of one 30 s epoch.

    Attributes:
        rhythm: prevailing background activity.
        alpha_share: 0..1, share of the 2 s windows that alpha dominates.
        spindles: number of sleep spindles.
        k_complexes: number of K-complexes.
        slow_wave_share: 0..1, share of the epoch filled by slow waves: 0.5-2 Hz, above 75 µV peak to peak.
        amplitude_uv: median peak-to-peak amplitude of 2 s windows, µV.
        spindle_spans: (onset_s, duration_s) of each spindle, from the start of the epoch.
        k_complex_spans: the same for each K-complex.
        rhythm_alternatives: rhythms that narrowly missed being `rhythm`.
        spindle_range: spindle counts at stricter and at looser thresholds; None where both agree.
        k_complex_range: the same for K-complexes.
        relative_powers: power of delta, theta, alpha and beta as shares of 0.5-30 Hz.
        measured_share: 0..1, share of the samples that were present.
        deflection_share: 0..1, share of the epoch filled by waves as large and as slow that are no slow waves
            of sleep: blinks, eye movements, sweat, movement.
        muscle_share: 0..1, share of the seconds that show muscle activity.
        arousals: number of runs of at least 3 s of muscle activity or alpha.
        early_events: number of clear spindles and K-complexes that begin in the first half of the epoch.
    """

    rhythm: Rhythm
    alpha_share: float
    spindles: int
    k_complexes: int
    slow_wave_share: float
    amplitude_uv: float
    spindle_spans: tuple[Span, ...] = ()
    k_complex_spans: tuple[Span, ...] = ()
    rhythm_alternatives: tuple[Rhythm, ...] = ()
    spindle_range: tuple[int, int] | None = None
    k_complex_range: tuple[int, int] | None = None
    relative_powers: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    measured_share: float = 1.0
    deflection_share: float = 0.0
    muscle_share: float = 0.0
    arousals: int = 0
    early_events: int = 0

    @property
    def clear_spindles(self) -> int:
        """Spindles that the stricter thresholds find too."""
        return self.spindles if self.spindle_range is None else self.spindle_range[0]

    @property
    def possible_spindles(self) -> int:
        """Spindles that the looser thresholds find."""
        return self.spindles if self.spindle_range is None else self.spindle_range[1]

    @property
    def clear_k_complexes(self) -> int:
        """K-complexes that the stricter thresholds find too."""
        return self.k_complexes if self.k_complex_range is None else self.k_complex_range[0]

    @property
    def possible_k_complexes(self) -> int:
        """K-complexes that the looser thresholds find."""
        return self.k_complexes if self.k_complex_range is None else self.k_complex_range[1]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {
            "rhythm": str(self.rhythm),
            "alpha_share": self.alpha_share,
            "spindles": self.spindles,
            "k_complexes": self.k_complexes,
            "slow_wave_share": self.slow_wave_share,
            "amplitude_uv": self.amplitude_uv,
            "spindle_spans": [list(span) for span in self.spindle_spans],
            "k_complex_spans": [list(span) for span in self.k_complex_spans],
            "rhythm_alternatives": [str(rhythm) for rhythm in self.rhythm_alternatives],
            "spindle_range": list(self.spindle_range) if self.spindle_range else None,
            "k_complex_range": list(self.k_complex_range) if self.k_complex_range else None,
            "relative_powers": list(self.relative_powers),
            "measured_share": self.measured_share,
            "deflection_share": self.deflection_share,
            "muscle_share": self.muscle_share,
            "arousals": self.arousals,
            "early_events": self.early_events,
        }


NO_FINDINGS: Final = Findings(Rhythm.MIXED, 0.0, 0, 0, 0.0, 0.0, measured_share=0.0)
"""What is measured in an epoch without a single sample."""
