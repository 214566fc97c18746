"""The night's record before an epoch: what it says, and that only the past counts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.errors import InputError
from eegvlm_rt.rationale import Course, NightContext
from eegvlm_rt.stages import Stage
from tests.rt.rationale.rationale_samples import LIGHT, QUIET, all_findings, contexts, stages

AROUSED = replace(QUIET, arousals=1)


def record(*epochs):
    context = NightContext()
    for findings, stage in epochs:
        context = context.after(findings, stage)
    return context


class TestCourse:
    def test_a_night_begins_with_nothing(self):
        assert NightContext().previous is None
        assert NightContext().course is Course.QUIET

    @pytest.mark.parametrize(
        ("epochs", "course", "since"),
        [
            ([(LIGHT, Stage.N2)], Course.EVENT, 1),
            ([(LIGHT, Stage.N2), (QUIET, Stage.N2), (QUIET, Stage.N2)], Course.EVENT, 3),
            ([(LIGHT, Stage.N2), (AROUSED, Stage.N2)], Course.AROUSAL, 2),
            ([(LIGHT, Stage.N2), (AROUSED, Stage.N1), (QUIET, Stage.N1)], Course.AROUSAL, 3),
            ([(LIGHT, Stage.N2), (AROUSED, Stage.N1), (LIGHT, Stage.N2)], Course.EVENT, 1),
            ([(QUIET, Stage.N3)], Course.EVENT, 1),
            ([(LIGHT, Stage.N2), (QUIET, Stage.W)], Course.AROUSAL, None),
            ([(LIGHT, Stage.N2), (QUIET, Stage.R)], Course.QUIET, None),
            ([(AROUSED, Stage.R)], Course.AROUSAL, None),
            ([(AROUSED, Stage.R), (QUIET, Stage.R)], Course.QUIET, None),
            ([(LIGHT, Stage.N2), (QUIET, None)], Course.QUIET, None),
        ],
    )
    def test_what_the_record_says(self, epochs, course, since):
        context = record(*epochs)
        assert (context.course, context.since_event) == (course, since)
        assert context.previous is epochs[-1][1]

    def test_a_doubtful_spindle_is_no_event_of_the_record(self):
        doubtful = replace(QUIET, spindles=1, spindle_range=(0, 1))
        assert record((doubtful, Stage.N2)).course is Course.QUIET

    @given(st.lists(st.tuples(all_findings, st.none() | stages), max_size=12))
    def test_it_stays_small_whatever_comes(self, epochs):
        context = record(*epochs)
        assert context.stages == tuple(stage for _, stage in epochs[-3:])
        assert len(json.dumps(context.to_dict())) < 200

    @given(contexts, all_findings, stages)
    def test_the_next_record_follows_from_this_one_alone(self, context, findings, stage):
        again = NightContext.from_dict(json.loads(json.dumps(context.to_dict())))
        assert again == context
        assert again.after(findings, stage) == context.after(findings, stage)


@pytest.mark.parametrize(
    "values",
    [
        {},
        [],
        {"stages": [], "since_event": None},
        {"stages": ["N4"], "since_event": None, "aroused": False},
        {"stages": [["N2"]], "since_event": None, "aroused": False},
        {"stages": "N2", "since_event": None, "aroused": False},
        {"stages": ["N2"] * 4, "since_event": None, "aroused": False},
        {"stages": [], "since_event": 0, "aroused": False},
        {"stages": [], "since_event": True, "aroused": False},
        {"stages": [], "since_event": 1.5, "aroused": False},
        {"stages": [], "since_event": 2**40, "aroused": False},
        {"stages": [], "since_event": None, "aroused": 1},
        {"stages": [], "since_event": None, "aroused": False, "more": 1},
    ],
)
def test_a_record_that_was_never_written_is_refused(values):
    with pytest.raises(InputError, match="NightContext"):
        NightContext.from_dict(values)
