"""Pictures that must not change unless RENDERER_VERSION does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eegvlm_rt.rendering.renderer import RENDERER_VERSION
from tests.rt.rendering.render_baselines import CASES, FOLDER, draw


def test_the_baselines_belong_to_this_version_of_the_renderer() -> None:
    assert RENDERER_VERSION == "3"


def test_every_baseline_has_a_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.png")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_picture_is_the_baseline_byte_for_byte(name: str) -> None:
    with Image.open(FOLDER / f"{name}.png") as kept:
        np.testing.assert_array_equal(draw(name), np.asarray(kept))
