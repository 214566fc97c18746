"""What holds for every recording and every picture."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eegvlm_rt.rendering.renderer import OutputName, RenderSpec, render, render_batch

examples = settings(deadline=None, max_examples=60)

microvolts = st.floats(-300, 300, width=32)
any_sample = st.one_of(microvolts, st.floats(width=32))
outputs: st.SearchStrategy[OutputName] = st.sampled_from(["u8", "f32"])


def recordings(
    samples: st.SearchStrategy[float] = any_sample, least: int = 1
) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, st.integers(least, 400), elements=samples)


@st.composite
def specs(draw: st.DrawFn, channels: int = 1) -> RenderSpec:
    rows = draw(st.integers(1, 7))
    line_width = draw(st.floats(0.5, 8.0))
    least = int(rows * channels * line_width) + 1
    return RenderSpec(
        width=draw(st.integers(1, 100)),
        height=draw(st.integers(least, least + 100)),
        rows=rows,
        channels=channels,
        line_width=line_width,
        uv_range=draw(st.floats(1.0, 500.0)),
    )


def same(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_array_equal(a, b)


@examples
@given(recordings(), specs(), outputs)
def test_any_recording_in_any_picture_is_drawn_whole_and_in_range(
    x: np.ndarray, spec: RenderSpec, output: OutputName
) -> None:
    picture = render(x, spec, output=output)
    assert picture.shape == spec.shape(output)
    assert np.isfinite(picture).all()
    assert (render(x, spec) < 255).any() == np.isfinite(x).any()


@examples
@given(recordings(), specs(), outputs)
def test_drawing_twice_gives_the_same_bytes_also_into_a_used_out(
    x: np.ndarray, spec: RenderSpec, output: OutputName
) -> None:
    first = render(x, spec, output=output)
    used = np.full_like(first, 77)
    same(render(x, spec, output=output, out=used), first)


@examples
@given(st.data(), st.integers(1, 3), outputs, st.integers(1, 5))
def test_a_batch_is_its_pictures_for_any_number_of_threads(
    data: st.DataObject, channels: int, output: OutputName, threads: int
) -> None:
    spec = data.draw(specs(channels))
    shape = st.tuples(st.integers(1, 6), st.just(channels), st.integers(1, 200))
    x = data.draw(hnp.arrays(np.float32, shape, elements=any_sample))
    batch = render_batch(x, spec, output=output, threads=threads)
    for picture, samples in zip(batch, x, strict=True):
        same(picture, render(samples, spec, output=output))


@examples
@given(recordings(), specs(), st.data())
def test_losing_samples_never_adds_ink(x: np.ndarray, spec: RenderSpec, data: st.DataObject) -> None:
    lost = data.draw(hnp.arrays(np.bool_, len(x)))
    assert (render(np.where(lost, np.float32(np.nan), x), spec) >= render(x, spec)).all()


@examples
@given(recordings(microvolts), st.floats(0.5, 4.0), st.data())
def test_gaps_are_never_bridged(x: np.ndarray, line_width: float, data: st.DataObject) -> None:
    spec = RenderSpec(width=4 * len(x), height=60, rows=1, line_width=line_width)
    lost = data.draw(hnp.arrays(np.bool_, len(x)))
    white = (render(np.where(lost, np.float32(np.nan), x), spec)[..., 0] == 255).all(axis=0)
    drawn = np.flatnonzero(~lost) * 4 + 2.0
    segments = [(a, b) for a, b in itertools.pairwise(drawn) if b - a == 4.0] + [(a, a) for a in drawn]
    reach = line_width / 2 * 1.03
    for column in range(spec.width):
        touched = any(a - reach < column + 1 and b + reach > column for a, b in segments)
        assert touched or white[column]


@examples
@given(recordings(microvolts), specs())
def test_turning_polarity_turns_the_picture_upside_down(x: np.ndarray, spec: RenderSpec) -> None:
    whole = RenderSpec.from_dict({**spec.to_dict(), "height": spec.rows * 40})
    rows = np.split(render(-x, whole)[..., 0].astype(int), spec.rows)
    flipped = np.concatenate([row[::-1] for row in rows])
    assert np.abs(flipped - render(x, whole)[..., 0]).max() <= 2


def mirrored_by(x: np.ndarray, line_width: float) -> int:
    spec = RenderSpec(width=64, height=48, rows=1, line_width=line_width)
    mirrored = render(x[::-1], spec)[:, ::-1, 0].astype(int)
    return int(np.abs(mirrored - render(x, spec)[..., 0]).max())


@examples
@given(recordings(microvolts, least=2), st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 8.0]))
def test_turning_time_mirrors_the_picture(x: np.ndarray, line_width: float) -> None:
    assert mirrored_by(x, line_width) <= 2


@examples
@given(recordings(microvolts, least=2), st.floats(0.5, 8.0))
def test_an_end_that_lies_between_two_cells_is_at_most_one_cell_longer(
    x: np.ndarray, line_width: float
) -> None:
    assert mirrored_by(x, line_width) <= 255 / 20 + 2


@examples
@given(hnp.arrays(np.float32, st.integers(2, 60), elements=st.integers(-10, 10)), st.integers(-8, 8))
def test_a_whole_pixel_more_microvolts_moves_the_picture_by_it(x: np.ndarray, rise: int) -> None:
    # 16 cuts a pixel: every share of the way between two samples is a number that floats hold.
    spec = RenderSpec(width=128, height=96, rows=2, uv_range=24.0)
    moved = render(x + np.float32(rise), spec)
    same(np.roll(moved, rise, axis=0), render(x, spec))


@examples
@given(hnp.arrays(np.float32, st.integers(2, 60), elements=st.integers(-10, 10)), st.integers(-8, 8))
def test_it_moves_to_a_gray_level_where_shares_are_rounded(x: np.ndarray, rise: int) -> None:
    spec = RenderSpec(width=64, height=64, rows=1, uv_range=32.0)
    moved = np.roll(render(x + np.float32(rise), spec), rise, axis=0).astype(int)
    assert np.abs(moved - render(x, spec)).max() <= 1


@examples
@given(recordings(microvolts, least=2), st.integers(1, 5))
def test_later_by_whole_pixels_moves_the_picture_by_them(x: np.ndarray, pixels: int) -> None:
    width = len(x) + pixels
    spec = RenderSpec(width=width, height=48, rows=1)
    lead = np.full(pixels, np.nan, np.float32)
    early = render(np.concatenate([x, lead]), spec)
    late = render(np.concatenate([lead, x]), spec)
    same(late[:, pixels:], early[:, : width - pixels])


@examples
@given(recordings(microvolts, least=2), st.sampled_from([2, 3, 4]))
def test_a_taller_range_is_a_smaller_signal(x: np.ndarray, factor: int) -> None:
    wide = RenderSpec(width=64, height=48, rows=1, uv_range=50.0 * factor)
    narrow = RenderSpec(width=64, height=48, rows=1, uv_range=50.0)
    a, b = render(x.astype(np.float64), wide), render(x.astype(np.float64) / factor, narrow)
    assert np.abs(a.astype(int) - b).max() <= 2
