"""Every kind of hostile bundle at every door: refused with the right error, and no model is opened.

The other files of this folder go into each kind; here is the list, and that it is refused whole.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnxruntime
import pytest

from eegvlm_rt.bundle import Bundle, pack_bundle, unpack_bundle
from eegvlm_rt.cli import main
from eegvlm_rt.errors import BundleError, IntegrityError
from eegvlm_rt.stager import Stager
from tests.attacks.test_bundle_hostile import replace_file, rewrite
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = b"a secret beside the bundle"


def named(name: str) -> Callable[[Path], None]:
    """The tower's file under another name in the manifest."""
    return lambda folder: rewrite(folder, lambda f: f["components"]["tower"].update(file=name))


def link(folder: Path, *, hard: bool) -> None:
    (folder / "tokenizer.json").rename(folder.parent / "tokenizer.json")
    make: Any = os.link if hard else os.symlink
    make(folder.parent / "tokenizer.json", folder / "tokenizer.json")


def case_twins(folder: Path) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["components"]["twin"] = fields["components"]["tower"] | {"file": "TOWER.onnx"}

    (folder / "TOWER.onnx").write_bytes((folder / "tower.onnx").read_bytes())
    rewrite(folder, change)


def other_case(folder: Path) -> None:
    (folder / "tower.onnx").rename(folder / "Tower.onnx")


def resize(folder: Path, change: Callable[[bytes], bytes]) -> None:
    path = folder / "llm.onnx"
    path.write_bytes(change(path.read_bytes()))


def swap(folder: Path) -> None:
    tower, llm = folder / "tower.onnx", folder / "llm.onnx"
    tower.rename(folder.parent / "aside")
    llm.rename(tower)
    (folder.parent / "aside").rename(llm)


def wrong_digest(folder: Path) -> None:
    rewrite(folder, lambda f: f["components"]["llm"].update(sha256="0" * 64))


def escape(folder: Path) -> None:
    """A graph, rightly listed, whose weights lie outside of the folder."""
    (folder.parent / "secret").write_bytes(SECRET * 100)
    model = onnx.load(folder / "tower.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    replace_file(folder, "tower", model.SerializeToString())


def key_twice(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"model_id"', '"model_id": "other", "model_id"', 1))


def unknown_schema(folder: Path) -> None:
    rewrite(folder, lambda f: f.update(schema_version=99))


KINDS: dict[str, tuple[Callable[[Path], None], type[BundleError], str]] = {
    "absolute path": (named("/etc/passwd"), BundleError, "file: /etc/passwd"),
    "..": (named("../secret"), BundleError, r"file: \.\./secret"),
    "symlink": (lambda folder: link(folder, hard=False), IntegrityError, "symbolic link"),
    "hard link": (lambda folder: link(folder, hard=True), IntegrityError, "hard links"),
    "two names that differ in case": (case_twins, BundleError, "list every file once"),
    "a name in another case": (other_case, IntegrityError, "tower.onnx: missing"),
    "oversized": (lambda folder: resize(folder, lambda c: c + b"\0" * 10**6), IntegrityError, "llm.onnx"),
    "truncated": (lambda folder: resize(folder, lambda c: c[:-1]), IntegrityError, "llm.onnx"),
    "swapped files": (swap, IntegrityError, "bytes; the manifest lists"),
    "wrong digest": (wrong_digest, IntegrityError, "sha256"),
    "external data outside": (escape, IntegrityError, r"refers to \['../secret'\]"),
    "key twice": (key_twice, BundleError, "model_id"),
    "unknown schema": (unknown_schema, BundleError, "schema_version: 99"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny").path


@pytest.fixture(autouse=True)
def no_model_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was opened")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_folder_is_refused_at_every_door(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, error, message = KINDS[kind]
    make(folder)
    for door in (Bundle.open, Stager.load):
        with pytest.raises(error, match=message) as refused:
            door(folder)
        assert type(refused.value) is error
    for command in (["bundle", "verify", str(folder)], ["stage", __file__, "--bundle", str(folder)]):
        assert main(command) == 2
    assert capsys.readouterr().err.startswith("eegvlm-rt: ")


def test_a_bundle_that_is_not_hostile_gets_as_far_as_the_model(folder: Path) -> None:
    with pytest.raises(BaseException, match="a model was opened"):
        Stager.load(folder)


@pytest.mark.parametrize("kind", ["gzip", "members"])
def test_a_bomb_is_refused_before_it_grows(kind: str, folder: Path, tmp_path: Path) -> None:
    archive, target = tmp_path / "bomb.tar", tmp_path / "out"
    if kind == "gzip":
        archive.write_bytes(gzip.compress(b"\0" * 10**8))
    else:
        pack_bundle(Bundle.open(folder), archive)
        with tarfile.open(archive, "a") as tar:
            for i in range(1000):
                tar.addfile(tarfile.TarInfo(f"more/{i}"))
    with pytest.raises(BundleError):
        unpack_bundle(archive, target)
    assert not target.exists()
