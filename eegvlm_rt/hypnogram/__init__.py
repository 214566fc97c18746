"""The stages of a night: a value, its files, and how well two of them agree."""

from __future__ import annotations

from .agreement import Agreement, agreement, cohen_kappa
from .bids import read_bids_events, read_bids_hypnogram, write_bids_events, write_bids_hypnogram
from .course import SleepCycle
from .definitions import DEFINITIONS, NOT_ASSESSED
from .edf import read_edf, write_edf
from .edfbrowser import read_edfbrowser, write_edfbrowser
from .formats import FORMATS, write_format
from .intervals import Interval, statistics_intervals
from .model import Hypnogram
from .profusion import read_profusion, write_profusion
from .statistics import LightsKnown, SleepStatistics, sleep_statistics
from .text import from_csv, from_json, to_csv, to_json
from .yasa import from_yasa, to_yasa

__all__ = [
    "DEFINITIONS",
    "FORMATS",
    "NOT_ASSESSED",
    "Agreement",
    "Hypnogram",
    "Interval",
    "LightsKnown",
    "SleepCycle",
    "SleepStatistics",
    "agreement",
    "cohen_kappa",
    "from_csv",
    "from_json",
    "from_yasa",
    "read_bids_events",
    "read_bids_hypnogram",
    "read_edf",
    "read_edfbrowser",
    "read_profusion",
    "sleep_statistics",
    "statistics_intervals",
    "to_csv",
    "to_json",
    "to_yasa",
    "write_bids_events",
    "write_bids_hypnogram",
    "write_edf",
    "write_edfbrowser",
    "write_format",
    "write_profusion",
]
