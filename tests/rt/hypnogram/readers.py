"""The reader of each form of a hypnogram that can be read back."""

from __future__ import annotations

from eegvlm_rt.hypnogram import (
    from_csv,
    from_json,
    read_bids_events,
    read_bids_hypnogram,
    read_edf,
    read_edfbrowser,
    read_profusion,
)

__all__ = ["READERS"]

READERS = {
    "edf": read_edf,
    "edf-rk": read_edf,
    "csv": from_csv,
    "json": from_json,
    "bids": read_bids_events,
    "bids-hypnogram": read_bids_hypnogram,
    "profusion": read_profusion,
    "edfbrowser": read_edfbrowser,
}
