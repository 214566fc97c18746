"""From a key to a device that opens signed bundles only, on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.bundle import find as find_module
from eegvlm_rt.bundle import opening as opening_module
from eegvlm_rt.cli import main
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_keygen_sign_pack_unpack_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = write_tiny_bundle(tmp_path / "tiny").digest
    key, folder, archive = (str(tmp_path / name) for name in ("key.pem", "tiny", "tiny.tar"))
    assert main(["bundle", "keygen", key, "--label", "bench"]) == 0
    assert main(["bundle", "sign", folder, key]) == 0
    assert main(["bundle", "pack", folder, archive]) == 0
    monkeypatch.setenv("EEGVLM_RT_TRUSTED_KEYS", f"{key}.pub")
    assert main(["bundle", "unpack", archive, str(tmp_path / "out")]) == 0
    assert digest in capsys.readouterr().out.replace("\n", "")
    assert main(["bundle", "verify", str(tmp_path / "out")]) == 0
    assert "Signed by trusted key" in capsys.readouterr().out

    assert main(["bundle", "unpack", archive, str(tmp_path / "out")]) == 2
    assert main(["bundle", "unpack", archive, str(tmp_path / "out"), "--overwrite"]) == 0
    (tmp_path / "out" / "manifest.sig").unlink()
    capsys.readouterr()
    assert main(["bundle", "verify", str(tmp_path / "out")]) == 2
    assert "manifest.sig" in capsys.readouterr().err


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, str]:
    """Two private keys."""
    names = (str(tmp_path / "one.pem"), str(tmp_path / "other.pem"))
    for name in names:
        assert main(["bundle", "keygen", name]) == 0
    return names


def test_a_folder_in_the_working_directory_is_a_bundle_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_bundle(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["bundle", "sign", "mine", keys[0]]) == 0
    assert main(["bundle", "pack", "mine", "mine.tar"]) == 0
    assert main(["bundle", "verify", "mine"]) == 0
    assert capsys.readouterr().err == ""


def test_a_folder_with_the_name_of_an_installed_model_is_told_apart_and_that_model_is_not_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("installed", "here"):
        (tmp_path / place).mkdir()
        write_tiny_bundle(tmp_path / place / "tiny")
    for module in (find_module, opening_module):
        monkeypatch.setattr(module, "INSTALLED_MODELS", tmp_path / "installed")
    monkeypatch.delenv("EEGVLM_RT_MODELS", raising=False)
    monkeypatch.chdir(tmp_path / "here")
    capsys.readouterr()
    assert main(["bundle", "verify", "tiny"]) == 0
    assert capsys.readouterr().err.strip().endswith("the folder here is ./tiny")
    assert main(["bundle", "sign", "tiny", keys[0]]) == 2
    assert "sign ./tiny, the folder here" in capsys.readouterr().err
    assert not (tmp_path / "installed" / "tiny" / "manifest.sig").exists()
    assert main(["bundle", "sign", "./tiny", keys[0]]) == 0
    assert capsys.readouterr().err == ""


def test_another_keys_signature_is_replaced_only_when_that_is_said(
    tmp_path: Path, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(write_tiny_bundle(tmp_path / "tiny").path)
    assert main(["bundle", "sign", folder, keys[0]]) == 0
    before = (tmp_path / "tiny" / "manifest.sig").read_bytes()
    assert main(["bundle", "sign", folder, keys[1]]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "tiny" / "manifest.sig").read_bytes() == before
    assert main(["bundle", "sign", folder, keys[1], "--overwrite"]) == 0


def test_an_archive_is_held_against_the_keys_that_are_named(
    tmp_path: Path, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, archive = str(write_tiny_bundle(tmp_path / "tiny").path), str(tmp_path / "tiny.tar")
    assert main(["bundle", "sign", folder, keys[0]]) == 0
    assert main(["bundle", "pack", folder, archive]) == 0
    refused = ["bundle", "unpack", archive, str(tmp_path / "a"), "--trusted-keys", f"{keys[1]}.pub"]
    assert main(refused) == 2
    assert "not a key this device trusts" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert main([*refused[:3], str(tmp_path / "b"), "--trusted-keys", f"{keys[0]}.pub"]) == 0


def test_a_second_keygen_replaces_no_key_and_says_what_to_do(
    tmp_path: Path, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tmp_path / "one.pem").read_bytes()
    capsys.readouterr()
    assert main(["bundle", "keygen", keys[0]]) == 2
    assert "name another file" in capsys.readouterr().err
    assert (tmp_path / "one.pem").read_bytes() == before
