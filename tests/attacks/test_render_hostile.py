"""The renderer given what it was not made for: a typed error that names the argument, or the right picture;
never memory that is not its own, never an image of something else."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from eegvlm_rt import _kernel
from eegvlm_rt.errors import InputError
from eegvlm_rt.rendering.pool import PicturePool
from eegvlm_rt.rendering.renderer import RenderSpec, render, render_batch
from eegvlm_rt.rendering.spec import plan_of
from eegvlm_rt.rendering.sweep import Sweep

SMALL = RenderSpec(width=40, height=30, rows=2, uv_range=50.0)
X = np.sin(np.arange(500) / 7.0).astype(np.float32) * 30.0
NAN, INF = float("nan"), float("inf")
COUNTS = ("width", "height", "rows", "channels")
NUMBERS = ("uv_range", "line_width")


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", [0, -1, -(2**31), 2**31 - 1, 2**31, 2**32 + 336, 2**63, 2**64, 10**400])
def test_a_count_out_of_range_is_named(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        RenderSpec(**{field: value})


@pytest.mark.parametrize("value", [-8, 0, 1, 3, 5, 6, 7, 9, 16, -(2**31), 2**31 + 4, 2**32 + 8, 10**400])
def test_another_number_of_cuts_is_refused(value: int) -> None:
    with pytest.raises(InputError, match=r"^cuts: "):
        RenderSpec(cuts=value)
    with pytest.raises(InputError, match=r"^cuts: "):
        RenderSpec.from_dict({"cuts": value})


@pytest.mark.parametrize("field", [*COUNTS, "cuts"])
@pytest.mark.parametrize("value", [NAN, INF, 336.0, "336", b"336", None, True, [336], 1j, np.float64(3)])
def test_a_count_that_is_no_integer_is_named(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{field}: "):
        RenderSpec(**{field: value})


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize(
    "value", [0, -0.0, -1.0, NAN, INF, -INF, 5e-324, 1.8e308, 2**1024, np.float32("nan")]
)
def test_a_number_out_of_range_is_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        RenderSpec(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mean", (1e300, 0.0, 0.0)),
        ("mean", (0.0, NAN, 0.0)),
        ("mean", (0.0, -INF, 0.0)),
        ("std", (1.0, 1e300, 1.0)),
        ("std", (1.0, 1.0, 5e-324)),
        ("std", (1.0, 1.0, NAN)),
        ("std", ()),
        ("channel_uv_range", (0.0,)),
        ("channel_uv_range", (NAN,)),
        ("channel_uv_range", (1.0, 2.0)),
        ("scale_lines", (INF,)),
        ("scale_lines", (0.0,) * 17),
        ("ticks", -1),
        ("ticks", 2**31),
        ("mark_gray", 256),
    ],
)
def test_what_else_a_spec_holds_is_checked_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        RenderSpec(**{field: value})


@pytest.mark.parametrize("name", ["scale", "offset"])
@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e31, -1.8e308, 2**1024, [1.0, 1.0], []])
def test_a_scaling_that_would_overflow_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        render(X, SMALL, **{name: value})
    with pytest.raises(ValueError, match=f"^{name}: "):
        Sweep(SMALL, 500, **{name: value})


@pytest.mark.parametrize("scale", [1e30, -1e30, 1e-320, 0.0])
def test_zero_is_drawn_at_zero_whatever_the_scale(scale: float) -> None:
    sharp = RenderSpec(width=40, height=30, rows=1, uv_range=1e-6)
    np.testing.assert_array_equal(
        render(np.zeros(50), sharp, scale=scale), render(np.zeros(50), sharp, scale=1.0)
    )


def test_the_largest_samples_are_held_at_the_edge() -> None:
    most = np.finfo(np.float64).max
    for sign in (1.0, -1.0):
        beyond = render(np.full(50, sign * most), SMALL, scale=1e30, offset=-sign * 1e30)
        np.testing.assert_array_equal(beyond, render(np.full(50, sign * 51.0), SMALL))


def repeated(shape: tuple[int, ...]) -> np.ndarray:
    """As many samples as one likes, all in the same four bytes."""
    return as_strided(np.zeros(1, np.float32), shape, (0,) * len(shape), writeable=False)


@pytest.mark.parametrize("count", [2**40, 2**57])
def test_more_pictures_than_fit_anywhere_are_refused_before_they_are_drawn(count: int) -> None:
    with pytest.raises(ValueError, match=r"^x: .*give fewer"):
        render_batch(repeated((count, 10)), SMALL)
    with pytest.raises(ValueError, match=r"^out: "):
        render_batch(repeated((count, 10)), SMALL, out=np.zeros((1, 30, 40, 3), np.uint8))
    with pytest.raises(ValueError, match=r"^batch: "):
        PicturePool(SMALL, batch=count)


def test_more_samples_than_a_picture_may_hold_are_refused_before_they_are_read() -> None:
    for count in (2**26 + 1, 2**31, 2**60):
        with pytest.raises(ValueError, match=r"^x: .*at most"):
            render(repeated((count,)), SMALL)
        with pytest.raises(ValueError, match=r"^samples: "):
            Sweep(SMALL, count)


@pytest.mark.parametrize("channels", [0, 9, 2**20, 2**40])
def test_channels_that_no_spec_has_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=r"^x: "):
        render(repeated((channels, 10)), SMALL)


def lie_about(array: np.ndarray, **flags: bool) -> np.ndarray:
    array.setflags(**flags)
    return array


def at_odd_address(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.zeros(size + 1, np.uint8)[1:].view(dtype).reshape(shape)


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (lie_about(np.zeros((3, 30, 40), np.float32), write=False), ValueError),
        (at_odd_address((3, 30, 40), np.float32), ValueError),
        (np.zeros((3, 30, 40), ">f4"), TypeError),
        (np.zeros((3, 30, 40), np.int32), TypeError),
        (np.zeros((3, 30, 40), np.float64), TypeError),
        (np.zeros((3, 30, 40), object), TypeError),
        (np.zeros((3, 30, 40), [("gray", "<f4")]), TypeError),
        (np.zeros((3, 30, 41), np.float32)[..., :40], ValueError),
        (np.zeros((3, 30, 40), np.float32)[:, ::-1], ValueError),
        (np.zeros((40, 30, 3), np.float32).T, ValueError),
        (as_strided(np.zeros(40, np.float32), (3, 30, 40), (0, 0, 4)), ValueError),
        (as_strided(np.zeros(1240, np.float32), (3, 30, 40), (4, 160, 4)), ValueError),
        (np.zeros(3600, np.float32), ValueError),
        (np.zeros((3, 30, 40, 1), np.float32), ValueError),
        (np.zeros((0, 30, 40), np.float32), ValueError),
        (bytearray(14400), TypeError),
        (memoryview(bytearray(14400)), TypeError),
        (14400, TypeError),
    ],
)
def test_an_out_that_cannot_be_written_as_it_is_is_refused(out: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^out: "):
        render(X, SMALL, output="f32", out=out)
    with pytest.raises(error, match=r"^out: "):
        Sweep(SMALL, 500, output="f32", out=out)


@pytest.mark.parametrize("start", [0, 1, 3600 - 500, 3599])
@pytest.mark.parametrize("step", [1, -1])
def test_an_out_that_shares_a_byte_with_the_samples_is_refused(start: int, step: int) -> None:
    room = np.zeros(3600 + 500, np.float32)
    out = room[:3600].reshape(3, 30, 40)
    with pytest.raises(ValueError, match=r"^out: overlaps x"):
        render(room[start : start + 500][::step], SMALL, output="f32", out=out)
    beside = room[3600:]
    beside[:] = X
    np.testing.assert_array_equal(
        render(beside, SMALL, output="f32", out=out), render(X, SMALL, output="f32")
    )


def test_an_out_that_shares_a_byte_with_the_mask_is_refused() -> None:
    out = np.zeros((30, 40, 3), np.uint8)
    mask = out.reshape(-1)[-500:].view(np.bool_)
    with pytest.raises(ValueError, match=r"^out: overlaps mask"):
        render(X, SMALL, out=out, mask=mask)


@pytest.mark.parametrize("mask", [np.zeros(499, bool), np.zeros((3, 500), bool), np.zeros((2, 1, 500), bool)])
def test_a_mask_of_another_shape_is_named(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^mask: "):
        render(X, SMALL, mask=mask)


@pytest.mark.parametrize("mask", [np.zeros(500), np.zeros(500, np.uint8), np.full(500, "x"), [None] * 500])
def test_a_mask_of_another_type_is_named(mask: Any) -> None:
    with pytest.raises(TypeError, match=r"^mask: "):
        render(X, SMALL, mask=mask)


def test_bytes_other_than_one_in_a_mask_are_true() -> None:
    mask = np.zeros(500, np.uint8)
    mask[100:200] = 255
    expected = render(X, SMALL, mask=mask != 0)
    np.testing.assert_array_equal(render(X, SMALL, mask=mask.view(np.bool_)), expected)


class Lying(np.ndarray):
    """Says that it has another shape than it has."""

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (10**6,)


def test_a_subclass_that_lies_about_its_shape_reads_no_foreign_memory() -> None:
    x = X.view(Lying)
    np.testing.assert_array_equal(render(x, SMALL), render(X, SMALL))


def arguments(**changed: Any) -> dict[str, Any]:
    out = np.zeros((1, 30, 40, 3), np.uint8)
    return {
        "x": X[None, None],
        "out": out,
        "mask": None,
        "output": "u8",
        "gain": (1.0,),
        "offset": (0.0,),
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "error", "name"),
    [
        ({"x": X}, ValueError, "x"),
        ({"x": X[None, None].astype(np.int64)}, TypeError, "x"),
        ({"x": X[None, None].astype(">f4")}, TypeError, "x"),
        ({"x": np.zeros((1, 2, 500), np.float32)}, ValueError, "x"),
        ({"x": repeated((1, 1, 2**40))}, ValueError, "x"),
        ({"x": repeated((2**57, 1, 10))}, ValueError, "x"),
        ({"x": repeated((2, 1, 10))}, ValueError, "out"),
        ({"out": np.zeros((30, 40), np.uint8)}, ValueError, "out"),
        ({"out": lie_about(np.zeros((30, 40, 3), np.uint8), write=False)}, ValueError, "out"),
        ({"out": np.zeros((30, 40, 3), np.int8)}, TypeError, "out"),
        ({"out": np.zeros((30, 40, 6), np.uint8)[..., ::2]}, ValueError, "out"),
        ({"mask": np.zeros((1, 1, 499), bool)}, ValueError, "mask"),
        ({"mask": np.zeros((1, 1, 500), np.int8)}, TypeError, "mask"),
        ({"output": "png"}, ValueError, "output"),
        ({"gain": (NAN,)}, ValueError, "scale"),
        ({"offset": (1.0, 2.0)}, ValueError, "offset"),
    ],
)
def test_the_kernel_itself_checks_what_memory_depends_on(
    changed: dict[str, Any], error: type[Exception], name: str
) -> None:
    called = arguments(**changed)
    with pytest.raises(error, match=f"^{name}: "):
        plan_of(SMALL).render(*called.values(), 1)


@pytest.mark.parametrize(("begin", "end"), [(-1, 5), (5, 4), (0, 501), (2**62, 2**63 - 1), (-(2**63), 0)])
def test_the_kernel_redraws_no_samples_that_are_not_there(begin: int, end: int) -> None:
    sweep = _kernel.Sweep(
        plan_of(SMALL),
        X[None, None],
        np.zeros((30, 40, 3), np.uint8),
        np.zeros((1, 1, 500), bool),
        "u8",
        (1.0,),
        (0.0,),
    )
    with pytest.raises(ValueError, match=r"^begin: "):
        sweep.redraw(begin, end)


def test_a_sweep_keeps_alive_what_it_draws_from_and_to() -> None:
    x, out, mask = X.copy()[None, None], np.zeros((30, 40, 3), np.uint8), np.zeros((1, 1, 500), bool)
    before = [sys.getrefcount(array) for array in (x, out, mask)]
    sweep = _kernel.Sweep(plan_of(SMALL), x, out, mask, "u8", (1.0,), (0.0,))
    assert all(sys.getrefcount(a) > b for a, b in zip((x, out, mask), before, strict=True))
    del sweep
    assert [sys.getrefcount(array) for array in (x, out, mask)] == before


def test_a_batch_on_more_threads_than_the_system_grants_is_still_drawn() -> None:
    x = np.tile(X, (300, 1))
    batch = render_batch(x, SMALL, threads=256)
    np.testing.assert_array_equal(batch, np.broadcast_to(render(X, SMALL), batch.shape))


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.floats(), max_size=4).map(tuple),
    st.just(np.int64(5)),
    st.just(np.float16("nan")),
)
FIELDS = (*COUNTS, *NUMBERS, "mean", "std", "channel_uv_range", "ticks", "scale_lines", "mark_gray")


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELDS), anything, min_size=1, max_size=3))
def test_any_spec_is_drawn_or_refused_by_name(fields: dict[str, Any]) -> None:
    spec = None
    try:
        spec = RenderSpec(**{"width": 40, "height": 30, "rows": 1, **fields})
    except (TypeError, ValueError) as error:
        refused = str(error).split(":")[0]
    if spec is None:
        assert refused in FIELDS
    else:
        picture = render(np.zeros((spec.channels, 20), np.float32), spec, output="f32")
        assert picture.shape == spec.shape("f32")
        assert np.isfinite(picture).all()
