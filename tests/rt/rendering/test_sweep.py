"""A sweep's picture is that of a full render, to the byte, whatever its chunks were."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.rendering.renderer import OutputName, RenderSpec, render
from eegvlm_rt.rendering.sweep import Sweep

SMALL = RenderSpec(width=70, height=60, rows=3, uv_range=50.0)
OUTPUTS: tuple[OutputName, ...] = ("u8", "u8_chw", "f32", "f16", "gray", "gray_f32")


def full(sweep: Sweep, output: OutputName = "f32", **scaling: Any) -> np.ndarray:
    return render(sweep.samples, sweep.spec, mask=sweep.missing, output=output, **scaling)


def same(sweep: Sweep, output: OutputName = "f32", **scaling: Any) -> None:
    np.testing.assert_array_equal(sweep.picture, full(sweep, output, **scaling))


def noise(count: int, seed: int = 0, channels: int = 1) -> np.ndarray:
    walk = np.random.default_rng(seed).standard_normal((channels, count)) * 20.0
    return np.asarray(walk, np.float32)


@st.composite
def sweeps(draw: st.DrawFn) -> tuple[Sweep, OutputName]:
    channels, rows = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    line_width = draw(st.sampled_from([0.5, 0.7, 1.0, 2.5, 8.0]))
    least = int(rows * channels * line_width) + 1
    spec = RenderSpec(
        width=draw(st.integers(1, 90)),
        height=draw(st.integers(least, least + 60)),
        rows=rows,
        channels=channels,
        line_width=line_width,
        uv_range=50.0,
        ticks=draw(st.sampled_from([0, 7])),
        cuts=draw(st.sampled_from([2, 4, 8])),
    )
    length = draw(st.integers(1, 400))
    output = draw(st.sampled_from(OUTPUTS))
    return Sweep(spec, length, blank=draw(st.integers(0, length - 1)), output=output), output


@settings(deadline=None, max_examples=80)
@given(sweeps(), st.data())
def test_whatever_the_chunks_the_picture_is_that_of_a_full_render(
    made: tuple[Sweep, OutputName], data: st.DataObject
) -> None:
    sweep, output = made
    channels, length = sweep.samples.shape
    for step in range(data.draw(st.integers(1, 6))):
        x = noise(data.draw(st.integers(0, length + 20)), step, channels)
        x[np.random.default_rng(step).random(x.shape) < data.draw(st.sampled_from([0.0, 0.02, 0.4]))] = np.nan
        lost = np.random.default_rng(step).random(x.shape) < data.draw(st.sampled_from([0.0, 0.05]))
        if data.draw(st.booleans()):
            sweep.push(x, lost)
        else:
            room = max(length - x.shape[1], 0)
            sweep.write(data.draw(st.integers(0, room)), x[:, :length], lost[:, :length])
        same(sweep, output)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 90), min_size=1, max_size=12), st.integers(0, 40))
def test_pieces_of_any_size_leave_what_single_samples_leave(sizes: list[int], blank: int) -> None:
    x = noise(sum(sizes))
    pieces, single = Sweep(SMALL, 150, blank=blank), Sweep(SMALL, 150, blank=blank)
    for piece in np.split(x, np.cumsum(sizes)[:-1], axis=1):
        pieces.push(piece)
    for sample in x.T:
        single.push(sample)
    np.testing.assert_array_equal(pieces.missing, single.missing)
    np.testing.assert_array_equal(pieces.picture, single.picture)
    assert pieces.cursor == single.cursor == x.shape[1] % 150


def test_a_new_sweep_shows_nothing() -> None:
    sweep = Sweep(SMALL, 300, output="u8")
    assert (sweep.picture == 255).all()
    assert sweep.missing.all()


def test_an_epoch_is_drawn_from_left_to_right_as_it_comes_in() -> None:
    x = noise(300)
    sweep = Sweep(SMALL, 300, output="u8")
    sweep.push(x[:, :90])
    assert (sweep.picture[:20] < 255).any()
    assert (sweep.picture[20:] == 255).all()
    sweep.push(x[:, 90:])
    np.testing.assert_array_equal(sweep.picture, render(x, SMALL))


def test_the_blank_runs_ahead_of_the_newest_sample() -> None:
    sweep = Sweep(SMALL, 300, blank=30)
    sweep.push(noise(310))
    assert sweep.cursor == 10
    np.testing.assert_array_equal(np.flatnonzero(sweep.missing[0]), np.arange(10, 40))
    same(sweep)


def test_late_samples_fill_their_gap_and_leave_the_cursor() -> None:
    x = noise(300)
    sweep = Sweep(SMALL, 300)
    lost = np.zeros(300, bool)
    lost[40:60] = True
    sweep.push(x, lost)
    assert sweep.write(40, x[:, 40:60]) is sweep.picture
    assert sweep.cursor == 0
    np.testing.assert_array_equal(sweep.picture, render(x, SMALL, output="f32"))


def test_clear_begins_anew() -> None:
    sweep = Sweep(SMALL, 300)
    fresh = sweep.picture.copy()
    sweep.push(noise(100))
    sweep.clear()
    assert sweep.cursor == 0
    np.testing.assert_array_equal(sweep.picture, fresh)


def test_counts_are_scaled_channel_by_channel() -> None:
    spec = RenderSpec(width=70, height=60, rows=1, channels=2)
    counts = np.random.default_rng(3).integers(-900, 900, (2, 200)).astype(np.int16)
    sweep = Sweep(spec, 250, dtype=np.int16, scale=(0.1, 0.05), offset=(1.0, -2.0), output="gray")
    for first in range(0, 200, 50):
        sweep.push(counts[:, first : first + 50])
        same(sweep, "gray", scale=(0.1, 0.05), offset=(1.0, -2.0))


def test_the_picture_lies_in_out_or_in_aligned_memory() -> None:
    out = np.empty(SMALL.shape("u8"), np.uint8)
    sweep = Sweep(SMALL, 100, output="u8", out=out)
    assert sweep.push(noise(50)) is out
    same(sweep, "u8")
    assert Sweep(SMALL, 100).picture.ctypes.data % 64 == 0


def test_samples_and_missing_cannot_be_written_past_the_sweep() -> None:
    sweep = Sweep(SMALL, 100)
    for view in (sweep.samples, sweep.missing):
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 1


def test_a_chunk_may_be_the_sweep_s_own_ring() -> None:
    sweep = Sweep(SMALL, 10, output="u8")
    sweep.push(np.arange(14, dtype=np.float32))
    sweep.push(sweep.samples, sweep.missing)
    np.testing.assert_array_equal(sweep.samples[0], [6, 7, 8, 9, 10, 11, 12, 13, 4, 5])
    np.testing.assert_array_equal(sweep.picture, render(sweep.samples, SMALL))


def test_threads_that_push_at_once_leave_a_whole_picture() -> None:
    sweep = Sweep(SMALL, 500)

    def work(seed: int) -> None:
        for part in np.array_split(noise(700, seed), 30, axis=1):
            sweep.push(part)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sweep.cursor == 4 * 700 % 500
    same(sweep)


@pytest.mark.parametrize(
    ("changed", "error", "name"),
    [
        ({"spec": {}}, TypeError, "spec"),
        ({"samples": 0}, ValueError, "samples"),
        ({"samples": 2**40}, ValueError, "samples"),
        ({"samples": 3.0}, TypeError, "samples"),
        ({"blank": 100}, ValueError, "blank"),
        ({"blank": -1}, ValueError, "blank"),
        ({"dtype": np.int64}, TypeError, "dtype"),
        ({"dtype": ">f4"}, TypeError, "dtype"),
        ({"scale": (1.0, 2.0)}, ValueError, "scale"),
        ({"offset": float("nan")}, ValueError, "offset"),
        ({"output": "u16"}, ValueError, "output"),
        ({"out": np.zeros((3, 60, 70), np.float64)}, TypeError, "out"),
        ({"out": np.zeros((60, 70, 3), np.float32)}, ValueError, "out"),
        ({"out": np.zeros((3, 60, 140), np.float32)[..., ::2]}, ValueError, "out"),
        ({"out": [0]}, TypeError, "out"),
    ],
)
def test_a_wrong_argument_is_named(changed: dict[str, Any], error: type[Exception], name: str) -> None:
    arguments = {"spec": SMALL, "samples": 100, **changed}
    with pytest.raises(error, match=f"^{name}: "):
        Sweep(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ((noise(5).astype(np.float64),), TypeError, "chunk"),
        ((noise(5, channels=2),), ValueError, "chunk"),
        ((np.float32(3.0),), ValueError, "chunk"),
        ((noise(5), np.zeros(5)), TypeError, "mask"),
        ((np.ma.masked_invalid(noise(5)),), TypeError, "chunk"),
        ((noise(5), np.zeros(4, bool)), ValueError, "mask"),
    ],
)
def test_a_wrong_chunk_is_named_and_changes_nothing(
    arguments: tuple[Any, ...], error: type[Exception], name: str
) -> None:
    sweep = Sweep(SMALL, 100)
    sweep.push(noise(50))
    before = sweep.picture.copy()
    with pytest.raises(error, match=f"^{name}: "):
        sweep.push(*arguments)
    assert sweep.cursor == 50
    np.testing.assert_array_equal(sweep.picture, before)


@pytest.mark.parametrize(("begin", "name"), [(-1, "begin"), (101, "begin"), (96, "chunk"), (2.0, "begin")])
def test_late_samples_must_fit(begin: Any, name: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{name}: "):
        Sweep(SMALL, 100).write(begin, noise(5))
