"""How easily the project is read: sizes, comments, imports, calls across files, README.

Usage: python -m benchmarks.house [--at COMMIT ...] [--json FILE]

Figures of this checkout, and with --at of commits beside it (each in a git worktree of its own, with the
compiled renderer of this checkout). See CONTRIBUTING.md for what they were.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

__all__ = ["figures", "import_depth", "main", "package_cycles", "participles"]

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = {
    "eegvlm_rt": "eegvlm_rt",
    "eegvlm_train": "training/eegvlm_train",
    "eegvlm_export": "export/eegvlm_export",
}

PARTICIPLES: Final = frozenset(
    {
        "asked",
        "begun",
        "found",
        "given",
        "gone",
        "heard",
        "held",
        "kept",
        "known",
        "made",
        "said",
        "seen",
        "taken",
        "told",
        "wanted",
    }
)
"""Words of no meaning of their own, which name no variable: what was found, given, made?"""

WALK: Final = """
import json, sys
import numpy as np
from eegvlm_rt import Stager
from eegvlm_rt.simulator import simulate_night

x = simulate_night(3, hours=0.06).samples_uv
package = sys.argv[1]

def crossings(run):
    files, crossed = set(), 0
    def profile(frame, event, _):
        nonlocal crossed
        name = frame.f_code.co_filename
        if event == "call":
            caller = frame.f_back.f_code.co_filename if frame.f_back else ""
            if name.startswith(package) and name != caller and caller.startswith(package):
                crossed += 1
                files.add(name)
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return [crossed, len(files)]

walks = {}
for mode in ("head", "cot"):
    stager = Stager.load("nano", mode=mode)
    stager.predict_epoch(x[:3000], 100)
    walks[mode] = crossings(lambda: stager.predict_epoch(x[3000:6000], 100))
stager = Stager.load("nano", mode="head")

def streamed(stream, begin):
    for i in range(begin, begin + 3000, 50):
        stream.push(x[i : i + 50])

with stager.stream(100) as stream:
    # 60 pushes of 0.5 s that complete one epoch, the second; the first one brings the filters' delay.
    streamed(stream, 0)
    for i in range(3000, 3100, 50):
        stream.push(x[i : i + 50])
    walks["stream"] = crossings(lambda: streamed(stream, 3100))
