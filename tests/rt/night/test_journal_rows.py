"""The rows of a night, taken record by record: the answer of an epoch that counts, whatever the order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.errors import InputError
from eegvlm_rt.hypnogram.model import MAX_EPOCHS
from eegvlm_rt.journal import NightState, Record, night_state
from eegvlm_rt.night import Night
from eegvlm_rt.night.journal_rows import JournalRows
from eegvlm_rt.stages import STAGES
from tests.rt.journal.records import epoch

OUTCOMES = ("scored", "late", "failed", "unscorable")


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An early stage or a final answer of one of ten epochs."""
    kind = draw(st.sampled_from(["stage", "prediction"]))
    index = draw(st.integers(0, 9))
    return kind, epoch(index, draw(st.sampled_from(OUTCOMES)), draw(st.sampled_from(STAGES)).name)


def counting(records: list[tuple[str, dict[str, Any]]]) -> dict[int, dict[str, Any]]:
    """By epoch the answer that counts: the first final one, else the first early one."""
    bodies: dict[int, dict[str, Any]] = {}
    for wanted in ("prediction", "stage"):
        for kind, body in records:
            if kind == wanted:
                bodies.setdefault(body["index"], body)
    return bodies


@given(st.lists(answers(), max_size=40))
def test_the_first_final_answer_of_an_epoch_counts_and_an_early_one_where_none_follows(records):
    rows = JournalRows()
    for kind, body in records:
        rows.add(kind, body)
    bodies = counting(records)
    assert len(rows.table()) == rows.next_epoch_index == max(bodies, default=-1) + 1
    for row in rows.table().view():
        body = bodies.get(int(row["epoch"]))
        stage = -1 if body is None else [s.name for s in STAGES].index(body["stage"])
        assert (row["outcome"], row["raw_stage"]) == ("" if body is None else body["outcome"], stage)
        counts = body is not None and body["outcome"] in ("scored", "late")
        assert row["stage"] == (stage if counts else -1)


@given(st.lists(answers(), max_size=40))
def test_the_state_counts_the_answers_that_the_rows_have(records):
    state = night_state([Record(i, kind, body, 0, "") for i, (kind, body) in enumerate(records)])
    bodies = counting(records)
    assert isinstance(state, NightState)
    outcomes = [body["outcome"] for body in bodies.values()]
    assert state.outcomes == {name: outcomes.count(name) for name in set(outcomes)}
    assert state.missing == tuple(i for i in range(max(bodies, default=0)) if i not in bodies)
    last = records[-1][1]["last_timestamp_s"] if records else None
    assert (state.records, state.last_timestamp_s) == (len(records), last)


@given(st.lists(answers(), max_size=40))
def test_a_night_from_a_journal_has_the_same_rows(records):
    rows = JournalRows()
    for kind, body in records:
        rows.add(kind, body)
    night = Night.from_journal([Record(i, kind, body, 0, "") for i, (kind, body) in enumerate(records)])
    assert night.table().tobytes() == rows.table().view().tobytes()


@pytest.mark.parametrize("kind", ["stage", "prediction"])
def test_more_than_a_week_is_refused_and_takes_no_memory(kind):
    rows = JournalRows()
    assert rows.add(kind, epoch((1 << 31) - 1)) is not None
    assert rows.add(kind, epoch(1 << 31)) is None
    with pytest.raises(InputError, match=f"at most {MAX_EPOCHS}"):
        rows.table()


@pytest.mark.parametrize("index", [True, -1, 1.0, None, "0"])
def test_an_answer_without_a_number_of_an_epoch_is_none(index):
    rows = JournalRows()
    assert rows.add("prediction", {**epoch(0), "index": index}) is None
    assert len(rows.table()) == 0
