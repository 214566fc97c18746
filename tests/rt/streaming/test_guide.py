"""The guide to streams: its table of delays is that of the filters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eegvlm_rt.signal.conditioning import lookahead_s

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "streaming.md"


def test_the_lookahead_is_as_the_guide_says() -> None:
    rates, delays = (
        re.findall(r"([\d.]+)(?: Hz| s| (?=\|))", line)
        for line in GUIDE.read_text(encoding="utf-8").splitlines()
        if line.startswith(("| rate", "| lookahead"))
    )
    assert len(rates) == len(delays) == 7
    for rate, delay in zip(rates, delays, strict=True):
        assert lookahead_s(float(rate)) == pytest.approx(float(delay), abs=0.005)