print(json.dumps(walks))
"""
"""Calls from one file of the package into another, and the files, for one epoch."""


def figures(root: Path, *, kernel_from: Path | None = None) -> dict[str, Any]:
    """Every figure of a checkout; its renderer is that of `kernel_from` where it has none of its own."""
    result: dict[str, Any] = {}
    for package, folder in PACKAGES.items():
        if (root / folder).is_dir():
            result[package] = _sizes(root / folder) | {
                "import_depth": import_depth(imports(root / folder, package)),
                "package_cycles": package_cycles(imports(root / folder, package), package),
                "participles": participles(root / folder),
                "root_names": len([path for path in (root / folder).iterdir() if path.suffix == ".py"]),
            }
    result["walks"] = _walks(root, kernel_from)
    result["readme_words"] = len((root / "README.md").read_text(encoding="utf-8").split())
    return result


def _sizes(folder: Path) -> dict[str, Any]:
    lengths, comments, total = [], 0, 0
    for path in sorted(folder.rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        lengths.append(len(lines))
        total += len(lines)
        with path.open("rb") as handle:
            comments += sum(
                token.type == tokenize.COMMENT
                and token.line.lstrip().startswith("#")
                and not re.match(r"#\s*(type:|noqa|fmt:|ruff:|mypy:)", token.string)
                for token in tokenize.tokenize(handle.readline)
            )
    return {
        "files": len(lengths),
        "lines": total,
        "files_per_1000_lines": round(1000 * len(lengths) / total, 1),
        "median_file": int(median(lengths)),
        "largest_file": max(lengths),
        "comment_share": round(100 * comments / total, 2),
    }


def participles(folder: Path) -> list[str]:
    """Variables and parameters that are named by one of `PARTICIPLES`, with their places."""
    names = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.arg if isinstance(node, ast.arg) else ""
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            if name.strip("_") in PARTICIPLES:
                names.append(f"{path.name}:{node.lineno} {name}")  # type: ignore[attr-defined]
    return names


def imports(folder: Path, package: str) -> dict[str, set[str]]:
    """module -> modules of the same package that it imports when it is imported itself.

    Imports for type checking and within functions do not count.
    """
    paths = {_module(path, folder, package): path for path in folder.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        here = name if path.name == "__init__.py" else name.rpartition(".")[0]
        targets: set[str] = set()
        for node in _run_at_import(ast.parse(path.read_text(encoding="utf-8")).body):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                parts = here.split(".")
                base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
                origin = ".".join(filter(None, (base, node.module)))
                modules = {f"{origin}.{alias.name}" for alias in node.names}
                targets |= modules if modules <= paths.keys() else modules | {origin}
        # A module's own folder is imported before it, whatever it says.
        graph[name] = {target for target in targets & paths.keys() if not f"{name}.".startswith(f"{target}.")}
    return graph


def _module(path: Path, folder: Path, package: str) -> str:
    parts = [package, *path.relative_to(folder).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _run_at_import(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    statements: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            statements.append(node)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            statements += _run_at_import(node.orelse)
        elif isinstance(node, ast.If | ast.Try):
            for part in (node.body, node.orelse, getattr(node, "finalbody", [])):
                statements += _run_at_import(part)
    return statements


def import_depth(graph: dict[str, set[str]]) -> int:
    """Modules on the longest chain of imports; a cycle of modules counts as one step."""
    depths: dict[str, int] = {}

    def depth(name: str, above: frozenset[str]) -> int:
        if name not in depths:
            below = [depth(target, above | {name}) for target in graph[name] if target not in above]
            depths[name] = 1 + max(below, default=0)
        return depths[name]

    return max((depth(name, frozenset()) for name in graph), default=0)


def package_cycles(graph: dict[str, set[str]], package: str) -> list[list[str]]:
    """Groups of folders (and of modules beside them) that import one another."""
    folders: dict[str, set[str]] = defaultdict(set)
    for name, targets in graph.items():
        here = _folder(name, package)
        folders[here] |= {_folder(target, package) for target in targets} - {here}
    reach = {name: _reachable(name, folders) for name in list(folders)}
    groups = {tuple(sorted({name, *(o for o in reach[name] if name in reach.get(o, ()))})) for name in reach}
    return sorted(list(group) for group in groups if len(group) > 1)


def _folder(name: str, package: str) -> str:
    return name.removeprefix(f"{package}.").partition(".")[0]


def _reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph.get(name, ())
    return reached


def _walks(root: Path, kernel_from: Path | None) -> dict[str, list[int]] | None:
    """{"head" | "cot" | "stream": [calls across files, files]}; None where the package cannot run."""
    package = root / "eegvlm_rt"
    if kernel_from is not None and not list(package.glob("_kernel*.so")):
        for library in (kernel_from / "eegvlm_rt").glob("_kernel*.so"):
            shutil.copy(library, package)
    environment = {**os.environ, "PYTHONPATH": str(root), "EEGVLM_RT_MODELS": str(root / "models")}
    done = subprocess.run(
        [sys.executable, "-c", WALK, str(package) + os.sep],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{root}: no walks: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    walks: dict[str, list[int]] = json.loads(done.stdout.splitlines()[-1])
    return walks


def _at(commit: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(tree), commit], cwd=ROOT, check=True)
        try:
            return figures(tree, kernel_from=ROOT)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


def _rows(result: dict[str, Any]) -> dict[str, str]:
    rows = {"words of README.md": str(result["readme_words"])}
    for mode, walk in (result["walks"] or {}).items():
        rows[f"calls across files, one epoch, {mode}"] = f"{walk[0]} ({walk[1]} files)"
    for package in PACKAGES:
        if package not in result:
            continue
        part = result[package]
        rows |= {
            f"{package}: files per 1,000 lines": f"{part['files_per_1000_lines']} ({part['files']} files)",
            f"{package}: median / largest file": f"{part['median_file']} / {part['largest_file']}",
            f"{package}: comment lines, %": str(part["comment_share"]),
            f"{package}: import depth": str(part["import_depth"]),
            f"{package}: package cycles": "; ".join(map(", ".join, part["package_cycles"])) or "none",
            f"{package}: modules in the root": str(part["root_names"]),
            f"{package}: variables named by a participle": str(len(part["participles"])),
        }
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of this checkout beside those of other commits."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.house", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--at", action="append", default=[], metavar="COMMIT", help="beside it; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    results = {commit: _at(commit) for commit in options.at} | {"here": figures(ROOT)}
    columns = {name: _rows(result) for name, result in results.items()}
    table = Table("", *columns)
    for key in dict.fromkeys(key for rows in columns.values() for key in rows):
        table.add_row(key, *(rows.get(key, "-") for rows in columns.values()))
    Console(width=150).print(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
