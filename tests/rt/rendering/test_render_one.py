"""`Plan.render_one`, the short way of common calls: the same bytes as the long way, or nothing at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eegvlm_rt.rendering.renderer import RenderSpec, render, render_batch
from eegvlm_rt.rendering.spec import dtype_of, plan_of

SPEC = RenderSpec(width=50, height=30, rows=2)
TWO = RenderSpec(width=50, height=30, rows=2, channels=2)
OUTPUTS = ("u8", "u8_chw", "f32", "f16", "gray", "gray_f32")


def wave(samples: int = 400) -> np.ndarray:
    x = 60 * np.sin(np.arange(samples) / 7)
    x[samples // 2 :: 50] = np.nan
    return x


def empty(spec: RenderSpec = SPEC, output: Any = "u8") -> np.ndarray:
    return np.zeros(spec.shape(output), dtype_of(output))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i4"])
def test_it_draws_what_a_batch_of_one_shows(output: Any, dtype: str) -> None:
    x = np.nan_to_num(wave()).astype(dtype)
    out = empty(SPEC, output)
    assert plan_of(SPEC).render_one(x, out, output, 1.5, -4.0)
    (expected,) = render_batch(x[None], SPEC, output=output, scale=1.5, offset=-4.0)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("x", [wave()[::-1], wave(800)[::2], np.zeros(0), np.full(30, np.nan), wave()[None]])
def test_it_reads_any_strides_and_gaps(x: np.ndarray) -> None:
    out = empty()
    assert plan_of(SPEC).render_one(x, out, "u8", 1.0, 0.0)
    np.testing.assert_array_equal(out, render_batch(np.atleast_2d(x)[:1], SPEC)[0])


def test_it_draws_channels() -> None:
    x = np.stack([wave(), -wave()], axis=1).T
    out = empty(TWO)
    assert plan_of(TWO).render_one(x, out, "u8", 1.0, 0.0)
    np.testing.assert_array_equal(out, render_batch(x[None], TWO)[0])


class Derived(np.ndarray):
    pass


def overlapping() -> tuple[np.ndarray, np.ndarray]:
    memory = np.zeros(4 * 50 * 30 * 3, np.uint8)
    return memory.view("f4")[:400], memory[: 30 * 50 * 3].reshape(30, 50, 3)


def read_only() -> np.ndarray:
    out = empty()
    out.flags.writeable = False
    return out


def misaligned() -> np.ndarray:
    shape = SPEC.shape("f32")
    return np.zeros(4 * int(np.prod(shape)) + 1, np.uint8)[1:].view("f4").reshape(shape)


def misaligned_samples() -> np.ndarray:
    return np.zeros(4 * 300 + 1, np.uint8)[1:].view("f4")


UNUSUAL: dict[str, tuple[Any, Any, Any, Any, Any]] = {
    "no out": (wave(), None, "u8", 1.0, 0.0),
    "a list": (list(wave()), empty(), "u8", 1.0, 0.0),
    "masked array": (np.ma.masked_invalid(wave()), empty(), "u8", 1.0, 0.0),
    "derived array": (wave().view(Derived), empty(), "u8", 1.0, 0.0),
    "derived out": (wave(), empty().view(Derived), "u8", 1.0, 0.0),
    "big-endian": (wave().astype(">f8"), empty(), "u8", 1.0, 0.0),
    "unsigned": (np.arange(300, dtype="u2"), empty(), "u8", 1.0, 0.0),
    "complex": (wave().astype("c8"), empty(), "u8", 1.0, 0.0),
    "long double": (wave().astype(np.longdouble), empty(), "u8", 1.0, 0.0),
    "text": (np.array(["a"] * 9), empty(), "u8", 1.0, 0.0),
    "records": (np.zeros(9, [("a", "f4"), ("b", "f4")]), empty(), "u8", 1.0, 0.0),
    "bytes as long as a code": (np.zeros(2, "V26116"), empty(), "u8", 1.0, 0.0),
    "a number": (np.float64(1.0), empty(), "u8", 1.0, 0.0),
    "no axis": (np.zeros(()), empty(), "u8", 1.0, 0.0),
    "three axes": (wave()[None, None], empty(), "u8", 1.0, 0.0),
    "two channels": (np.stack([wave(), wave()]), empty(), "u8", 1.0, 0.0),
    "unknown output": (wave(), empty(), "png", 1.0, 0.0),
    "output of no text": (wave(), empty(), 3, 1.0, 0.0),
    "output of half a character": (wave(), empty(), "\ud800", 1.0, 0.0),
    "another output's out": (wave(), empty(SPEC, "f32"), "u8", 1.0, 0.0),
    "another output's shape": (wave(), empty(SPEC, "u8_chw"), "u8", 1.0, 0.0),
    "out of another dtype": (wave(), empty().astype("i1"), "u8", 1.0, 0.0),
    "out of big-endian numbers": (wave(), empty(SPEC, "f32").astype(">f4"), "f32", 1.0, 0.0),
    "out with one axis": (wave(), empty().ravel(), "u8", 1.0, 0.0),
    "transposed out": (wave(), empty(SPEC, "u8_chw").transpose(1, 2, 0), "u8", 1.0, 0.0),
    "strided out": (wave(), np.zeros((30, 100, 3), np.uint8)[:, ::2], "u8", 1.0, 0.0),
    "read-only out": (wave(), read_only(), "u8", 1.0, 0.0),
    "misaligned out": (wave(), misaligned(), "f32", 1.0, 0.0),
    "misaligned samples": (misaligned_samples(), empty(), "u8", 1.0, 0.0),
    "too many samples": (np.broadcast_to(np.float32(1), 2**26 + 1), empty(), "u8", 1.0, 0.0),
    "overlap": (*overlapping(), "u8", 1.0, 0.0),
    "one scale a channel": (wave(), empty(), "u8", (1.0,), 0.0),
    "whole-number scale": (wave(), empty(), "u8", 1, 0.0),
    "numpy's scale": (wave(), empty(), "u8", np.float64(1.0), 0.0),
    "NaN scale": (wave(), empty(), "u8", float("nan"), 0.0),
    "infinite offset": (wave(), empty(), "u8", 1.0, float("inf")),
    "huge offset": (wave(), empty(), "u8", 1.0, 1.1e30),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_unusual_is_left_to_the_long_way(name: str) -> None:
    x, out, output, scale, offset = UNUSUAL[name]
    assert plan_of(SPEC).render_one(x, out, output, scale, offset) is False
    if out is not None:
        assert not np.asarray(out).any()


def test_ranges_by_channel_are_left_to_the_long_way() -> None:
    spec = RenderSpec(width=50, height=30, rows=1, channels=2, channel_uv_range=(50.0, 90.0))
    x = np.stack([wave(), wave()])
    out = empty(spec)
    assert plan_of(spec).render_one(x, out, "u8", 1.0, 0.0) is False
    assert not out.any()
    np.testing.assert_array_equal(render(x, spec, out=empty(spec)), render(x, spec))
