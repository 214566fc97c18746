"""Stages and the codings of other software."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.errors import InputError
from eegvlm_rt.stages import STAGES, Stage, edf_text


def test_class_indices_are_w_n1_n2_n3_r():
    assert [(stage.name, int(stage)) for stage in STAGES] == [
        ("W", 0),
        ("N1", 1),
        ("N2", 2),
        ("N3", 3),
        ("R", 4),
    ]


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("Sleep stage W", Stage.W),
        ("Sleep stage 1", Stage.N1),
        ("Sleep stage 2", Stage.N2),
        ("Sleep stage 3", Stage.N3),
        ("Sleep stage 4", Stage.N3),
        ("Sleep stage R", Stage.R),
        ("Sleep stage N1", Stage.N1),
        ("Sleep stage N2", Stage.N2),
        ("Sleep stage N3", Stage.N3),
    ],
)
def test_edf_plus_texts_in_both_wordings(text, stage):
    assert Stage.parse(text) is stage


@pytest.mark.parametrize(
    "text", ["Sleep stage ?", "Sleep stage N", "Movement time", "Artefact", "unscored", "UNS", "ART", ""]
)
def test_unscored_texts_give_none(text):
    assert Stage.parse(text) is None


@pytest.mark.parametrize("text", ["  n2 ", "sleep  STAGE  2", "S2", "NREM2", "N2"])
def test_case_and_space_do_not_matter(text):
    assert Stage.parse(text) is Stage.N2


@pytest.mark.parametrize(
    "text", ["N4", "Sleep stage 5", "5", "REM2", "Sleep stage", "stage stage W", "Lights off"]
)
def test_an_unknown_text_is_refused_by_name(text):
    with pytest.raises(InputError, match="stage"):
        Stage.parse(text)


@given(st.text(max_size=40))
def test_any_text_gives_a_stage_none_or_an_input_error(text):
    try:
        found = Stage.parse(text)
    except InputError:
        return
    assert found is None or found in STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_every_text_written_is_read_back(stage):
    assert Stage.parse(stage.to_edf_text()) is stage
    assert Stage.parse(stage.to_edf_text(rk=True)) is stage
    assert Stage.parse(stage.name) is stage


def test_edf_texts_are_those_of_the_standard():
    assert [stage.to_edf_text() for stage in STAGES] == [
        f"Sleep stage {name}" for name in ("W", "N1", "N2", "N3", "R")
    ]
    assert [edf_text(stage, rk=True) for stage in STAGES] == [f"Sleep stage {name}" for name in "W123R"]
    assert edf_text(None) == "Sleep stage ?"


def test_integer_codings():
    none = None
    assert [Stage.from_int(code) for code in range(-2, 6)] == [none, none, *STAGES, none]
    assert [Stage.from_rk(code) for code in (-1, 0, 1, 2, 3, 4, 5, 6, 9)] == [
        none, Stage.W, Stage.N1, Stage.N2, Stage.N3, Stage.N3, Stage.R, none, none,
    ]  # fmt: skip
    assert [Stage.from_dreams(code) for code in range(-1, 7)] == [
        none, Stage.N3, Stage.N3, Stage.N2, Stage.N1, Stage.R, Stage.W, none,
    ]  # fmt: skip


def test_yasa_integers_and_words():
    assert [Stage.from_yasa(code) for code in (-2, -1, 0, 4)] == [None, None, Stage.W, Stage.R]
    assert [Stage.from_yasa(word) for word in ("WAKE", "N1", "REM", "ART", "UNS")] == [
        Stage.W, Stage.N1, Stage.R, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_rk_codes_are_read_back(stage):
    assert Stage.from_rk(stage.rk_code) is stage
