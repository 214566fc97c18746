"""The site, without building it: every page has one place, and every link inside leads somewhere.

`make docs` builds it and is no part of the tests.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import get_origin

import pytest

from docs.docstrings import rst
from docs.site_pages import COPIED, site_links, sole_title
from tests.docs.commands import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("api/*.md")])
LINKED = [*PAGES, DOCS / "examples/README.md", ROOT / "README.md", *(ROOT / page for page in COPIED)]
EXAMPLES = sorted(DOCS.glob("examples/plot_*.py"))

_TOCTREE = re.compile(r"```\{toctree\}\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def _children(page: Path) -> list[str]:
    """Names, from docs/, of the pages that a page's trees list."""
    entries = []
    for tree in _TOCTREE.findall(page.read_text("utf-8")):
        for line in tree.splitlines():
            if line.strip() and not line.startswith(":"):
                match = re.search(r"<(.+)>$", line)
                name = match[1] if match else line.strip()
                entries.append((page.parent / name).relative_to(DOCS).as_posix())
    return entries


def _anchors(page: Path) -> set[str]:
    """What a code forge and Sphinx call the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#{1,4} (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_has_one_place_in_the_tree() -> None:
    places = Counter(child for page in PAGES for child in _children(page))
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES} - {"index"}
    copies = {Path(copy).with_suffix("").as_posix() for copy in COPIED.values()}
    assert places == Counter(pages | copies | {"gallery/index"}), "list a new page in a toctree of docs/"


def test_the_tree_is_reached_from_the_start_page() -> None:
    reached, waiting = set(), ["index"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        if (page := DOCS / f"{name}.md").is_file():
            waiting += _children(page)
    assert {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES} <= reached


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_inside_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for goal in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        path, _, anchor = goal.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(goal)
    assert broken == []


def test_every_page_outside_that_is_linked_to_is_copied() -> None:
    """Sphinx takes a link to Markdown for a link to a page, so the page has to be on the site."""
    copied = {(ROOT / page).resolve() for page in (*COPIED, "README.md", "docs/examples/README.md")}
    for page in LINKED:
        for goal in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
            path = (page.parent / goal.partition("#")[0]).resolve()
            if path.suffix == ".md" and DOCS not in path.parents:
                assert path in copied, f"{page.name}: add {goal} to docs/site_pages.py"


def test_a_link_out_of_the_pages_leads_to_its_copy_on_the_site() -> None:
    text = (
        "[a](../SECURITY.md) [b](../models/nano/README.md#limits) [c](../benchmarks/x.json) [d](cli.md#stage)"
    )
    assert site_links(text, "docs/model.md") == (
        "[a](project/security.md) [b](project/nano.md#limits) [c](../benchmarks/x.json) [d](cli.md#stage)"
    )


def test_a_copied_page_links_from_where_it_is_shown() -> None:
    text = "[a](docs/bundle.md) [b](CHANGELOG.md) [c](CITATION.cff) [d](https://a.b/c) [e](#f)"
    assert site_links(text, "SECURITY.md", "project/security.md") == (
        "[a](../bundle.md) [b](../project/changelog.md) [c](../../CITATION.cff) [d](https://a.b/c) [e](#f)"
    )


def test_a_copied_page_keeps_one_title() -> None:
    assert sole_title("# a\n```\n# b\n```\n# c\n## d") == "# a\n```\n# b\n```\n## c\n## d\n"


def test_the_packages_page_says_what_each_of_the_nine_does() -> None:
    rows = re.findall(r"^\| \*\*(\S+)\*\* \|(.+)\|$", (DOCS / "packages.md").read_text("utf-8"), re.M)
    nine = ["torch", "onnx", "onnxruntime", "tensorrt", "optimum", "mne", "numpy", "pybind11", "bitsandbytes"]
    assert [name for name, _ in rows] == nine
    assert all(len(row.split(" | ")) == 4 for _, row in rows)


def test_the_packages_page_names_extras_that_exist_and_all_that_a_device_needs() -> None:
    page = (DOCS / "packages.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    columns = re.findall(r"^\| \*\*\S+\*\* \| [^|]+ \| ([^|]+) \|", page, re.M)
    columns += re.findall(r"^\| [^|*]+ \| ([^|]+) \| [^|]+ \|$", page, re.M)
    named = {extra for column in columns for extra in re.findall(r"`([a-z]+)`", column)}
    assert len(named) > 10
    assert named <= set(project["optional-dependencies"])
    for dependency in project["dependencies"]:
        assert re.split(r"[<>=]", dependency)[0] in page


def test_every_public_folder_of_the_runtime_is_in_the_reference() -> None:
    shown = {
        name for page in DOCS.glob("api/*.md") for name in re.findall(r"automodule:: (\S+)", page.read_text())
    }
    packages = {
        f"eegvlm_rt.{file.parent.name}"
        for file in ROOT.glob("eegvlm_rt/*/__init__.py")
        if "__all__" in file.read_text("utf-8")
    }
    assert packages - shown == {"eegvlm_rt.cli"}, "the commands have a page of their own"


def test_every_public_constant_is_in_the_reference() -> None:
    """Functions and classes come from their docstrings; constants are written down by hand."""
    text = "".join(page.read_text("utf-8") for page in DOCS.glob("api/*.md"))
    for module in re.findall(r"automodule:: (eegvlm_rt\S*)", text):
        package = import_module(module)
        for name in package.__all__:
            value = getattr(package, name)
            if not callable(value) or get_origin(value) is not None:
                assert f"`{name}`" in text or name == "__version__", f"{module}.{name}"


def test_the_citation_is_that_of_the_citation_file() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    page = (DOCS / "cite.md").read_text("utf-8")
    title = re.search(r'^title: "(.+)"$', citation, re.M)
    assert title is not None
    assert f"{{{title[1]}}}" in page
    for name in re.findall(r"family-names: (\w+)", citation):
        assert f"{name}, " in page


def test_the_examples_say_that_they_are_simulated_and_how_long_they_take() -> None:
    assert 6 <= len(EXAMPLES) <= 8
    listed = (DOCS / "examples/README.md").read_text("utf-8")
    for example in EXAMPLES:
        head = example.read_text("utf-8").split('"""')[1]
        assert "simulated" in head, example.name
        assert re.search(r"second|moment", head), example.name
        assert f"`{example.name}`" in listed


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_imports_names_that_exist_and_are_not_old(example: Path) -> None:
    """`make docs` runs the examples; an old name warns, and a warning is an error here."""
    for node in ast.walk(ast.parse(example.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("eegvlm_rt"):
            module = import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_extra_of_the_site_has_a_bound_for_each_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    packages = project["optional-dependencies"]["docs"]
    assert all(">=" in package or package.startswith("eegvlm-rt[") for package in packages)


def test_errors_of_one_paragraph_become_fields() -> None:
    lines = ["Reads it.", "", "Raises:", "    UnitError: unknown unit. InputError: no", "    real numbers."]
    assert rst(lines) == [
        "Reads it.",
        "",
        ":raises UnitError: unknown unit.",
        ":raises InputError: no real numbers.",
        "",
    ]


def test_a_program_after_an_empty_line_is_code() -> None:
    assert rst(["Opens it.", "", "    bundle = open()"]) == [
        "Opens it.",
        "",
        "::",
        "",
        "       bundle = open()",
        "",
    ]


def test_fields_without_a_heading_are_a_list() -> None:
    lines = ["rows: how many.", "uv_range: half", "    the height."]
    assert rst(lines) == ["* ``rows``: how many.", "* ``uv_range``: half the height.", ""]


def test_stars_and_underscores_stand_for_themselves() -> None:
    assert rst(["a * b, c_ and `d * e_`"]) == [r"a \* b, c\_ and `d * e_`", ""]
