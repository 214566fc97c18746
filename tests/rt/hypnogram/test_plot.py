"""The picture of a night: hypnogram above hypnodensity, in colors that everybody can tell apart."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eegvlm_rt
from eegvlm_rt.errors import InputError, RecordingError
from eegvlm_rt.hypnogram import Hypnogram, plot, sleep_statistics
from eegvlm_rt.hypnogram.density import density_of
from eegvlm_rt.hypnogram.palette import INK, MUTED, STAGE_COLORS, UNSCORED
from eegvlm_rt.hypnogram.time_axis import time_ticks
from eegvlm_rt.stages import STAGES, Stage

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")
START = datetime(2024, 1, 1, 23, 50)


def night(n: int = 40, start: datetime | None = START) -> Hypnogram:
    stages = [Stage(i % 5) for i in range(n)]
    rows = [{stage: 0.6 if stage == given else 0.1 for stage in STAGES} for given in stages]
    return Hypnogram.of(stages, start, rows)


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def share_of(picture: np.ndarray, color: str) -> float:
    return float((np.abs(picture.astype(int) - rgb(color)).max(axis=2) <= 2).mean())


class TestPicture:
    @pytest.mark.parametrize("size", [(1650, 900), (640, 480), (3000, 1200)])
    def test_it_has_the_size_that_was_asked_for(self, tmp_path, size):
        picture = pixels(plot.write_picture(night(), tmp_path / "h.png", size=size))
        assert picture.shape == (size[1], size[0], 3)

    @pytest.mark.parametrize("size", [(639, 900), (900, 479), (30_000, 900), (900.0, 900)])
    def test_a_size_that_cannot_be_read_is_refused(self, tmp_path, size):
        with pytest.raises(InputError, match="640 by 480"):
            plot.write_picture(night(), tmp_path / "h.png", size=size)

    @pytest.mark.parametrize("stage", STAGES)
    def test_probabilities_fill_the_lower_panel_in_the_color_of_their_stage(self, tmp_path, stage):
        certain = Hypnogram.of([stage] * 8, None, [{s: float(s == stage) for s in STAGES}] * 8)
        picture = pixels(plot.write_picture(certain, tmp_path / "h.png"))
        lower = picture[560:760, 200:1500]
        assert share_of(lower, STAGE_COLORS[stage]) > 0.95
        assert all(share_of(lower, STAGE_COLORS[other]) == 0 for other in STAGES if other != stage)

    @pytest.mark.parametrize("stage", STAGES)
    def test_there_is_a_legend_of_every_stage_always(self, tmp_path, stage):
        one = Hypnogram((Stage.W,) * 4)
        legend = pixels(plot.write_picture(one, tmp_path / "h.png"))[100:150]
        assert share_of(legend, STAGE_COLORS[stage]) > 0

    def test_without_probabilities_the_stages_have_all_the_room(self, tmp_path):
        picture = pixels(plot.write_picture(Hypnogram((Stage.N3,) * 8), tmp_path / "h.png"))
        assert share_of(picture[640:760, 200:1500], STAGE_COLORS[Stage.N3]) > 0.3

    def test_unscored_epochs_are_gray_in_both_panels(self, tmp_path):
        known = night(4).probabilities
        holed = Hypnogram((Stage.W, None, None, Stage.W), None, (known[0], None, None, known[0]))
        picture = pixels(plot.write_picture(holed, tmp_path / "h.png"))
        for first, last in ((170, 180), (570, 740)):
            assert share_of(picture[first:last, 750:950], UNSCORED) > 0.95

    def test_statistics_and_model_stand_on_it(self, tmp_path):
        whole = night()
        path = plot.write_picture(
            whole,
            tmp_path / "h.svg",
            title="A night",
            model="nano (12ab)",
            statistics=sleep_statistics(whole),
        )
        text = path.read_text(encoding="utf-8")
        for shown in (
            "A night",
            "nano (12ab)",
            "TST 16 min",
            "REM latency",
            "Not a medical device",
            "unknown",
        ):
            assert shown in text

    def test_a_reference_is_a_band_with_its_name(self, tmp_path):
        path = plot.write_picture(
            night(), tmp_path / "a.svg", reference=Hypnogram((Stage.W,) * 40), reference_name="expert"
        )
        assert ">expert<" in path.read_text(encoding="utf-8")

    def test_the_same_night_gives_the_same_bytes(self, tmp_path):
        for name in ("a.svg", "a.png", "a.pdf"):
            first = plot.write_picture(night(), tmp_path / name).read_bytes()
            assert plot.write_picture(night(), tmp_path / name).read_bytes() == first

    @pytest.mark.parametrize("epochs", [1, 3, 20, 960, 2880, 20160])
    def test_nights_of_every_length_can_be_drawn(self, tmp_path, epochs):
        assert plot.write_picture(night(epochs), tmp_path / "h.png", title="a night").stat().st_size > 1000

    def test_an_empty_night_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="at least one epoch"):
            plot.write_picture(Hypnogram(()), tmp_path / "h.png")

    def test_a_reference_of_another_length_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="give 40"):
            plot.write_picture(night(), tmp_path / "h.png", reference=night(39))

    def test_a_place_that_cannot_be_written_is_an_error(self, tmp_path):
        with pytest.raises(RecordingError, match="cannot be written"):
            plot.write_picture(night(), tmp_path / "missing" / "h.png")

    def test_another_suffix_is_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
            plot.write_picture(night(), tmp_path / "h.bmp")

    def test_without_matplotlib_the_cure_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setattr(plot, "find_spec", lambda _: None)
        with pytest.raises(InputError, match="pip install matplotlib"):
            plot.write_picture(night(), tmp_path / "h.png")

    def test_matplotlib_is_loaded_only_when_something_is_drawn(self):
        code = "import sys, eegvlm_rt.hypnogram.plot; assert 'matplotlib' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)

    @pytest.mark.parametrize(("width", "most"), [(1650, 12), (640, 4)])
    def test_labels_of_the_axes_do_not_touch(self, width, most):
        figure = plot.draw_night(night(960), size=(width, 700))
        figure.canvas.draw()
        labels = [t.get_window_extent() for t in figure.axes[-1].get_xticklabels() if t.get_text()]
        assert 2 <= len(labels) <= most
        assert all(a.x1 + 2 < b.x0 for a, b in pairwise(labels))
        inside = figure.bbox
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert inside.x0 <= box.x0
            assert box.x1 <= inside.x1


class TestDensity:
    def test_epochs_that_are_wide_enough_stay_as_they_are(self):
        found = density_of(night(40), 1000)
        assert (found.epochs, found.note) == (1, "")
        np.testing.assert_allclose(found.proba, night(40).probabilities)

    @given(st.integers(1, 3000), st.floats(50, 3000))
    @settings(max_examples=40, deadline=None)
    def test_a_column_is_never_narrower_than_four_pixels_and_adds_up(self, epochs, width):
        found = density_of(night(epochs), width)
        assert found.epochs == 1 or found.epochs * width / epochs >= 3.99
        np.testing.assert_allclose(found.proba.sum(axis=1), 1.0)
        assert found.edges_s[-1] == 30 * epochs
        assert (np.diff(found.edges_s) > 0).all()
        weights = np.diff(found.edges_s)
        mean = np.average(found.proba, axis=0, weights=weights)
        np.testing.assert_allclose(mean, np.mean(night(epochs).probabilities, axis=0), atol=1e-9)

    def test_what_is_not_known_is_in_no_mean(self):
        row = (1.0, 0.0, 0.0, 0.0, 0.0)
        holed = Hypnogram((Stage.W, None) * 500, None, (row, None) * 500)
        found = density_of(holed, 200)
        assert found.note == "mean of 10 min"
        np.testing.assert_array_equal(found.proba, [row] * 50)


class TestTimeAxis:
    @given(
        st.none() | st.datetimes(datetime(1985, 1, 1), datetime(2084, 1, 1)),
        st.integers(1, 20160),
        st.integers(2, 20),
    )
    def test_no_label_comes_twice_and_there_are_never_too_many(self, start, epochs, most):
        ticks = time_ticks(start, 30.0 * epochs, most=most)
        labels = [label for _, label in ticks]
        assert len(set(labels)) == len(labels) <= most
        places = [place for place, _ in ticks]
        assert places == sorted(places)
        assert all(-1e-6 <= place <= 30.0 * epochs + 1e-6 for place in places)

    def test_a_night_has_round_hours_and_its_new_day(self):
        labels = [label for _, label in time_ticks(datetime(2024, 1, 1, 22, 47), 5 * 3600)]
        assert labels == [
            "23:00",
            "23:30",
            "00:00\n2 Jan",
            "00:30",
            "01:00",
            "01:30",
            "02:00",
            "02:30",
            "03:00",
            "03:30",
        ]

    def test_without_a_start_time_counts_on_after_a_day(self):
        assert [label for _, label in time_ticks(None, 30 * 3600, most=6)] == [
            "0:00",
            "6:00",
            "12:00",
            "18:00",
            "24:00",
            "30:00",
        ]

    def test_half_a_minute_has_seconds(self):
        assert [label for _, label in time_ticks(None, 30)] == ["0:00:00", "0:00:10", "0:00:20", "0:00:30"]


# Severity 1.0 of Machado, Oliveira & Fernandes 2009 (IEEE TVCG 15:1291), table of matrices, linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(color: str) -> np.ndarray:
    share = rgb(color) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB, white D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ light
    scaled = np.maximum(xyz, 0) / [0.9505, 1.0, 1.089]
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(a: str, b: str) -> float:
    """WCAG 2 contrast ratio."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


class TestPalette:
    @pytest.mark.parametrize("kind", DEFICIENCIES)
    def test_stages_are_told_apart_with_every_color_vision(self, kind):
        seen = {s: lab(np.clip(DEFICIENCIES[kind] @ linear(c), 0, 1)) for s, c in STAGE_COLORS.items()}
        distances = {(a.name, b.name): np.linalg.norm(seen[a] - seen[b]) for a, b in combinations(STAGES, 2)}
        assert min(distances.values()) > 20, distances

    def test_text_can_be_read_on_white(self):
        assert contrast(INK, "#FFFFFF") > 7
        assert contrast(MUTED, "#FFFFFF") > 4.5

    def test_no_other_file_of_the_runtime_has_colors_of_its_own(self):
        own = [
            path.name
            for path in Path(eegvlm_rt.__file__).parent.rglob("*.py")
            if path.name != "palette.py" and re.search(r"#[0-9A-Fa-f]{6}\b", path.read_text(encoding="utf-8"))
        ]
        assert own == []
