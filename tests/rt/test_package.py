"""The package: light to import, its names in one place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import eegvlm_rt
from eegvlm_rt import old_names, prediction

HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "mne", "matplotlib", "tokenizers", "scipy", "rich")


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    ).stdout.strip()


def test_importing_the_package_imports_nothing_heavy():
    loaded = run("import sys, eegvlm_rt; print(' '.join(sys.modules))").split()
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)


def test_every_exported_name_exists():
    for name in eegvlm_rt.__all__:
        assert getattr(eegvlm_rt, name) is not None
    assert set(eegvlm_rt.__all__) <= set(dir(eegvlm_rt))


@pytest.mark.parametrize("name", ["no_such_name", "Render", "torch"])
def test_an_unknown_name_is_refused_as_usual(name):
    with pytest.raises(AttributeError, match=name):
        getattr(eegvlm_rt, name)


@pytest.mark.parametrize(
    "imports",
    [
        "import eegvlm_rt.rendering as r",
        "from eegvlm_rt.rendering import RenderSpec",
        "import eegvlm_rt.stager",
    ],
)
def test_render_is_the_function_whatever_is_imported_first(imports):
    assert (
        run(f"{imports}\nimport eegvlm_rt as rt; print(callable(rt.render), rt.render.__name__)")
        == "True render"
    )


def test_domain_modules_never_import_torch():
    code = (
        "import sys, eegvlm_rt.findings, eegvlm_rt.rationale, eegvlm_rt.signal.epochs, eegvlm_rt.prompt;"
        "print(sorted({'torch', 'transformers', 'onnx', 'mne', 'matplotlib'} & set(sys.modules)))"
    )
    assert run(code) == "[]"


@pytest.mark.parametrize(("old", "new"), sorted(old_names.MODULES.items()))
def test_an_old_module_has_the_names_of_the_new_one_and_warns(old, new):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"^{old} is now called {new}$") as warned:
        module = import_module(old)
    assert warned[0].filename != old_names.__file__
    target = import_module(new)
    for name in target.__all__:
        assert getattr(module, name) is getattr(target, name)


def test_the_function_render_survives_the_old_module_of_its_name():
    code = (
        "import warnings; warnings.simplefilter('ignore'); import eegvlm_rt as rt, numpy as np;"
        "from eegvlm_rt.render import build_config; print(rt.render(np.zeros(3000, 'f4')).shape)"
    )
    assert run(code) == "(336, 336, 3)"


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("eegvlm_rt.streaming", "Night", "StreamStatus"),
        ("eegvlm_rt.tensorrt", "EngineStore", "PlanStore"),
        ("eegvlm_rt.tensorrt", "EngineKey", "PlanKey"),
    ],
)
def test_an_old_class_is_the_new_one_and_warns(module, old, new):
    home = import_module(module)
    with pytest.warns(DeprecationWarning, match=f"{old} is now called {new}"):
        assert getattr(home, old) is getattr(home, new)


def test_old_names_in_modules_still_work_and_name_the_new_one():
    with pytest.warns(DeprecationWarning, match="AnsweredBy"):
        assert prediction.Source is prediction.AnsweredBy


def test_a_package_without_its_kernel_says_so_and_how_to_get_it(tmp_path):
    package = Path(eegvlm_rt.__file__).parent
    shutil.copytree(
        package, tmp_path / "eegvlm_rt", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    )
    (tmp_path / "pyproject.toml").touch()
    # Of an editable install the finder comes before every folder: the copy is looked for without it.
    code = (
        "import sys\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if f.__module__.startswith('_frozen_importlib')]\n"
        "import eegvlm_rt as rt\n"
        "try: rt.render\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert found.stdout.startswith("KernelMissingError eegvlm_rt._kernel: ")
    assert "run pip install -e . in it" in found.stdout
