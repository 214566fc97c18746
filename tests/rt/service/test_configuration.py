"""The configuration: every error with its line, its field and its cure."""

from __future__ import annotations

import tomllib
from datetime import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.service import ConfigurationError, configuration_schema, parse_configuration
from eegvlm_rt.service.toml_lines import lines_of

GOOD = """\
data = "/tmp/nights"
device = "ward-3"
timezone = "Europe/Zurich"

[model]
mode = "head"

[[beds]]
id = "one"
source = "lsl:Amp"
lights_off = "22:30"
lights_on = "07:00"
alarms.source_gone_s = 20

[[beds]]
id = "two"
source = "edf:night.edf@10x"
"""


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(text.encode())
    for problem in caught.value.problems:
        assert problem.cure
    return [(problem.line, problem.field) for problem in caught.value.problems]


def test_a_right_configuration_is_read_as_it_stands() -> None:
    found = parse_configuration(GOOD.encode())
    assert [bed.id for bed in found.beds] == ["one", "two"]
    assert found.beds[0].lights_off == time(22, 30)
    assert found.beds[0].alarms.source_gone_s == 20
    assert found.beds[1].lights_off is None
    assert found.beds[1].label == "two"
    assert found.page.host == "127.0.0.1"
    assert str(found.timezone) == "Europe/Zurich"


@pytest.mark.parametrize(("deadline_s", "wait_s"), [(2, 58), (20, 58), (30, 66)])
def test_no_decision_is_an_alarm_within_two_epochs_or_soon_after_the_longest_deadline(
    deadline_s: int, wait_s: float
) -> None:
    text = GOOD.replace('mode = "head"', f"deadline_s = {deadline_s}")
    assert {bed.alarms.no_decision_s for bed in parse_configuration(text.encode()).beds} == {wait_s}


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(configuration_schema())


def test_no_setting_is_a_command() -> None:
    def names(schema: Any) -> list[str]:
        if isinstance(schema, dict):
            own = list(schema.get("properties", {}))
            return own + [name for value in schema.values() for name in names(value)]
        return [name for value in schema for name in names(value)] if isinstance(schema, list) else []

    known = names(configuration_schema())
    assert "source" in known
    assert not {"command", "exec", "script", "hook", "shell", "program"} & {
        part for name in known for part in name.split("_")
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ('mode = "head"', 'mode = "fast"', 6, "model.mode"),
        ('mode = "head"', "hang_s = 5\ndeadline_s = 20", 5, "model"),
        ('mode = "head"', "deadline_s = nan", 6, "model.deadline_s"),
        ('mode = "head"', "threads = true", 6, "model.threads"),
        ('mode = "head"', "deadline_s = 25\n[alarms]\nno_decision_s = 57", 8, "alarms.no_decision_s"),
        ("source_gone_s = 20", "no_decision_s = 50", 13, "beds[1].alarms.no_decision_s"),
        ('mode = "head"', 'bundle = "nano"\nslots = "/tmp/slots"', 6, "model.bundle"),
        ('id = "two"', 'id = "ONE"', 16, "beds[2].id"),
        ('id = "two"', 'id = "../two"', 16, "beds[2].id"),
        ('id = "two"', 'label = "two"', 15, "beds[2].id"),
        ("lsl:Amp", "serial:Amp", 10, "beds[1].source"),
        ('"22:30"', '"24:30"', 11, "beds[1].lights_off"),
        ('"22:30"', "22:30:00", 11, "beds[1].lights_off"),
        ('lights_on = "07:00"\n', "", 11, "beds[1].lights_on"),
        ('"07:00"', '"22:30"', 12, "beds[1].lights_on"),
        ("Europe/Zurich", "Europe/Atlantis", 3, "timezone"),
        ("Europe/Zurich", "../../etc/passwd", 3, "timezone"),
        ("/tmp/nights", "nights", 1, "data"),
        ('device = "ward-3"', "colour = 1", 2, "colour"),
        ('device = "ward-3"', "webhooks = [{url = 'ftp://x'}]", 2, "webhooks[1].url"),
        ('device = "ward-3"', "page.host = '0.0.0.0'", 2, "page.host"),
        ('device = "ward-3"', "page.tokens_file = '/nowhere'", 2, "page.tokens_file"),
        ('device = "ward-3"', "alarms.high = ['disk']\nalarms.off = ['disk']", 3, "alarms.off[1]"),
    ],
)
def test_each_error_has_its_line_and_its_field(old: str, new: str, line: int, field: str) -> None:
    assert old in GOOD
    assert (line, field) in problems(GOOD.replace(old, new))


def test_all_errors_are_told_at_once_in_order_of_lines() -> None:
    found = problems('data = "x"\nfoo = 1\n[model]\nmode = "fast"\n[[beds]]\nid = "a b"\n')
    assert [line for line, _ in found] == [2, 4, 5, 6]


def test_a_syntax_error_has_its_line() -> None:
    assert problems(GOOD.replace('id = "two"', 'id = "two')) == [(16, "syntax")]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a" * (1 << 21), b"[" * 5000, b"\x00"])
def test_what_is_no_configuration_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError):
        parse_configuration(content)


def test_a_secret_that_others_may_read_is_refused_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("view correct-horse-battery-staple\n")
    text = GOOD.replace('device = "ward-3"', f"page.tokens_file = '{file}'")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(text.encode())
    assert "chmod 600" in str(caught.value)
    assert "battery" not in str(caught.value)
    file.chmod(0o600)
    assert parse_configuration(text.encode()).page.tokens_file == str(file)
    file.write_text("admin correct-horse-battery-staple\n")
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(text.encode())
    assert "battery" not in str(caught.value)


KEYS = st.text("abc_-1", min_size=1, max_size=4)
VALUES = st.recursive(
    st.integers(0, 9)
    | st.sampled_from(['"a#]"', "'}'", '"""x\n\n# y"""', "'''\na'''", "1.5", "true", '"\\""']),
    lambda inner: st.lists(inner, max_size=3).map(
        lambda parts: "[" + ",\n ".join(map(str, parts)) + " # note ]\n]"
    ),
    max_leaves=5,
)


@given(
    st.lists(st.tuples(KEYS, VALUES, st.booleans()), min_size=1, max_size=6, unique_by=lambda part: part[0])
)
def test_lines_are_those_of_the_keys_whatever_stands_before(parts: list[tuple[str, Any, bool]]) -> None:
    """Every key is found on the line it was written to, in a table or an array of tables."""
    text, expected = "", {}
    for name, value, several in parts:
        text += "# a comment [x] = 1\n\n" + (f"[[{name}]]\n" if several else f"[{name}]\n")
        path: tuple[str | int, ...] = (name, 0, "key") if several else (name, "key")
        expected[path] = text.count("\n") + 1
        text += f"key = {value}\n"
    tomllib.loads(text)
    lines = lines_of(text)
    assert {path: lines.get(path) for path in expected} == expected


@given(st.text(max_size=60))
def test_lines_of_anything_is_no_error(text: str) -> None:
    lines_of(text)
