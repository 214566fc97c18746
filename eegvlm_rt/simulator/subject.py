"""The person and the amplifier behind one simulated night."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["MONTAGES", "Montage", "Subject", "sample_subject"]


@dataclass(frozen=True, slots=True)
class Montage:
    """Relative gain of each source in one derivation; 1.0 is C3-A2.

    Topographies after the AASM manual's description of each waveform: alpha occipital, spindles central, slow
    waves and K-complexes frontal, eye movements fronto-polar. `table` is the nearer of the two derivations
    whose spectra by stage are known from tables (`spectra.py`).
    """

    channel: str
    alpha: float
    spindle: float
    slow: float
    eyes: float
    muscle: float
    table: str = "EEG Fpz-Cz"


MONTAGES = (
    Montage("EEG Fpz-Cz", alpha=0.8, spindle=0.8, slow=1.15, eyes=1.0, muscle=1.1),
    Montage("EEG C3-A2", alpha=1.0, spindle=1.0, slow=1.0, eyes=0.25, muscle=1.0),
    Montage("EEG Cz-A1", alpha=0.9, spindle=1.1, slow=1.1, eyes=0.2, muscle=0.8),
    Montage("EEG F3-A2", alpha=0.8, spindle=0.9, slow=1.2, eyes=0.6, muscle=1.1),
    Montage("EEG Pz-Oz", alpha=1.3, spindle=0.6, slow=0.55, eyes=0.05, muscle=0.8, table="EEG Pz-Oz"),
    Montage("EEG O1-A2", alpha=1.6, spindle=0.5, slow=0.75, eyes=0.1, muscle=1.0, table="EEG Pz-Oz"),
)
_MONTAGE_WEIGHTS = (0.3, 0.25, 0.15, 0.1, 0.1, 0.1)
_HEAD_SPREAD = 0.15


@dataclass(frozen=True, slots=True)
class Subject:
    """Per-night parameters. Amplitudes in µV, frequencies in Hz, densities per minute."""

    montage: Montage
    age_years: float
    gain: float
    exponent_shift: float
    exponent_spread: float
    alpha_hz: float
    alpha_uv: float
    alpha_share: float
    beta_uv: float
    theta_hz: float
    theta_uv: float
    spindle_hz: float
    spindle_uv: float
    spindle_per_min: float
    sigma_uv: float
    k_complex_per_min: float
    k_complex_uv: float
    slow_uv: float
    slow_hz: float
    eye_uv: float
    muscle_uv: float
    restless_uv: float
    restless_share: float
    arousals_per_h: float
    blend_s: float
    wander: float
    highpass_hz: float
    lowpass_hz: float
    drift_uv: float
    mains_uv: float
    noise_uv: float

    @property
    def youth(self) -> float:
        """1 up to 25 years, 0 from 75 on."""
        return _youth(self.age_years)


def _youth(age_years: float) -> float:
    return float(np.clip((75.0 - age_years) / 50.0, 0.0, 1.0))


def _lognormal(rng: np.random.Generator, median: float, sigma: float) -> float:
    return float(median * np.exp(sigma * rng.standard_normal()))


def _fitted(rng: np.random.Generator, montage: Montage) -> Montage:
    """The derivation on one head: each gain varies by 15 % (1 sigma)."""
    alpha, spindle, slow, eyes, muscle = np.exp(_HEAD_SPREAD * rng.standard_normal(5)).tolist()
    return replace(
        montage,
        alpha=montage.alpha * alpha,
        spindle=montage.spindle * spindle,
        slow=montage.slow * slow,
        eyes=montage.eyes * eyes,
        muscle=montage.muscle * muscle,
    )


def sample_subject(rng: np.random.Generator, derivation: str | None = None) -> Subject:
    """Draw a person and an amplifier, and a derivation where none is named.

    Raises ValueError for a derivation that is not one of `MONTAGES`.

    Age lowers slow-wave amplitude and spindle density (Ohayon et al. 2004; Purcell et al. 2017), alpha peaks
    at 10 +- 1 Hz (Haegens et al. 2014) and is weak or absent in about 15 % (AASM manual: some 10-20 % of
    people generate no alpha), spindles peak at 13.3 +- 0.8 Hz, 1-7 per minute of N2 (Purcell et al. 2017).
    """
    names = [montage.channel for montage in MONTAGES]
    place = int(rng.choice(len(MONTAGES), p=_MONTAGE_WEIGHTS))
    if derivation is not None:
        if derivation not in names:
            raise ValueError(f"derivation: {derivation!r}; choose one of {', '.join(names)}")
        place = names.index(derivation)
    montage = _fitted(rng, MONTAGES[place])
    age = float(rng.uniform(18.0, 85.0))
    youth = _youth(age)
    alpha_generator = rng.random() > 0.15
    return Subject(
        montage=montage,
        age_years=age,
        gain=_lognormal(rng, 1.0, 0.3),
        exponent_shift=float(0.22 * rng.standard_normal() - 0.1 * (1 - youth)),
        exponent_spread=float(rng.uniform(0.8, 1.2)),
        alpha_hz=float(np.clip(10.0 + 0.9 * rng.standard_normal() - 0.6 * (1 - youth), 7.8, 12.2)),
        alpha_uv=_lognormal(rng, 9.0 if alpha_generator else 2.0, 0.4),
        alpha_share=float(rng.beta(2.0, 1.6)),
        beta_uv=_lognormal(rng, 2.2, 0.45),
        theta_hz=float(rng.uniform(4.3, 6.8)),
        theta_uv=_lognormal(rng, 4.0, 0.35),
        spindle_hz=float(np.clip(13.3 + 0.8 * rng.standard_normal(), 11.2, 15.6)),
        spindle_uv=_lognormal(rng, 14.0 + 8.0 * youth, 0.35),
        spindle_per_min=_lognormal(rng, 3.0 + 2.5 * youth, 0.4),
        sigma_uv=_lognormal(rng, 1.5, 0.45),
        k_complex_per_min=_lognormal(rng, 2.0, 0.55),
        k_complex_uv=_lognormal(rng, 80.0 + 50.0 * youth, 0.25),
        slow_uv=_lognormal(rng, 15.0 + 12.0 * youth, 0.35),
        slow_hz=float(rng.uniform(0.7, 1.1)),
        eye_uv=_lognormal(rng, 110.0, 0.4),
        muscle_uv=_lognormal(rng, 4.0, 0.7),
        restless_uv=_lognormal(rng, 10.0, 0.8),
        restless_share=float(rng.beta(2.0, 1.5) if rng.random() < 0.35 else rng.beta(1.0, 7.0)),
        arousals_per_h=_lognormal(rng, 12.0 + 8.0 * (1 - youth), 0.5),
        blend_s=float(rng.uniform(4.0, 25.0)),
        wander=float(rng.uniform(0.15, 0.45)),
        highpass_hz=float(rng.choice([0.1, 0.16, 0.3, 0.5], p=[0.3, 0.2, 0.35, 0.15])),
        lowpass_hz=float(rng.choice([22.0, 30.0, 35.0, 45.0], p=[0.12, 0.2, 0.38, 0.3])),
        drift_uv=_lognormal(rng, 10.0, 0.8),
        mains_uv=_lognormal(rng, 0.3, 0.8),
        noise_uv=_lognormal(rng, 0.7, 0.5),
    )
