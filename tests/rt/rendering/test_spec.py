"""RenderSpec: what it holds, what it refuses, how it travels."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from eegvlm_rt.errors import InputError
from eegvlm_rt.rendering.renderer import RenderSpec


def test_the_default_is_six_rows_at_336_pixels() -> None:
    spec = RenderSpec()
    assert (spec.width, spec.height, spec.rows, spec.channels) == (336, 336, 6, 1)
    assert (spec.uv_range, spec.line_width) == (100.0, 1.0)


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RenderSpec().width = 5  # type: ignore[misc]


def test_a_spec_survives_json() -> None:
    spec = RenderSpec(
        width=448, height=224, rows=1, uv_range=75.5, line_width=1.5, channels=2, mean=(0.1, 0.2, 0.3)
    )
    assert RenderSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_numbers_of_other_kinds_become_plain_ones() -> None:
    spec = RenderSpec(width=np.int64(224), uv_range=50, std=[1, 1, 1])  # type: ignore[arg-type]
    assert type(spec.width) is int
    assert type(spec.uv_range) is float
    assert spec.std == (1.0, 1.0, 1.0)
    assert hash(spec) == hash(RenderSpec(width=224, uv_range=50.0, std=(1.0, 1.0, 1.0)))


def test_fields_left_out_take_their_default() -> None:
    assert RenderSpec.from_dict({"rows": 3}) == RenderSpec(rows=3)


def test_cuts_are_told_only_where_they_are_not_the_default() -> None:
    assert "cuts" not in RenderSpec().to_dict()
    assert RenderSpec(cuts=8) == RenderSpec()
    assert RenderSpec(cuts=4).to_dict() == {**RenderSpec().to_dict(), "cuts": 4}
    assert RenderSpec.from_dict(json.loads(json.dumps(RenderSpec(cuts=4).to_dict()))).cuts == 4


def test_unknown_fields_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="row_count"):
        RenderSpec.from_dict({"row_count": 3})


@pytest.mark.parametrize("output", ["u8", "f32"])
def test_shape_is_that_of_the_picture(output: Any) -> None:
    expected = (3, 20, 30) if output == "f32" else (20, 30, 3)
    assert RenderSpec(width=30, height=20).shape(output) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("width", -336),
        ("width", 4097),
        ("width", 2**80),
        ("height", 0),
        ("height", 5),
        ("rows", 0),
        ("rows", 65),
        ("channels", 0),
        ("channels", 9),
        ("uv_range", 0.0),
        ("uv_range", -100.0),
        ("uv_range", float("nan")),
        ("uv_range", float("inf")),
        ("uv_range", 10**400),
        ("line_width", 0.49),
        ("line_width", 8.01),
        ("line_width", float("nan")),
        ("std", (1.0, 0.0, 1.0)),
        ("std", (1.0, -1.0, 1.0)),
        ("std", (1.0, 1.0)),
        ("mean", (0.0, float("nan"), 0.0)),
        ("mean", ()),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        RenderSpec(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", "336"),
        ("width", 336.0),
        ("width", True),
        ("height", None),
        ("rows", [6]),
        ("channels", 1j),
        ("uv_range", "100"),
        ("uv_range", None),
        ("uv_range", True),
        ("line_width", [1.0]),
        ("mean", 0.5),
        ("mean", "abc"),
        ("std", (1.0, "1", 1.0)),
    ],
)
def test_a_value_of_the_wrong_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{field}: "):
        RenderSpec(**{field: value})


def test_rows_thinner_than_the_stroke_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^height: 47; .*line_width"):
        RenderSpec(height=47, rows=6, line_width=8.0)
    assert RenderSpec(height=48, rows=6, line_width=8.0).height == 48
