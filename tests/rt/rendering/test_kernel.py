"""The compiled kernel: its own checks, its Python face, its sources."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eegvlm_rt import _kernel
from eegvlm_rt.rendering.renderer import build_config

ROOT = Path(__file__).parents[3]
SOURCES = sorted(path for path in (ROOT / "csrc").rglob("*") if path.suffix in (".cpp", ".hpp", ".cu", ".h"))


def tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here: the C++ checks need it, install the [test] extra")
    return found


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_cpp_checks_pass(tmp_path: Path) -> None:
    cmake, ctest = tool("cmake"), tool("ctest")
    options = ["-DEEGVLM_BUILD_PYTHON=OFF", "-DEEGVLM_BUILD_TESTS=ON"]
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"]
    run(cmake, "-S", str(ROOT), "-B", str(tmp_path), *options, *generator)
    run(cmake, "--build", str(tmp_path))
    run(ctest, "--test-dir", str(tmp_path), "--output-on-failure", "--no-tests=error")


def arguments(function: object) -> list[str]:
    """Names from the signature that heads the docstring of a compiled function."""
    signature = (function.__doc__ or "").splitlines()[0]
    return re.findall(r"(\w+): ", signature)


def test_the_stub_lists_what_the_module_has() -> None:
    stub = ast.parse((ROOT / "eegvlm_rt" / "_kernel.pyi").read_text(encoding="utf-8"))
    homes: list[tuple[Any, list[ast.stmt]]] = [(_kernel, stub.body)]
    classes = [node for node in stub.body if isinstance(node, ast.ClassDef)]
    homes += [(getattr(_kernel, node.name), node.body) for node in classes]
    for home, body in homes:
        functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
        values = {
            node.target.id
            for node in body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        listed = set(functions) | values | ({node.name for node in classes} if home is _kernel else set())
        assert listed - {"__init__"} == {name for name in vars(home) if not name.startswith("_")}
        for name, node in functions.items():
            expected = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
            assert arguments(getattr(home, name)) == expected


def test_build_config_tells_compiler_and_limits() -> None:
    config = build_config()
    assert config["build_type"] == "Release"
    assert config["compiler"]
    assert "-O3" in str(config["flags"]).split()
    assert "-ffp-contract=off" in str(config["flags"]).split()
    assert str(config["instruction_set"]) in str(config["instruction_sets"]).split()
    assert (config["max_side"], config["max_rows"], config["max_channels"]) == (4096, 64, 8)


def test_one_file_alone_knows_of_python() -> None:
    assert [path.name for path in SOURCES if "pybind11" in path.read_text(encoding="utf-8")] == [
        "bindings.cpp"
    ]


def test_floating_point_is_left_as_written() -> None:
    flags = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "-ffp-contract=off" in flags
    assert "-ffast-math" not in flags
    assert "-Ofast" not in flags
