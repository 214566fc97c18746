"""Keys named on the command line, or in `Stager.load`, are asked for wherever a bundle is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.bundle import Bundle, TrustPolicy, make_key, read_keys, sign_bundle
from eegvlm_rt.errors import SignatureError
from eegvlm_rt.simulator import simulate_night, write_edf
from eegvlm_rt.stager import Stager
from tests.rt.cli.cli_runs import cli
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {
    "verify": ["bundle", "verify", "BUNDLE"],
    "inspect": ["bundle", "inspect", "BUNDLE"],
    "build-engines": ["bundle", "build-engines", "BUNDLE"],
    "stage": ["stage", "NIGHT", "--bundle", "BUNDLE", "--mode", "head"],
    "demo": ["demo", "--hours", "0.1", "--out", "OUT", "--bundle", "BUNDLE", "--mode", "head"],
    "stream": ["stream", "--source", "edf:NIGHT@max", "--bundle", "BUNDLE", "--mode", "head"],
}


@pytest.fixture
def keys(tmp_path: Path) -> str:
    make_key(tmp_path / "key.pem", "bench")
    return f"{tmp_path / 'key.pem'}.pub"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_a_bundle_that_no_named_key_signed(
    name: str, bundle: Bundle, keys: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night = write_edf(simulate_night(0, hours=0.1), tmp_path / "night.edf")
    places = {"BUNDLE": str(bundle.path), "NIGHT": str(night), "OUT": str(tmp_path / "out")}
    command = COMMANDS[name]
    for place, path in places.items():
        command = [part.replace(place, path) for part in command]
    status, _, said = cli(capsys, *command, "--trusted-keys", keys)
    assert status == 2
    assert "manifest.sig: missing" in said
    sign_bundle(bundle, tmp_path / "key.pem")
    status, _, said = cli(capsys, *command, "--trusted-keys", keys)
    assert "manifest.sig" not in said
    assert status == (2 if name == "build-engines" else 0)


def test_a_keys_file_that_is_not_there_is_named(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, said = cli(capsys, "bundle", "verify", bundle.path, "--trusted-keys", tmp_path / "none.pub")
    assert (status, "trusted keys" in said) == (2, True)


def test_the_stager_asks_as_it_is_told(bundle: Bundle, keys: str, tmp_path: Path) -> None:
    policy = TrustPolicy(read_keys(keys), require_signature=True)
    with pytest.raises(SignatureError, match="missing"):
        Stager.load(bundle.path, mode="head", trust=policy)
    sign_bundle(bundle, tmp_path / "key.pem")
    assert Stager.load(bundle.path, mode="head", trust=policy).bundle.signed_by == policy.keys[0]
    make_key(tmp_path / "other.pem", "other")
    other = TrustPolicy(read_keys(tmp_path / "other.pem.pub"), require_signature=True)
    with pytest.raises(SignatureError, match="not a key this device trusts"):
        Stager.load(bundle.path, mode="head", trust=other)


def test_a_policy_that_is_given_stands_before_the_devices(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EEGVLM_RT_REQUIRE_SIGNATURE", "1")
    with pytest.raises(SignatureError):
        Stager.load(bundle.path, mode="head")
    Stager.load(bundle.path, mode="head", trust=TrustPolicy())


def test_a_signature_is_asked_for_before_anything_is_deserialised(
    bundle: Bundle, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle.path / "manifest.json").write_bytes(b"{" * 100)
    (bundle.path / "tower.onnx").write_bytes(b"no graph")
    for name in ("onnxruntime.InferenceSession", "eegvlm_rt.bundle.opening.parse_manifest"):
        monkeypatch.setattr(name, None)
    with pytest.raises(SignatureError):
        Stager.load(bundle.path, trust=TrustPolicy(read_keys(keys), require_signature=True))
