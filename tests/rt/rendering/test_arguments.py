"""Arguments of render and render_batch: every sample type and layout is read, everything else is named."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eegvlm_rt.rendering.renderer import RenderSpec, render, render_batch

SMALL = RenderSpec(width=40, height=30, rows=2, uv_range=50.0)
X = np.random.default_rng(0).integers(-60, 60, 500)
EXPECTED = render(X.astype(np.float64), SMALL)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i4", ">f2", ">f4", ">f8", ">i2", ">i4"])
def test_every_sample_type_gives_the_same_picture(dtype: str) -> None:
    np.testing.assert_array_equal(render(X.astype(dtype), SMALL), EXPECTED)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i4"])
@pytest.mark.parametrize(
    "strided",
    [
        lambda x: np.repeat(x, 3)[::3],
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.asfortranarray(np.stack([x, x], axis=1))[:, 1],
        lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype),
    ],
    ids=["spread", "reversed", "column", "misaligned"],
)
def test_any_strides_are_read_in_place(dtype: str, strided: Callable[[np.ndarray], np.ndarray]) -> None:
    x = strided(X.astype(dtype))
    before = x.copy()
    np.testing.assert_array_equal(render(x, SMALL), EXPECTED)
    np.testing.assert_array_equal(x, before)


def test_a_repeated_view_is_read_without_a_copy() -> None:
    many = np.broadcast_to(np.float32(7.0), 1_000_000)
    np.testing.assert_array_equal(render(many, SMALL), render(np.full(1_000_000, 7.0), SMALL))


def test_a_read_only_input_and_a_plain_list_are_fine() -> None:
    frozen = X.astype(np.float32)
    frozen.setflags(write=False)
    np.testing.assert_array_equal(render(frozen, SMALL), EXPECTED)
    np.testing.assert_array_equal(render([float(v) for v in X], SMALL), EXPECTED)


@pytest.mark.parametrize("dtype", ["i8", "u1", "u2", "u4", "u8", "i1", "?", "c8", "c16", "O", "U3", "M8[s]"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(TypeError, match=r"^x: .*give float16"):
        render(np.zeros(5, dtype), SMALL)


def test_long_double_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^x: "):
        render(np.zeros(5, np.longdouble), SMALL)


@pytest.mark.parametrize("x", [None, "EEG", {"a": 1}, object()])
def test_what_is_no_array_is_refused(x: Any) -> None:
    with pytest.raises(TypeError, match=r"^x: "):
        render(x, SMALL)


def test_a_ragged_list_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^x: "):
        render([[1.0, 2.0], [3.0]], SMALL)


def test_masked_samples_are_refused_rather_than_shown() -> None:
    with pytest.raises(TypeError, match="fill what is masked with NaN"):
        render(np.ma.masked_array([1.0, 2.0], [True, False]), SMALL)


@pytest.mark.parametrize("shape", [(), (2, 50), (1, 1, 50)])
def test_wrong_input_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^x: "):
        render(np.zeros(shape), SMALL)


@pytest.mark.parametrize("shape", [(50,), (3, 2, 50), (1, 1, 1, 50)])
def test_wrong_batch_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^x: "):
        render_batch(np.zeros(shape), SMALL)


def test_more_samples_than_a_picture_may_hold_are_refused_before_they_are_read() -> None:
    with pytest.raises(ValueError, match=r"^x: .*at most"):
        render(np.broadcast_to(np.float32(0.0), 2**31), SMALL)


@pytest.mark.parametrize(
    ("keywords", "error", "name"),
    [
        ({"spec": {"width": 3}}, TypeError, "spec"),
        ({"output": "u16"}, ValueError, "output"),
        ({"output": np.uint8}, TypeError, "output"),
        ({"scale": float("nan")}, ValueError, "scale"),
        ({"scale": "1"}, TypeError, "scale"),
        ({"offset": float("inf")}, ValueError, "offset"),
        ({"out": [0]}, TypeError, "out"),
        ({"out": np.zeros((30, 40, 3), np.float32)}, TypeError, "out"),
        ({"out": np.zeros((40, 30, 3), np.uint8)}, ValueError, "out"),
        ({"out": np.zeros((3, 30, 40), np.uint8)}, ValueError, "out"),
        ({"out": np.zeros((30, 40, 3), np.uint8, order="F")}, ValueError, "out"),
        ({"out": np.zeros((30, 80, 3), np.uint8)[:, ::2]}, ValueError, "out"),
        ({"out": np.zeros((30, 40, 3), np.uint8)[::-1]}, ValueError, "out"),
        ({"out": np.broadcast_to(np.uint8(0), (30, 40, 3))}, ValueError, "out"),
    ],
)
def test_a_wrong_argument_is_named(keywords: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=f"^{name}: "):
        render(X.astype(np.float32), **{"spec": SMALL, **keywords})


def test_a_misaligned_out_is_refused() -> None:
    room = np.zeros(3 * 30 * 40 * 4 + 1, np.uint8)
    with pytest.raises(ValueError, match="misaligned"):
        render(X.astype(np.float32), SMALL, output="f32", out=room[1:].view(np.float32).reshape(3, 30, 40))


def test_an_out_that_overlaps_the_samples_is_refused() -> None:
    room = np.zeros((3, 30, 40), np.float32)
    with pytest.raises(ValueError, match=r"^out: overlaps x"):
        render(room.reshape(-1)[:500], SMALL, output="f32", out=room)


@pytest.mark.parametrize(
    ("threads", "error"),
    [(0, ValueError), (-1, ValueError), (257, ValueError), (1.0, TypeError), (True, TypeError)],
)
def test_a_wrong_number_of_threads_is_named(threads: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^threads: "):
        render_batch(np.zeros((2, 50)), SMALL, threads=threads)


def test_out_is_filled_and_returned() -> None:
    out = np.full((30, 40, 3), 99, np.uint8)
    assert render(X.astype(np.float32), SMALL, out=out) is out
    np.testing.assert_array_equal(out, EXPECTED)


def test_an_empty_batch_is_an_empty_array() -> None:
    assert render_batch(np.zeros((0, 50)), SMALL, threads=4).shape == (0, 30, 40, 3)
    assert render_batch(np.zeros((0, 1, 50)), SMALL, output="f32").shape == (0, 3, 30, 40)


def test_pictures_drawn_at_once_by_many_threads_do_not_mix() -> None:
    specs = [SMALL, RenderSpec(width=64, height=64), RenderSpec(width=31, height=47, rows=1)]
    inputs = [np.random.default_rng(i).standard_normal(700) * 30.0 for i in range(12)]
    expected = [render(x, specs[i % 3]) for i, x in enumerate(inputs)]
    wrong: list[int] = []

    def draw(i: int) -> None:
        for _ in range(20):
            same = np.array_equal(render(inputs[i], specs[i % 3]), expected[i])
            wrong.extend([] if same else [i])

    workers = [threading.Thread(target=draw, args=(i,)) for i in range(len(inputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
