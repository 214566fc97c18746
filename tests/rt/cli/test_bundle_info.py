"""eegvlm-rt bundle and info: what is installed, and whether a model's folder is what its manifest says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

import eegvlm_rt
from eegvlm_rt.bundle import SCHEMA_VERSION
from eegvlm_rt.versions import RENDERER_VERSION
from tests.rt.cli.cli_runs import cli

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnx")
from tests.rt.tiny_bundle import write_tiny_bundle


@pytest.fixture
def bundle(tmp_path, monkeypatch) -> Path:
    (tmp_path / "models").mkdir()
    write_tiny_bundle(tmp_path / "models" / "nano")
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models" / "nano"


def test_a_whole_bundle_is_verified_by_name_and_by_path(capsys, bundle):
    for name in ("nano", bundle):
        status, out, err = cli(capsys, "bundle", "verify", name)
        assert (status, err) == (0, "")
        assert "Verified: place, size and SHA-256 of every listed file" in out
        assert re.search(r"tower +tower\.onnx +fp32 +\d+ kB +[0-9a-f]{12}…", out)


@pytest.mark.parametrize("file", ["tower.onnx", "tokenizer.json", "embed_tokens.npy"])
def test_one_changed_byte_is_named(capsys, bundle, file):
    data = bytearray((bundle / file).read_bytes())
    data[-1] ^= 1
    (bundle / file).write_bytes(data)
    status, _, err = cli(capsys, "bundle", "verify")
    assert status == 2
    assert re.match(rf"eegvlm-rt: {file}: sha256 [0-9a-f]+; the manifest lists", err)


def test_a_file_that_is_not_listed_is_pointed_out(capsys, bundle):
    (bundle / "extra.bin").write_bytes(b"x")
    status, out, _ = cli(capsys, "bundle", "verify")
    assert status == 0
    assert "Not listed and never opened: extra.bin" in out


def test_inspecting_reads_the_manifest_alone(capsys, bundle):
    (bundle / "tower.onnx").write_bytes(b"changed")
    status, out, _ = cli(capsys, "bundle", "inspect")
    assert status == 0
    assert "Sizes and digests were not checked" in out
    assert "rows: 6" in out


def test_inspecting_as_json_gives_the_manifest(capsys, bundle):
    _, out, _ = cli(capsys, "bundle", "inspect", "--json")
    assert json.loads(out) == json.loads((bundle / "manifest.json").read_text())


def test_a_bundle_that_is_not_there_is_refused(capsys, bundle):
    status, _, err = cli(capsys, "bundle", "verify", bundle.parent)
    assert status == 2
    assert "manifest.json" in err


@pytest.mark.usefixtures("bundle")
def test_info_names_versions_build_and_bundle(capsys):
    status, out, _ = cli(capsys, "info")
    assert status == 0
    for word in (eegvlm_rt.__version__, "onnxruntime", "CPUExecutionProvider", "build_type", "id tiny"):
        assert word in out


def test_info_as_json(capsys, bundle):
    facts = json.loads(cli(capsys, "info", "--json")[1])
    assert facts["eegvlm-rt"] == eegvlm_rt.__version__
    assert facts["bundle"]["path"] == str(bundle)


@pytest.mark.usefixtures("bundle")
def test_info_says_that_a_bundle_is_missing(capsys):
    status, out, _ = cli(capsys, "info", "--bundle", "none")
    assert status == 0
    assert "not usable: bundle: none" in out


def test_the_version_names_package_bundle_and_renderer(capsys):
    versions = f"(bundle schemas 1 to {SCHEMA_VERSION}, renderer {RENDERER_VERSION})"
    assert cli(capsys, "--version") == (0, f"eegvlm-rt {eegvlm_rt.__version__} {versions}\n", "")
