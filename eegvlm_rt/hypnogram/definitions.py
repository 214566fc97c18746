"""What each sleep statistic means, over which window, and what one EEG channel cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["DEFINITIONS", "NOT_ASSESSED"]

DEFINITIONS: Final[Mapping[str, str]] = {
    "recording_min": "Total recording time (TRT): lights off to lights on, unscored epochs included. AASM.",
    "scored_min": "Part of the TRT that has a stage.",
    "unscored_min": "Part of the TRT without a stage: neither wake nor sleep.",
    "sleep_min": "Total sleep time (TST): epochs of N1, N2, N3 and R between lights off and lights on. AASM.",
    "sleep_period_min": "Sleep period time (SPT): first to last epoch of sleep, wake and unscored epochs "
    "included.",
    "efficiency_pct": "Sleep efficiency (SE): TST of TRT. An unscored epoch is time without known sleep. "
    "AASM.",
    "efficiency_scored_pct": "TST of the scored part of the TRT.",
    "maintenance_pct": "Sleep maintenance efficiency: TST of SPT.",
    "onset_latency_min": "Sleep onset latency (SOL): lights off to the first epoch of any sleep. AASM.",
    "onset_latency_3_epochs_min": "Lights off to the first of three sleep epochs in a row.",
    "onset_latency_5min_min": "Lights off to the first epoch of 5 min of sleep in a row.",
    "persistent_sleep_latency_min": "Latency to persistent sleep (LPS): lights off to the first epoch of 10 "
    "min of sleep in a row.",
    "rem_latency_min": "R latency: first epoch of any sleep to the first epoch of R. AASM.",
    "rem_latency_3_epochs_min": "First epoch of any sleep to the first of three epochs of R in a row.",
    "rem_latency_period_min": "First epoch of any sleep to the first epoch of R of the first 5 min of "
    "which 7 of 10 epochs are R: a few stray epochs do not move it.",
    "rem_latency_from_lights_off_min": "Lights off to the first epoch of R; YASA's Lat_REM.",
    "waso_min": "Wake after sleep onset: epochs of W from the first epoch of sleep to lights on. AASM.",
    "waso_in_sleep_period_min": "Epochs of W between the first and the last epoch of sleep; YASA's WASO.",
    "final_wake_min": "Epochs of W after the last epoch of sleep, to lights on.",
    "awakenings": "Runs of W between the first and the last epoch of sleep.",
    "stage_shifts": "Changes from one stage to another between the first and the last epoch of sleep.",
    "wake_transitions_per_h": "Sleep fragmentation index: changes from sleep to W per hour of TST; YASA's "
    "SFI.",
    "fragmentation_per_h": "Changes from N2, N3 or R to N1 or W, and from N1 to W, per hour of TST "
    "(Haba-Rubio et al. 2004, Sleep Medicine 5:577).",
    "stage_min": "Minutes of each stage between lights off and lights on. AASM.",
    "stage_pct": "Share of N1, N2, N3 and R in TST. AASM.",
    "stage_latency_min": "First epoch of any sleep to the first epoch of the stage.",
    "third_min": "Minutes of each stage in the first, second and last third of SPT.",
    "transitions": "How often the stage of a column follows that of a row, 30 s later, between lights off "
    "and on.",
    "cycles": "NREM-REM cycles after Feinberg & Floyd (1979, Psychophysiology 16:283).",
}
"""Field of `SleepStatistics` -> definition and window. "AASM" is the AASM Manual for the Scoring of Sleep
and Associated Events, "Parameters to be reported".
"""

NOT_ASSESSED: Final[Mapping[str, str]] = {
    "arousal index": "needs arousals of 3 s and more, and the chin muscle in R",
    "apnea-hypopnea index": "needs airflow, effort and oxygen saturation",
    "oxygen desaturation index": "needs oxygen saturation",
    "periodic limb movement index": "needs leg muscles",
    "R without doubt": "rapid eye movements and chin tone are not seen: R is inferred from one EEG channel",
}
"""What reports of a whole polysomnography have and one EEG channel cannot give -> why. Never 0: not
assessed.
"""
