"""From a key to a device that opens signed bundles only, on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eegvlm_rt.cli import main
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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
