"""Ticks, scale lines, masks, and channels with ranges and gains of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.rendering.renderer import OutputName, RenderSpec, render, render_batch

PLAIN = {"width": 60, "height": 80, "rows": 2, "uv_range": 20.0}  # one pixel to a microvolt
NOTHING = np.full(600, np.nan)
X = np.random.default_rng(0).standard_normal(600) * 8.0


def gray(x: np.ndarray, **fields: Any) -> np.ndarray:
    return render(x, RenderSpec(**{**PLAIN, **fields}), output="gray")


def test_ticks_part_the_recording_into_equal_lengths() -> None:
    picture = gray(NOTHING, ticks=10, mark_gray=0)
    for row in (picture[:40], picture[40:]):
        assert (row[:35] == 255).all()
        inked = np.flatnonzero(row[36] < 255)
        assert inked.tolist() == [0, 11, 12, 23, 24, 35, 36, 47, 48, 59]
        assert (row[35:, inked] == row[39, inked]).all()
    assert (picture[39, [11, 12]] == 127).all()  # half of a pixel to either side


def test_scale_lines_run_through_every_row_at_their_level() -> None:
    picture = gray(NOTHING, scale_lines=(10.5, -10.5), mark_gray=100)
    assert np.flatnonzero((picture < 255).all(axis=1)).tolist() == [9, 30, 49, 70]
    assert set(np.unique(picture)) == {100, 255}


def test_scale_lines_follow_the_range_of_their_channel() -> None:
    fields = {"rows": 1, "channels": 2, "channel_uv_range": (20.0, 40.0), "scale_lines": (10.5, 0.5)}
    picture = gray(np.stack([NOTHING, NOTHING]), **fields, mark_gray=0)
    assert np.flatnonzero((picture == 0).all(axis=1)).tolist() == [9, 19]
    half = np.flatnonzero((picture < 255).all(axis=1) & (picture > 0).all(axis=1))
    assert half.tolist() == [54, 55, 59, 60]


def test_a_scale_line_beyond_the_range_is_held_at_the_edge() -> None:
    picture = gray(NOTHING, scale_lines=(1e12, -1e12), mark_gray=0)
    assert np.flatnonzero((picture == 0).all(axis=1)).tolist() == [0, 39, 40, 79]


def test_the_trace_lies_over_the_marks() -> None:
    marks = gray(NOTHING, ticks=10, scale_lines=(5.0,)).astype(int)
    trace = gray(X).astype(int)
    both = gray(X, ticks=10, scale_lines=(5.0,)).astype(int)
    assert np.abs(both - trace * marks / 255.0).max() <= 0.5
    np.testing.assert_array_equal(both[trace == 0], 0)


@pytest.mark.parametrize("output", ["u8", "u8_chw", "f32", "f16", "gray_f32"])
@pytest.mark.parametrize("width", [33, 64])
def test_marks_show_alike_in_every_output(output: OutputName, width: int) -> None:
    spec = RenderSpec(width=width, height=50, rows=2, ticks=30, scale_lines=(37.5, -37.5))
    shown = render(X, spec, output="gray")
    floats = (
        shown[None] * np.reshape([1 / (255 * s) for s in spec.std], (3, 1, 1)).astype(np.float32)
    ) + np.reshape([-m / s for m, s in zip(spec.mean, spec.std, strict=True)], (3, 1, 1)).astype(np.float32)
    expected = {
        "u8": np.repeat(shown[..., None], 3, axis=-1),
        "u8_chw": np.stack([shown] * 3),
        "f32": floats,
        "f16": floats.astype(np.float16),
        "gray_f32": floats[0],
    }[output]
    np.testing.assert_array_equal(render(X, spec, output=output), expected)


def test_marks_that_are_white_do_not_show() -> None:
    np.testing.assert_array_equal(gray(X, ticks=30, scale_lines=(0.0,), mark_gray=255), gray(X))


def test_without_marks_a_spec_reads_as_before_there_were_any() -> None:
    plain = RenderSpec().to_dict()
    assert list(plain) == ["width", "height", "rows", "uv_range", "line_width", "channels", "mean", "std"]
    marked = RenderSpec(
        channels=2, ticks=30, scale_lines=(37.5,), channel_uv_range=(75.0, 200.0), mark_gray=9
    )
    assert RenderSpec.from_dict(marked.to_dict()) == marked


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.data())
def test_each_channel_is_drawn_as_if_it_were_alone(channels: int, data: st.DataObject) -> None:
    positive = st.floats(1.0, 500.0)
    ranges = tuple(data.draw(st.lists(positive, min_size=channels, max_size=channels)))
    gains = tuple(data.draw(st.lists(st.floats(-3, 3), min_size=channels, max_size=channels)))
    shifts = tuple(data.draw(st.lists(st.floats(-50, 50), min_size=channels, max_size=channels)))
    x = np.random.default_rng(channels).standard_normal((channels, 300)) * 30.0
    spec = RenderSpec(width=50, height=20 * channels, rows=1, channels=channels, channel_uv_range=ranges)
    picture = render(x, spec, scale=gains, offset=shifts)
    for c in range(channels):
        alone = RenderSpec(width=50, height=20 * channels, rows=1, channels=channels, uv_range=ranges[c])
        strip = slice(20 * c, 20 * (c + 1))
        np.testing.assert_array_equal(
            picture[strip], render(x, alone, scale=gains[c], offset=shifts[c])[strip]
        )


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from(["f2", "f4", "f8"]))
def test_masked_samples_are_gaps_like_nan(data: st.DataObject, dtype: str) -> None:
    count, channels = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 3))
    x = (np.random.default_rng(count).standard_normal((4, channels, count)) * 20).astype(dtype)
    lost = np.random.default_rng(count).random(x.shape) < data.draw(st.floats(0, 1))
    spec = RenderSpec(width=40, height=60, rows=2, channels=channels)
    expected = render_batch(np.where(lost, np.array(np.nan, dtype), x), spec)
    np.testing.assert_array_equal(render_batch(x, spec, mask=lost, threads=2), expected)
    np.testing.assert_array_equal(render(x[0], spec, mask=lost[0]), expected[0])


@pytest.mark.parametrize("dtype", ["i2", "i4", ">i2"])
def test_whole_numbers_can_be_missing_too(dtype: str) -> None:
    counts = np.random.default_rng(1).integers(-20, 20, 300)
    lost = np.arange(300) % 50 < 7
    np.testing.assert_array_equal(
        gray_of(counts.astype(dtype), lost), gray_of(np.where(lost, np.nan, counts), None)
    )


def gray_of(x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return render(x, RenderSpec(**PLAIN), mask=mask, output="gray")


def test_a_mask_is_broadcast_and_read_in_any_strides() -> None:
    spec = RenderSpec(width=40, height=60, rows=1, channels=2)
    x = np.random.default_rng(2).standard_normal((3, 2, 100)) * 20
    lost = np.arange(100) % 9 == 0
    expected = render_batch(np.where(lost, np.nan, x), spec)
    np.testing.assert_array_equal(render_batch(x, spec, mask=lost), expected)
    np.testing.assert_array_equal(render_batch(x, spec, mask=lost[::-1].copy()[::-1]), expected)
    np.testing.assert_array_equal(render_batch(x, spec, mask=np.repeat(lost, 3)[::3].tolist()), expected)


@pytest.mark.parametrize(
    ("keywords", "error", "name"),
    [
        ({"mask": np.zeros(600)}, TypeError, "mask"),
        ({"mask": np.zeros(599, bool)}, ValueError, "mask"),
        ({"mask": [[True], [True, False]]}, ValueError, "mask"),
        ({"scale": (1.0, 2.0)}, ValueError, "scale"),
        ({"scale": ("1",)}, TypeError, "scale"),
        ({"offset": (float("inf"),)}, ValueError, "offset"),
        ({"offset": ()}, ValueError, "offset"),
    ],
)
def test_a_wrong_argument_is_named(keywords: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=f"^{name}: "):
        render(X, RenderSpec(**PLAIN), **keywords)


def test_an_out_that_overlaps_the_mask_is_refused() -> None:
    spec = RenderSpec(**PLAIN)
    out = np.zeros(spec.shape("gray"), np.uint8)
    with pytest.raises(ValueError, match=r"^out: overlaps mask"):
        render(X, spec, mask=out.reshape(-1)[:600].view(bool), out=out, output="gray")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("ticks", -1, ValueError),
        ("ticks", 4097, ValueError),
        ("ticks", 1.0, TypeError),
        ("scale_lines", 37.5, TypeError),
        ("scale_lines", (float("nan"),), ValueError),
        ("scale_lines", (0.0,) * 17, ValueError),
        ("mark_gray", 256, ValueError),
        ("mark_gray", "gray", TypeError),
        ("channel_uv_range", (1.0, 2.0), ValueError),
        ("channel_uv_range", (0.0,), ValueError),
        ("channel_uv_range", 75.0, TypeError),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{field}: "):
        RenderSpec(**{field: value})
