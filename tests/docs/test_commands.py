"""Every command that a page shows exists, with the options that it shows; examples parse as they stand."""

from __future__ import annotations

import re
import runpy
import shlex
import warnings
from functools import partial
from importlib.util import find_spec

import pytest

from eegvlm_rt.cli.parser import build_parser
from tests.docs.commands import commands_of, help_of, option_names

COMMANDS = commands_of("eegvlm-rt")
EXAMPLES = [
    (page, line)
    for page, line in commands_of("eegvlm-rt", blocks_only=True)
    # Words in capitals stand for something, and brackets, bars and dots are not to be typed.
    if len(line.split()) > 2 and not re.search(r"[\[|]|\.\.\.|[ =]N\b|\b[A-Z]{4,}", line)
]
BENCHMARKS = commands_of("python -m benchmarks")


def test_every_page_is_looked_at() -> None:
    assert {"README.md", "cli.md", "bundle.md", "streaming.md", "service.md"} <= {
        page for page, _ in COMMANDS
    }
    assert len(EXAMPLES) > 15
    assert len(BENCHMARKS) > 10


def test_every_option_of_eegvlm_rt_in_the_pages_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for page, line in COMMANDS:
        words = [word for word in line.split()[1:] if re.fullmatch(r"[a-z-]+", word)]
        words = words[: 2 if words[:1] in (["bundle"], ["journal"]) else 1]
        if not words or words[0].startswith("-"):
            continue
        known = option_names(help_of(capsys, build_parser().parse_args, *words))
        assert option_names(line) <= known, f"{page}: {line}"


@pytest.mark.parametrize(("page", "line"), EXAMPLES)
def test_an_example_parses(page: str, line: str) -> None:
    assert build_parser().parse_args(shlex.split(line)[1:]), page


def test_every_benchmark_in_the_pages_exists_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[str, set[str]] = {}
    for page, line in BENCHMARKS:
        name = line.split()[2]
        assert find_spec(name), f"{page}: {line}"
        if option_names(line) - {"-m"}:
            if name not in known:
                known[name] = option_names(help_of(capsys, partial(_run, name)))
            assert option_names(line) - {"-m"} <= known[name], f"{page}: {line}"


def _run(module: str) -> None:
    with warnings.catch_warnings():
        # Other tests may have imported it already.
        warnings.simplefilter("ignore", RuntimeWarning)
        runpy.run_module(module, run_name="__main__")
