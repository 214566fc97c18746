"""The package: light to import, its names in one place."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import eegvlm_rt
from eegvlm_rt import prediction

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


def test_old_public_names_still_work_and_name_the_new_one():
    with pytest.warns(DeprecationWarning, match=r"eegvlm_rt\.findings"):
        old = import_module("eegvlm_rt.evidence")
    assert old.measure is eegvlm_rt.measure
    with pytest.warns(DeprecationWarning, match="AnsweredBy"):
        assert prediction.Source is prediction.AnsweredBy
