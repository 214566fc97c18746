"""Gates close on doubt: what was not measured, or is no number, does not pass."""

from __future__ import annotations

import math

import pytest
from eegvlm_export.gates import Gate, GatesFailedError, check_gates, flatten, parse_gates


@pytest.mark.parametrize(("value", "passed"), [(0.94, False), (0.95, True), (1.0, True)])
def test_a_lower_bound_is_inclusive(value: float, passed: bool) -> None:
    (result,) = check_gates([Gate("agreement.head", at_least=0.95)], {"agreement": {"head": value}})
    assert result.passed is passed


@pytest.mark.parametrize(("value", "passed"), [(0, True), (20, True), (20.1, False)])
def test_an_upper_bound_is_inclusive(value: float, passed: bool) -> None:
    (result,) = check_gates([Gate("bytes", at_most=20)], {"bytes": value})
    assert result.passed is passed


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"agreement": {}},
        {"agreement": {"head": math.nan}},
        {"agreement": {"head": None}},
        {"agreement": {"head": "1.0"}},
        {"agreement": {"head": True}},
        {"agreement": 1.0},
    ],
)
def test_a_figure_that_is_missing_or_no_number_fails(figures: dict[str, object]) -> None:
    (result,) = check_gates([Gate("agreement.head", at_least=0.0, at_most=1.0)], figures)
    assert not result.passed


def test_figures_are_named_by_their_path() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": 2.5}}, "e": "text"}) == {"a.b": 1.0, "a.c.d": 2.5}


def test_gates_are_read_with_both_bounds() -> None:
    gates = parse_gates({"x": {"at_least": 1, "at_most": 2}, "y.z": {"at_most": 0.5}})
    assert gates == (Gate("x", 1.0, 2.0), Gate("y.z", None, 0.5))
    assert gates[0].wanted == ">= 1 and <= 2"


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"x": 1},
        {"x": {}},
        {"x": {"min": 1}},
        {"x": {"at_least": "1"}},
        {"x": {"at_least": True}},
        {"x": {"at_least": math.nan}},
        {"x": {"at_most": math.inf}},
    ],
)
def test_a_gate_that_bounds_nothing_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match="gates"):
        parse_gates(content)


def test_the_error_names_the_gates_that_failed() -> None:
    results = check_gates([Gate("a", at_least=1), Gate("b", at_least=1)], {"a": 2, "b": 0})
    assert str(GatesFailedError(results)) == "gates failed: b"
