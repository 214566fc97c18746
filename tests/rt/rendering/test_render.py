"""What the picture of an epoch shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eegvlm_rt import _kernel
from eegvlm_rt.rendering.renderer import RenderSpec, build_config, render

PLAIN = RenderSpec(width=60, height=80, rows=1, uv_range=40.0)  # one pixel to a microvolt, zero at y = 40


def ink(picture: np.ndarray) -> np.ndarray:
    """Share of each pixel that is black."""
    return 1.0 - picture[..., 0] / 255.0


def flat(level_uv: float, samples: int = 600) -> np.ndarray:
    return np.full(samples, level_uv, np.float32)


def test_a_picture_is_white_where_no_trace_lies() -> None:
    picture = render(flat(0.0), PLAIN)
    assert picture.shape == (80, 60, 3)
    assert picture.dtype == np.uint8
    assert (picture[:35] == 255).all()
    assert (picture[45:] == 255).all()


def test_the_stroke_is_black_and_the_three_planes_are_equal() -> None:
    picture = render(flat(-0.5), PLAIN)
    assert (picture[40, 1:-1] == 0).all()
    assert (picture == picture[..., :1]).all()


@pytest.mark.parametrize("line_width", [0.5, 1.0, 1.5, 2.0, 3.0, 8.0])
@pytest.mark.parametrize("level_uv", [0.0, 0.25, -7.4])
def test_a_flat_line_covers_its_line_width_in_every_column(line_width: float, level_uv: float) -> None:
    spec = RenderSpec(width=60, height=80, rows=1, uv_range=40.0, line_width=line_width)
    columns = ink(render(flat(level_uv), spec)).sum(axis=0)[1:-1]
    np.testing.assert_allclose(columns, line_width, atol=0.012)


def test_positive_is_up_and_the_range_fills_the_row() -> None:
    for level_uv, y in ((30.0, 10), (0.0, 40), (-30.0, 70)):
        rows = ink(render(flat(level_uv), PLAIN)).sum(axis=1)
        assert rows[y - 1] == pytest.approx(rows[y], abs=1.0)
        assert rows[y - 1] + rows[y] == pytest.approx(60, abs=1.0)


def test_values_beyond_the_range_are_held_at_the_edge_with_the_whole_stroke() -> None:
    beyond = render(flat(1e6), PLAIN)
    np.testing.assert_array_equal(beyond, render(flat(40.0), PLAIN))
    assert (beyond[0, 1:-1] == 0).all()
    assert (beyond[1:] == 255).all()


def test_a_line_is_interpolated_before_it_is_held() -> None:
    steep = np.array([-4000.0, 4000.0], np.float32)
    crossing = np.flatnonzero(ink(render(steep, PLAIN))[40])
    assert crossing.tolist() == [29, 30]


def test_one_sample_is_a_dot() -> None:
    spec = RenderSpec(width=60, height=80, rows=1, uv_range=40.0, line_width=4.0)
    dot = ink(render(np.zeros(1, np.float32), spec))
    assert dot.sum() == pytest.approx(np.pi * 2.0**2, rel=0.05)
    assert np.flatnonzero(dot.any(axis=1)).tolist() == [38, 39, 40, 41]
    assert np.flatnonzero(dot.any(axis=0)).tolist() == [28, 29, 30, 31]


@pytest.mark.parametrize(
    "samples", [np.empty(0), np.full(9, np.nan), np.full(9, np.inf), np.full(9, -np.inf)]
)
def test_nothing_to_draw_is_a_white_picture(samples: np.ndarray) -> None:
    assert (render(samples, PLAIN) == 255).all()


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_a_gap_is_left_white_and_its_sides_are_untouched(missing: float) -> None:
    x = flat(3.0)
    x[200:400] = missing
    columns = ink(render(x, PLAIN)).sum(axis=0)
    np.testing.assert_allclose(columns[1:19], 1.0, atol=0.01)
    assert (columns[21:39] == 0).all()
    np.testing.assert_allclose(columns[41:59], 1.0, atol=0.01)


def test_a_gap_of_one_sample_is_not_bridged() -> None:
    x = np.repeat(np.array([-20.0, 20.0], np.float32), 300)
    x[300] = np.nan
    whole = np.repeat(np.array([-20.0, 20.0], np.float32), 300)
    assert ink(render(whole, PLAIN))[40, 28:32].sum() == pytest.approx(1.0, abs=0.1)
    assert (ink(render(x, PLAIN))[25:55] == 0).all()


def test_rows_fold_the_recording_from_top_to_bottom() -> None:
    spec = RenderSpec(width=60, height=90, rows=3, uv_range=15.0)
    for row in range(3):
        x = np.full(900, np.nan)
        x[300 * row : 300 * (row + 1)] = 0.0
        black = ink(render(x, spec)).sum(axis=1)
        assert black[30 * row : 30 * (row + 1)].sum() == pytest.approx(60, abs=1.0)
        assert np.delete(black, slice(30 * row, 30 * (row + 1))).sum() == pytest.approx(0.0, abs=0.6)


def test_folding_cuts_one_long_picture_and_changes_nothing_else() -> None:
    x = np.cumsum(np.random.default_rng(3).standard_normal(600))
    long = ink(render(x, RenderSpec(width=240, height=60, rows=1, uv_range=30.0)))
    folded = ink(render(x, RenderSpec(width=60, height=240, rows=4, uv_range=30.0)))
    unfolded = np.concatenate(np.split(folded, 4), axis=1)
    assert np.abs(long - unfolded).max() < 0.2
    assert np.abs(long - unfolded).mean() < 0.003


def test_the_line_continues_to_the_row_edges() -> None:
    spec = RenderSpec(width=60, height=40, rows=2, uv_range=10.0)
    few = ink(render(np.array([0.0, 10.0, -10.0, 0.0]), spec))
    assert few[:20, 59].sum() > 0.9  # falling through zero where the first row ends
    assert few[20:, 0].sum() > 0.9  # and where the second begins
    assert few[:20, 0].sum() == 0.0  # nothing comes before the first sample


def test_rows_need_not_hold_whole_samples_or_whole_pixels() -> None:
    picture = ink(render(flat(0.0, 1001), RenderSpec(width=61, height=100, rows=7, uv_range=10.0)))
    assert picture.sum() == pytest.approx(7 * 61, rel=0.01)


def test_channels_are_stacked_within_each_row() -> None:
    spec = RenderSpec(width=60, height=80, rows=2, channels=2, uv_range=10.0)
    x = np.full((2, 600), np.nan)
    x[1, :300] = 0.0
    black = ink(render(x, spec)).sum(axis=1)
    assert black[20:40].sum() == pytest.approx(60, abs=1.0)
    assert not black[:20].any()
    assert not black[40:60].any()
    assert black[60:].sum() < 0.6  # half a round cap, where the first row ends


def test_strokes_never_leave_their_row() -> None:
    x = np.random.default_rng(0).standard_normal((2, 5000)) * 1000.0
    x[1] = np.nan
    picture = ink(render(x, RenderSpec(width=100, height=120, rows=3, channels=2, line_width=3.0)))
    for strip in range(6):
        inside = picture[20 * strip : 20 * (strip + 1)]
        assert inside.any() == (strip % 2 == 0)


@pytest.mark.parametrize(
    "spec", [PLAIN, RenderSpec(width=33, height=70, mean=(0.1, 0.5, 0.9), std=(1.0, 0.3, 2.0))]
)
def test_float_output_is_the_normalized_bytes(spec: RenderSpec) -> None:
    x = np.random.default_rng(1).standard_normal(3000) * 20.0
    floats = render(x, spec, output="f32")
    assert floats.shape == (3, spec.height, spec.width)
    assert floats.dtype == np.float32
    expected = (render(x, spec).transpose(2, 0, 1) / 255.0 - np.reshape(spec.mean, (3, 1, 1))) / np.reshape(
        spec.std, (3, 1, 1)
    )
    np.testing.assert_allclose(floats, expected, atol=1e-6)


def test_scale_and_offset_turn_counts_into_microvolts() -> None:
    counts = np.random.default_rng(2).integers(-3000, 3000, 500).astype(np.int16)
    np.testing.assert_array_equal(
        render(counts, PLAIN, scale=0.0125, offset=1.5), render(counts * 0.0125 + 1.5, PLAIN)
    )


@pytest.mark.parametrize("width", [33, 64])
def test_every_output_shows_the_same_picture(width: int) -> None:
    spec = RenderSpec(width=width, height=70, rows=2)
    x = np.random.default_rng(1).standard_normal(3000) * 20.0
    gray = render(x, spec)[..., 0]
    floats = render(x, spec, output="f32")
    np.testing.assert_array_equal(render(x, spec, output="gray"), gray)
    np.testing.assert_array_equal(render(x, spec, output="u8_chw"), np.stack([gray] * 3))
    np.testing.assert_array_equal(render(x, spec, output="gray_f32"), floats[0])
    np.testing.assert_array_equal(render(x, spec, output="f16"), floats.astype(np.float16))


@pytest.mark.parametrize("output", ["u8", "u8_chw", "f32", "f16", "gray", "gray_f32"])
def test_every_instruction_set_draws_the_same_bytes(output: Any) -> None:
    x = np.cumsum(np.random.default_rng(4).standard_normal(2000))
    x[700:800] = np.nan
    best = str(build_config()["instruction_set"])
    try:
        pictures = []
        for name in str(build_config()["instruction_sets"]).split():
            _kernel.use_instruction_set(name)
            pictures += [render(x, spec, output=output).tobytes() for spec in (PLAIN, RenderSpec(width=97))]
    finally:
        _kernel.use_instruction_set(best)
    assert len(set(pictures)) == 2
