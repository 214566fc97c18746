"""The benchmark of many nights: its files differ from one another and are nights all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.cohort import SIMULATED, simulate
from eegvlm_rt.cohort.tasks import file_digest
from eegvlm_rt.sources import read_channel

if TYPE_CHECKING:
    from pathlib import Path


def test_no_two_files_are_alike_and_a_variation_is_its_night_from_another_start(tmp_path: Path) -> None:
    simulate(tmp_path / "data", SIMULATED + 2, hours=1 / 30)
    paths = sorted((tmp_path / "data").iterdir())
    assert len({file_digest(path) for path in paths}) == SIMULATED + 2
    first, again = (read_channel(paths[i]).samples_uv for i in (0, SIMULATED))
    assert len(first) == len(again) == 12_000
    alike = [abs(np.corrcoef(np.roll(first, -3000 * k), again)[0, 1]) for k in range(4)]
    assert max(alike) > 0.999
