"""The picture of a night: hypnogram above hypnodensity."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest

from eegvlm_rt import plot
from eegvlm_rt.errors import InputError, RecordingError
from eegvlm_rt.hypnogram import Hypnogram
from eegvlm_rt.stages import STAGES, Stage

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


def night(n: int = 40, start: datetime | None = datetime(2024, 1, 1, 23, 50)) -> Hypnogram:
    stages = [Stage(i % 5) for i in range(n)]
    rows = [{stage: 0.6 if stage == given else 0.1 for stage in STAGES} for given in stages]
    return Hypnogram.of(stages, start, rows)


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def share_of(picture: np.ndarray, color: str) -> float:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return float((np.abs(picture.astype(int) - rgb).max(axis=2) <= 2).mean())


def test_the_picture_has_its_documented_size(tmp_path):
    assert pixels(plot.write_png(night(), tmp_path / "h.png")).shape == (840, 1650, 3)


@pytest.mark.parametrize("stage", STAGES)
def test_probabilities_take_their_share_of_the_lower_half_in_the_color_of_their_stage(tmp_path, stage):
    certain = Hypnogram.of([stage] * 8, None, [{s: float(s == stage) for s in STAGES}] * 8)
    picture = pixels(plot.write_png(certain, tmp_path / "h.png"))
    lower = picture[480:720, 200:1500]
    assert share_of(lower, plot.STAGE_COLORS[stage]) > 0.95
    assert all(share_of(lower, plot.STAGE_COLORS[other]) == 0 for other in STAGES if other != stage)


def test_without_probabilities_there_is_one_panel(tmp_path):
    bare = Hypnogram(night().stages)
    assert pixels(plot.write_png(bare, tmp_path / "h.png")).shape == (510, 1650, 3)


def test_unscored_epochs_leave_a_hole(tmp_path):
    known = night(4)
    holed = Hypnogram(
        (Stage.W, None, None, Stage.W), None, (known.probabilities[0], None, None, known.probabilities[0])
    )
    picture = pixels(plot.write_png(holed, tmp_path / "h.png"))
    assert (picture[500:700, 800:850] == 255).all()
    assert share_of(picture[150:160, 800:850], "#ECEFF1") == 1.0


def test_a_reference_changes_the_picture(tmp_path):
    alone = pixels(plot.write_png(night(), tmp_path / "a.png"))
    both = pixels(plot.write_png(night(), tmp_path / "b.png", reference=Hypnogram((Stage.W,) * 40)))
    assert (alone != both).any()


@pytest.mark.parametrize("epochs", [1, 3, 20, 960, 2880])
def test_nights_of_every_length_can_be_drawn(tmp_path, epochs):
    assert plot.write_png(night(epochs), tmp_path / "h.png", title="a night").stat().st_size > 1000


def test_an_empty_night_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least one epoch"):
        plot.write_png(Hypnogram(()), tmp_path / "h.png")


def test_a_reference_of_another_length_is_refused(tmp_path):
    with pytest.raises(InputError, match="give 40"):
        plot.write_png(night(), tmp_path / "h.png", reference=night(39))


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(RecordingError, match="cannot be written"):
        plot.write_png(night(), tmp_path / "missing" / "h.png")


def test_without_matplotlib_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(plot, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'eegvlm-rt\[viz\]'"):
        plot.write_png(night(), tmp_path / "h.png")


def test_matplotlib_is_loaded_only_when_something_is_drawn():
    code = "import sys, eegvlm_rt.plot; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
