"""More pictures at a time than the caches hold are written another way, to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from eegvlm_rt import _kernel
from eegvlm_rt.rendering.renderer import OutputName, RenderSpec, build_config, render, render_batch

SPECS = {
    "usual": RenderSpec(),
    "odd width": RenderSpec(width=331, height=200, rows=2),
    "narrow": RenderSpec(width=23, height=336, rows=4),
    "rows that share pixels": RenderSpec(width=300, height=335, rows=6, channels=2),
    "tall": RenderSpec(width=70, height=2100, rows=1),
    "marked": RenderSpec(width=208, rows=3, ticks=30, scale_lines=(37.5, -37.5)),
    "wide stroke": RenderSpec(width=320, height=160, rows=2, line_width=7.7),
}
HOT_BYTES = 4 << 20


@pytest.mark.parametrize("output", ["u8", "u8_chw", "f32", "f16", "gray", "gray_f32"])
@pytest.mark.parametrize("name", SPECS)
def test_a_large_batch_holds_the_bytes_of_single_pictures(name: str, output: OutputName) -> None:
    spec = SPECS[name]
    one = render(np.zeros((spec.channels, 5)), spec, output=output)
    count = HOT_BYTES // one.nbytes + 2
    random = np.random.default_rng(count)
    few = (random.standard_normal((5, spec.channels, 700)).cumsum(axis=-1) * 9).astype(np.float32)
    few[1, :, 300:340] = np.nan
    expected = [render(x, spec, output=output) for x in few]
    batch = render_batch(np.resize(few, (count, *few.shape[1:])), spec, output=output, threads=2)
    for i, picture in enumerate(batch):
        np.testing.assert_array_equal(picture, expected[i % 5])


@pytest.mark.parametrize("offset", [0, 4, 32])
def test_memory_that_is_not_aligned_to_a_register_is_written_alike(offset: int) -> None:
    spec = RenderSpec()
    x = np.random.default_rng(0).standard_normal((4, 3000)) * 30
    room = np.zeros(4 * 3 * 336 * 336 * 4 + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    out = room[start : start + 4 * 3 * 336 * 336 * 4].view(np.float32).reshape(4, 3, 336, 336)
    render_batch(x, spec, out=out, output="f32")
    for picture, samples in zip(out, x, strict=True):
        np.testing.assert_array_equal(picture, render(samples, spec, output="f32"))
    assert not room[:start].any()
    assert not room[start + out.nbytes :].any()


def test_every_instruction_set_writes_a_large_batch_alike() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3000)) * 30
    best = str(build_config()["instruction_set"])
    pictures = set()
    try:
        for name in str(build_config()["instruction_sets"]).split():
            _kernel.use_instruction_set(name)
            pictures.add(render_batch(x, output="f32").tobytes())
    finally:
        _kernel.use_instruction_set(best)
    assert len(pictures) == 1
