"""A clock that is set while a night is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from eegvlm_rt.journal import read
from eegvlm_rt.service import parse_configuration, read_frames
from eegvlm_rt.service.bed import Bed, BedState
from eegvlm_rt.service.clock import Clock

from .running import channel_of, night_file, until

if TYPE_CHECKING:
    from pathlib import Path


class SetAtTheWorstMoment(Clock):
    """Is set by `step_s` right after both clocks were read, before anything else is."""

    def __init__(self) -> None:
        self.step_s = self._offset_s = 0.0

    def wall(self) -> float:
        return super().wall() + self._offset_s

    def both(self) -> tuple[float, float]:
        now = super().both()
        self._offset_s += self.step_s
        self.step_s = 0.0
        return now


@pytest.mark.parametrize("days", [-1, 2])
def test_a_night_goes_on_under_its_date_whenever_the_clock_is_set(tmp_path: Path, days: int) -> None:
    recording = night_file(tmp_path, hours=0.02)
    text = f'data = "{tmp_path}/data"\n[[beds]]\nid = "one"\nsource = "edf:{recording}@30x"\n'
    configuration = parse_configuration(text.encode())
    clock, events = SetAtTheWorstMoment(), []
    bed = Bed(
        configuration.beds[0],
        configuration.data,
        configuration.model,
        None,
        clock,
        on_night=lambda _bed, _night: None,
        on_event=lambda _bed, kind, _detail: events.append(kind),
        on_samples=lambda _bed, _samples, _received_s: None,
    )
    bed.start()
    until(lambda: bed.samples > 64, every_s=0.02)
    clock.step_s = 86_400.0 * days
    until(lambda: bed.state is BedState.ENDED, every_s=0.05)
    bed.stop()
    folders = [folder for folder in (tmp_path / "data" / "one").iterdir() if folder.is_dir()]
    assert len(folders) == 1
    np.testing.assert_array_equal(
        np.concatenate([frame.samples for frame in read_frames(folders[0])]), channel_of(recording)
    )
    assert "clock set" in {record.body.get("event") for record in read(folders[0] / "night.journal").records}
    assert "clock" in events
