"""How the files of each package import one another: folders in one direction, names from their own file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "eegvlm_rt", ROOT / "training" / "eegvlm_train", ROOT / "export" / "eegvlm_export")


def room_of(parts: tuple[str, ...], package: Path) -> str | None:
    """The folder of a module below `package`, None for a module that lies in no folder."""
    return parts[0] if parts and (package / parts[0]).is_dir() else None


def imports_of(tree: ast.AST, place: tuple[str, ...], name: str) -> Iterator[tuple[str, ...]]:
    """Modules below the package `name` that a module at `place` imports, in its functions too; what it
    imports for types alone is left out.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom):
            base = place[: len(place) - node.level] if node.level else ()
            module = tuple((node.module or "").split(".")) if node.module else ()
            if not node.level:
                if module[:1] != (name,):
                    continue
                module = module[1:]
            for alias in node.names:
                yield (*base, *module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{name}."):
                    yield tuple(alias.name.split(".")[1:])
        yield from imports_of(node, place, name)


def rooms_of(package: Path) -> dict[str, dict[str, str]]:
    """Room -> room that it imports -> the module that does."""
    rooms: dict[str, dict[str, str]] = {}
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package).with_suffix("").parts
        room = room_of(place[:-1], package)
        if room is None:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for module in imports_of(tree, place, package.name):
            other = room_of(module, package)
            if other not in (None, room):
                rooms.setdefault(room, {}).setdefault(str(other), str(file.relative_to(ROOT)))
    return rooms


def cycles_of(rooms: dict[str, dict[str, str]]) -> list[str]:
    """Each way from a room back to itself, with the modules on it."""
    ways = set()

    def walk(way: tuple[str, ...]) -> None:
        for other in rooms.get(way[-1], {}):
            if other in way:
                round_ = (*way[way.index(other) :], other)
                if min(round_) == round_[0]:
                    steps = pairwise(round_)
                    ways.add("; ".join(f"{a} -> {b} in {rooms[a][b]}" for a, b in steps))
            else:
                walk((*way, other))

    for room in rooms:
        walk((room,))
    return sorted(ways)


def test_a_cycle_is_seen() -> None:
    rooms = {"a": {"b": "a/x.py"}, "b": {"c": "b/y.py"}, "c": {"a": "c/z.py", "b": "c/w.py"}}
    assert cycles_of(rooms) == [
        "a -> b in a/x.py; b -> c in b/y.py; c -> a in c/z.py",
        "b -> c in b/y.py; c -> b in c/w.py",
    ]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_folders_of_a_package_import_one_another_in_one_direction(package: Path) -> None:
    rooms = rooms_of(package)
    assert len(rooms) > 2
    assert cycles_of(rooms) == []


def names_from_folders(package: Path) -> list[str]:
    """Names that a module of `package` takes from a folder of it instead of the file that defines them."""
    names = []
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package).with_suffix("").parts
        for *folder, name in imports_of(ast.parse(file.read_text(encoding="utf-8")), place, package.name):
            source = package.joinpath(*folder)
            is_module = source.joinpath(f"{name}.py").is_file() or source.joinpath(name).is_dir()
            if folder and source.is_dir() and source != file.parent and not is_module:
                names.append(f"{file.relative_to(package)}: {name} from {'.'.join(folder)}")
    return names


def test_the_runtime_imports_a_name_from_the_file_that_defines_it() -> None:
    assert names_from_folders(ROOT / "eegvlm_rt") == []
