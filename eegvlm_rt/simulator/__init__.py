"""Simulated sleep recordings: hypnograms with real transition statistics, signals whose stages overlap.

A simulated night is for demonstrations, tests and distillation. It is not evidence about any person.
"""

from __future__ import annotations

from .edf import write_edf
from .hypnogram import sample_hypnogram
from .night import SimulatedNight, simulate_night
from .subject import MONTAGES, Subject, sample_subject

__all__ = [
    "MONTAGES",
    "SimulatedNight",
    "Subject",
    "sample_hypnogram",
    "sample_subject",
    "simulate_night",
    "write_edf",
]
