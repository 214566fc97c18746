"""Errors: one tree, messages that name field, value and cure."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from eegvlm_rt import errors
from eegvlm_rt.errors import (
    BackendError,
    BundleError,
    ChannelError,
    EegVlmError,
    InputError,
    IntegrityError,
    RationaleError,
    RecordingError,
    SamplingRateError,
    UnitError,
)

EVERY = [kind for name in errors.__all__ if not issubclass(kind := getattr(errors, name), Warning)]


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_belongs_to_the_tree(kind):
    assert issubclass(kind, EegVlmError)


@pytest.mark.parametrize("kind", EVERY)
def test_a_message_names_field_value_and_cure(kind):
    error = kind("sfreq", 17, "give a rate from 50 to 4096 Hz")
    assert str(error) == "sfreq: 17; give a rate from 50 to 4096 Hz"
    assert (error.field, error.value, error.cure) == ("sfreq", 17, "give a rate from 50 to 4096 Hz")


@pytest.mark.parametrize("kind", EVERY)
def test_errors_survive_pickling_between_processes(kind):
    copy = pickle.loads(pickle.dumps(kind("a", "b", "c")))
    assert type(copy) is kind
    assert str(copy) == "a: b; c"


@pytest.mark.parametrize("kind", [InputError, UnitError, ChannelError, SamplingRateError, RecordingError])
def test_input_errors_are_value_errors(kind):
    assert issubclass(kind, InputError)
    assert issubclass(kind, ValueError)


def test_a_rationale_error_is_a_value_error_but_no_input_error():
    assert issubclass(RationaleError, ValueError)
    assert not issubclass(RationaleError, InputError)


def test_a_broken_file_is_a_bundle_error():
    assert issubclass(IntegrityError, BundleError)
    assert not issubclass(BackendError, BundleError)


def test_extra_facts_survive_pickling():
    channel = ChannelError("channel", "C9", "use one of those", available=("C3", "C4"))
    assert pickle.loads(pickle.dumps(channel)).available == ("C3", "C4")
    rationale = RationaleError("rule", "x", "y", position=12)
    assert pickle.loads(pickle.dumps(rationale)).position == 12


def test_a_long_value_does_not_flood_the_message():
    assert len(str(InputError("x", "a" * 10_000, "shorter"))) < 250
    assert len(str(InputError("x", np.zeros(100_000), "shorter"))) < 250
    assert len(str(InputError("x", list(range(100_000)), "shorter"))) < 250


def test_a_cause_is_not_cut_off():
    cause = "the pass failed: " + "a reason of the library that failed, " * 9
    assert cause in str(BackendError("tower", cause, "try again"))


def test_an_empty_value_is_visible():
    assert str(InputError("channel", "", "name one")) == "channel: ''; name one"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(b"-3276,8 ", "-3276,8"), (b"\x83V\x00\x1b", "\ufffdV\ufffd\ufffd"), (b"", "''")],
)
def test_bytes_of_a_file_are_shown_as_its_text(value, shown):
    assert str(InputError("physical minimum", value, "not a number")) == (
        f"physical minimum: {shown}; not a number"
    )


def test_a_number_that_python_does_not_write_is_said_in_words() -> None:
    """CPython refuses to write more than 4,300 digits."""
    message = "field: a number of thousands of digits; give fewer"
    assert str(InputError("field", 10**5000, "give fewer")) == message
    assert str(InputError("field", [10**5000], "give fewer")) == message
