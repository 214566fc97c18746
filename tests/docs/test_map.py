"""The map in CONTRIBUTING.md leads to files that are there, most of them by the name of their folder."""

from __future__ import annotations

import re

from benchmarks.house import PACKAGES, import_depth, imports, package_cycles, participles
from tests.docs.commands import ROOT

MAP = re.findall(
    r"^\| (the [^|]+?) \| `([^`]+\.py)` \|$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M
)


def test_the_map_answers_twenty_questions_with_files_that_exist() -> None:
    assert len(MAP) == len({question for question, _ in MAP}) == 20
    assert [path for _, path in MAP if not (ROOT / path).is_file()] == []


def test_eighteen_answers_lie_in_a_folder_of_their_subject() -> None:
    assert sum(path.count("/") > 1 for _, path in MAP) >= 18


def test_no_folders_import_one_another() -> None:
    for package, folder in PACKAGES.items():
        assert package_cycles(imports(ROOT / folder, package), package) == []


def test_whoever_follows_the_imports_of_the_runtime_opens_at_most_twelve_files() -> None:
    assert import_depth(imports(ROOT / PACKAGES["eegvlm_rt"], "eegvlm_rt")) <= 12


def test_variables_are_named_by_nouns() -> None:
    for folder in PACKAGES.values():
        assert participles(ROOT / folder) == []
