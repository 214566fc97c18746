"""The drift of the device clock against that of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from eegvlm_rt.streaming.clocks import DriftMeter

if TYPE_CHECKING:
    pass


class TestDrift:
    @pytest.mark.parametrize("ppm", [-120.0, 0.0, 40.0])
    def test_it_is_estimated_in_spite_of_late_packets(self, ppm: float) -> None:
        meter, rng = DriftMeter(), np.random.default_rng(1)
        for wall in np.arange(0, 3600, 1.0):
            late = rng.uniform(0, 0.01) + (rng.uniform(0, 5) if rng.uniform() < 0.1 else 0)
            meter.add(wall * (1 + ppm * 1e-6), 1.7e9 + wall + late)
        assert meter.ppm == pytest.approx(ppm, abs=3)

    @pytest.mark.parametrize(("speed", "ppm"), [(10.0, None), (0.5, None), (1.04, 4e4)])
    def test_a_recording_that_is_played_has_none(self, speed: float, ppm: float | None) -> None:
        meter = DriftMeter()
        for wall in range(120):
            meter.add(speed * wall, 1.7e9 + wall)
        assert meter.ppm == (None if ppm is None else pytest.approx(ppm))

    def test_it_is_not_told_before_a_minute(self) -> None:
        meter = DriftMeter()
        for wall in range(59):
            meter.add(wall, wall)
        assert meter.ppm is None
        meter.add(60, 60)
        meter.add(61, 61)
        assert meter.ppm == pytest.approx(0)
        meter.restart()
        assert meter.ppm is None
