"""The pool of pictures: aligned, used again, lent to one at a time."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from eegvlm_rt.rendering.pool import ALIGNMENT, PicturePool, aligned_pictures
from eegvlm_rt.rendering.renderer import OutputName, RenderSpec, render_batch

SMALL = RenderSpec(width=41, height=30, rows=2)
X = np.random.default_rng(0).standard_normal((23, 300)).astype(np.float32) * 30.0


@pytest.mark.parametrize("shape", [(), (1,), (7, 3, 5)])
@pytest.mark.parametrize("dtype", ["u1", "f2", "f4", "f8"])
def test_aligned_memory_begins_at_a_cache_line(shape: tuple[int, ...], dtype: str) -> None:
    array = aligned_pictures(shape, np.dtype(dtype))
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert array.ctypes.data % ALIGNMENT == 0
    assert array.flags.c_contiguous
    assert array.flags.writeable


@pytest.mark.parametrize("output", ["u8", "f32", "f16", "gray"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_recording_drawn_through_the_pool_is_the_batch(output: OutputName, threads: int) -> None:
    pool = PicturePool(SMALL, output=output, batch=5, buffers=2)
    lost = np.random.default_rng(1).random(X.shape) < 0.1
    expected = render_batch(X, SMALL, output=output, mask=lost, scale=2.0)
    parts = [part.copy() for part in pool.render(X, mask=lost, scale=2.0, threads=threads)]
    assert [len(part) for part in parts] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert pool.free == 2


def test_a_mask_for_all_is_given_once() -> None:
    pool = PicturePool(SMALL, output="gray", batch=4)
    lost = np.arange(300) % 7 == 0
    expected = render_batch(X, SMALL, output="gray", mask=lost)
    for mask in (lost, lost[None]):
        np.testing.assert_array_equal(np.concatenate([p.copy() for p in pool.render(X, mask=mask)]), expected)


def test_memory_is_used_again() -> None:
    pool = PicturePool(SMALL, batch=4, buffers=1)
    places = {part.ctypes.data for part in pool.render(X)}
    assert len(places) == 1
    assert places.pop() % ALIGNMENT == 0


def test_a_lent_buffer_is_nobody_elses() -> None:
    pool = PicturePool(SMALL, batch=1, buffers=2)
    with pool.lend() as a, pool.lend() as b:
        assert not np.may_share_memory(a, b)
        assert pool.free == 0
        with pytest.raises(TimeoutError, match=r"^timeout: "), pool.lend(timeout=0.01):
            raise AssertionError
    assert pool.free == 2


def test_whoever_waits_gets_the_buffer_that_comes_back() -> None:
    pool = PicturePool(SMALL, batch=1, buffers=1)
    held: list[int] = []
    owners: list[int] = []

    def work(me: int) -> None:
        for _ in range(50):
            with pool.lend() as buffer:
                owners.append(me)
                held.append(len(owners))
                buffer.fill(me)
                owners.remove(me)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert held == [1] * 200


def test_a_buffer_comes_back_when_the_reader_stops_early_or_fails() -> None:
    pool = PicturePool(SMALL, batch=4, buffers=1)
    drawn = pool.render(X)
    next(drawn)
    assert pool.free == 0
    drawn.close()
    assert pool.free == 1
    with pytest.raises(ValueError, match=r"^x: "):
        list(pool.render(np.zeros((3, 2, 50))))
    assert pool.free == 1


@pytest.mark.parametrize(
    ("changed", "error", "name"),
    [
        ({"spec": {}}, TypeError, "spec"),
        ({"output": "u16"}, ValueError, "output"),
        ({"batch": 0}, ValueError, "batch"),
        ({"batch": 1 << 40}, ValueError, "batch"),
        ({"batch": 1.5}, TypeError, "batch"),
        ({"buffers": 0}, ValueError, "buffers"),
        ({"buffers": 2**31}, ValueError, "buffers"),
    ],
)
def test_a_wrong_argument_is_named(changed: dict[str, Any], error: type[Exception], name: str) -> None:
    arguments = {"spec": SMALL, **changed}
    with pytest.raises(error, match=f"^{name}: "):
        PicturePool(arguments.pop("spec"), **arguments)


@pytest.mark.parametrize(
    ("x", "mask", "name"),
    [(X[0], None, "x"), (X, np.zeros((5, 300), bool), "mask"), (X, np.zeros(299, bool), "mask")],
)
def test_what_cannot_be_drawn_is_named(x: np.ndarray, mask: np.ndarray | None, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        list(PicturePool(SMALL, batch=4).render(x, mask=mask))
