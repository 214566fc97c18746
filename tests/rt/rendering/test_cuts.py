"""Fewer cuts a pixel: as exact as docs/rendering.md says, and the same picture however it is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks._exact import exact_columns, psnr_db, signal_uv
from eegvlm_rt.rendering.renderer import RenderSpec, render, render_batch

LEAST_PSNR_DB = {8: 44.0, 4: 38.0, 2: 34.0}
COLUMNS = np.arange(2, 222, 5)


@pytest.mark.parametrize("line_width", [1.0, 2.0])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("rate_hz", [100, 512, 1000])
def test_each_number_of_cuts_is_as_exact_as_is_said(rate_hz: int, rows: int, line_width: float) -> None:
    spec = RenderSpec(width=224, height=224, rows=rows, line_width=line_width)
    x = signal_uv(rate_hz)
    exact = exact_columns(x, spec, COLUMNS, cuts=101)
    for cuts, least in LEAST_PSNR_DB.items():
        picture = render(x, replace(spec, cuts=cuts), output="gray")[:, COLUMNS]
        assert psnr_db(picture, exact) >= least, cuts


@pytest.mark.parametrize("cuts", [2, 4, 8])
def test_a_flat_line_is_as_thick_as_it_should_be(cuts: int) -> None:
    for line_width in (0.5, 1.0, 2.0, 3.7):
        spec = RenderSpec(width=64, height=64, rows=1, line_width=line_width, cuts=cuts)
        ink = (255 - render(np.zeros(500), spec, output="gray").astype(int)).sum(axis=0) / 255
        assert np.abs(ink - line_width).max() <= 0.03


@pytest.mark.parametrize("cuts", [2, 4])
def test_outputs_and_threads_show_the_same_picture(cuts: int) -> None:
    spec = RenderSpec(cuts=cuts)
    x = np.stack([signal_uv(100, seed=seed) for seed in range(3)])
    x[1, 700:760] = np.nan
    pictures = render_batch(x, spec, threads=2)
    for one, picture in zip(x, pictures, strict=True):
        gray = render(one, spec, output="gray")
        np.testing.assert_array_equal(picture, np.repeat(gray[..., None], 3, axis=2))
        np.testing.assert_array_equal(render(one, spec, output="u8_chw"), np.repeat(gray[None], 3, axis=0))


def test_the_number_of_cuts_is_part_of_the_look() -> None:
    x = signal_uv(100)
    eight, four = render(x, RenderSpec(cuts=8)), render(x, RenderSpec(cuts=4))
    assert (eight != four).any()
    np.testing.assert_array_equal(render(x, RenderSpec()), eight)
