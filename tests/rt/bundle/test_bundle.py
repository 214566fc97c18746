"""Bundles: one folder, one manifest, every file accounted for."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from eegvlm_rt.bundle import (
    Bundle,
    ComponentSource,
    LanguageModelShape,
    find_bundle,
    parse_manifest,
    write_bundle,
)
from eegvlm_rt.bundle import find as find_module
from eegvlm_rt.bundle import opening as opening_module
from eegvlm_rt.bundle import publishing as publishing_module
from eegvlm_rt.errors import BundleError, IntegrityError

FIELDS = {
    "model_id": "words-1",
    "render": {"width": 4},
    "preprocessing": {"sfreq": 100.0},
    "prompt": {"bos": "<s>"},
    "stage_tokens": {"W": 0, "N1": 1, "N2": 2, "N3": 3, "R": 4},
    "visual_tokens": 8,
    "hidden_size": 16,
    "lm": LanguageModelShape(2, 2, 8, 100),
    "parity": {"tower": {"max_abs": 1e-5}},
    "provenance": {"source": "a test"},
}


def content_of(name: str) -> bytes:
    """A graph with nothing in it but a remark (field 6 of a model), unlike that of any other file."""
    return b"\x32" + bytes([len(name) + 1]) + name.encode() + b"\n"


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, ComponentSource]:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in ("tower.onnx", "tower.int8.onnx", "llm.onnx", "weights.bin", "embed.npy", "tokenizer.json"):
        (folder / name).write_bytes(content_of(name))
    return {
        "tower": ComponentSource(
            folder / "tower.onnx", "fp32", variants={"int8": (folder / "tower.int8.onnx", "tower.int8.onnx")}
        ),
        "llm": ComponentSource(folder / "llm.onnx", "int4", "llm.int4.onnx", data=(folder / "weights.bin",)),
        "embed_tokens": ComponentSource(folder / "embed.npy", "fp16", "embed_tokens.npy"),
        "tokenizer": ComponentSource(folder / "tokenizer.json", "json"),
    }


def write(destination: Path, parts: dict[str, ComponentSource], **changes: object) -> Bundle:
    return write_bundle(destination, **{**FIELDS, "components": parts, **changes})  # type: ignore[arg-type]


def test_what_was_written_can_be_opened(tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
    written = write(tmp_path / "words", parts)
    opened = Bundle.open(tmp_path / "words")
    assert opened == written
    assert opened.manifest.model_id == "words-1"
    assert opened.manifest.lm == LanguageModelShape(2, 2, 8, 100)
    assert opened.read(opened.component("llm")) == content_of("llm.onnx")


def test_the_digest_of_a_bundle_is_that_of_its_manifest(
    tmp_path: Path, parts: dict[str, ComponentSource]
) -> None:
    bundle = write(tmp_path / "words", parts)
    content = (tmp_path / "words" / "manifest.json").read_bytes()
    assert bundle.digest == hashlib.sha256(content).hexdigest()


def test_the_manifest_survives_being_written_and_read(
    tmp_path: Path, parts: dict[str, ComponentSource]
) -> None:
    manifest = write(tmp_path / "words", parts).manifest
    assert parse_manifest(json.dumps(manifest.to_dict()).encode()) == manifest


def test_the_manifest_lists_every_file_once_with_size_and_digest(
    tmp_path: Path, parts: dict[str, ComponentSource]
) -> None:
    bundle = write(tmp_path / "words", parts)
    listed = {entry.file for entry in bundle.manifest.files()}
    lying = {path.name for path in (tmp_path / "words").iterdir()} - {"manifest.json"}
    assert listed == lying
    for entry in bundle.manifest.files():
        content = (tmp_path / "words" / entry.file).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_component_is_held_at_several_precisions(tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
    tower = write(tmp_path / "words", parts).component("tower")
    assert tower.at().file == tower.at("fp32").file == "tower.onnx"
    assert tower.at("int8").file == "tower.int8.onnx"
    with pytest.raises(BundleError, match="fp32, int8"):
        tower.at("int4")


def test_an_unknown_component_is_named(tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
    with pytest.raises(BundleError, match="engine"):
        write(tmp_path / "words", parts).component("engine")


def test_a_file_that_changes_after_opening_is_not_read(
    tmp_path: Path, parts: dict[str, ComponentSource]
) -> None:
    bundle = write(tmp_path / "words", parts)
    (tmp_path / "words" / "tokenizer.json").write_bytes(b"tokenizer.jsoN" * 50)
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        bundle.read(bundle.component("tokenizer"))


def test_files_that_are_not_listed_are_named_and_never_refused(
    tmp_path: Path, parts: dict[str, ComponentSource]
) -> None:
    write(tmp_path / "words", parts)
    (tmp_path / "words" / "engines").mkdir()
    (tmp_path / "words" / "engines" / "sm_87.plan").write_bytes(b"built here")
    assert Bundle.open(tmp_path / "words").unlisted == ("engines/sm_87.plan",)


def test_without_verification_only_the_digests_are_skipped(
    tmp_path: Path, parts: dict[str, ComponentSource]
) -> None:
    write(tmp_path / "words", parts)
    (tmp_path / "words" / "tokenizer.json").write_bytes(b"edited by hand")
    bundle = Bundle.open(tmp_path / "words", verify=False)
    assert bundle.read(bundle.component("tokenizer")) == b"edited by hand"
    (tmp_path / "words" / "tokenizer.json").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        Bundle.open(tmp_path / "words", verify=False)


def test_a_failed_write_leaves_nothing(tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
    place = tmp_path / "models"
    place.mkdir()
    broken = {**parts, "tokenizer": ComponentSource(tmp_path / "absent.json", "json")}
    with pytest.raises(BundleError, match="absent"):
        write(place / "words", broken)
    assert list(place.iterdir()) == []


def test_values_that_json_cannot_hold_are_refused(tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
    with pytest.raises(BundleError, match="JSON"):
        write(tmp_path / "words", parts, accuracy={"kappa": float("nan")})
    assert not (tmp_path / "words").exists()


def test_two_components_cannot_share_a_file_name(tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
    twice = {**parts, "tokenizer": ComponentSource(parts["tower"].path, "json", "tower.onnx")}
    with pytest.raises(BundleError, match=r"tower\.onnx"):
        write(tmp_path / "words", twice)


def test_an_existing_bundle_is_replaced_only_on_request(
    tmp_path: Path, parts: dict[str, ComponentSource]
) -> None:
    write(tmp_path / "words", parts)
    with pytest.raises(BundleError, match="overwrite"):
        write(tmp_path / "words", parts)
    write(tmp_path / "words", parts, model_id="words-2", overwrite=True)
    assert Bundle.open(tmp_path / "words").manifest.model_id == "words-2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "words"]


def test_a_failed_replacement_keeps_the_old_bundle(tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
    before = write(tmp_path / "words", parts)
    with pytest.raises(BundleError):
        write(tmp_path / "words", parts, stage_tokens={"W": 0}, overwrite=True)
    assert Bundle.open(tmp_path / "words") == before


@pytest.mark.parametrize("occupied_before", [False, True])
def test_a_publication_that_fails_changes_nothing(
    tmp_path: Path,
    parts: dict[str, ComponentSource],
    monkeypatch: pytest.MonkeyPatch,
    occupied_before: bool,
) -> None:
    place = tmp_path / "models"
    place.mkdir()
    if occupied_before:
        write(place / "words", parts)
    monkeypatch.setattr(publishing_module, "_renameat2", lambda: None)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if ".staging-" in path.name:
            assert Bundle.open(path).manifest.model_id == "words-2"
            raise OSError("no space")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no space"):
        write(place / "words", parts, model_id="words-2", overwrite=True)
    assert [path.name for path in place.iterdir()] == (["words"] if occupied_before else [])
    if occupied_before:
        assert Bundle.open(place / "words").manifest.model_id == "words-1"


@pytest.mark.parametrize("occupied", ["a file", "a folder of something else", "a symbolic link"])
def test_nothing_but_a_bundle_is_ever_replaced(
    tmp_path: Path, parts: dict[str, ComponentSource], occupied: str
) -> None:
    place = tmp_path / "words"
    if occupied == "a file":
        place.write_text("thesis")
    elif occupied == "a folder of something else":
        place.mkdir()
        (place / "thesis.txt").write_text("thesis")
    else:
        write(tmp_path / "elsewhere", parts)
        place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="remove it yourself"):
        write(place, parts, overwrite=True)
    assert place.exists()


def test_a_written_bundle_can_be_read_by_everyone(tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
    write(tmp_path / "words", parts)
    assert (tmp_path / "words").stat().st_mode & 0o777 == 0o755
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "words").iterdir())


class TestFinding:
    def test_a_name_is_looked_for_where_the_variable_points_first(
        self, tmp_path: Path, parts: dict[str, ComponentSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path / "models" / "words", parts)
        monkeypatch.setenv("EEGVLM_RT_MODELS", str(tmp_path / "models"))
        assert find_bundle("words") == tmp_path / "models" / "words"

    def test_then_among_the_installed_models(
        self, tmp_path: Path, parts: dict[str, ComponentSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path / "installed" / "words", parts)
        monkeypatch.delenv("EEGVLM_RT_MODELS", raising=False)
        monkeypatch.setattr(find_module, "INSTALLED_MODELS", tmp_path / "installed")
        assert find_bundle("words") == tmp_path / "installed" / "words"

    def test_a_path_is_taken_as_it_is(self, tmp_path: Path, parts: dict[str, ComponentSource]) -> None:
        write(tmp_path / "words", parts)
        assert find_bundle(tmp_path / "words") == tmp_path / "words"
        assert find_bundle(str(tmp_path / "words")) == tmp_path / "words"

    def test_the_message_lists_the_places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EEGVLM_RT_MODELS", str(tmp_path))
        with pytest.raises(BundleError, match=str(tmp_path)):
            find_bundle("no-such-model")

    @pytest.mark.parametrize("name", ["", ".", "..", "a b", "-x"])
    def test_a_name_is_a_plain_name(self, name: str) -> None:
        with pytest.raises(BundleError, match="name"):
            find_bundle(name)


def test_installers_may_link_the_files_of_the_installed_package(
    tmp_path: Path, parts: dict[str, ComponentSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "words", parts)
    os.link(tmp_path / "words" / "tokenizer.json", tmp_path / "cached.json")
    with pytest.raises(IntegrityError, match="hard links"):
        Bundle.open(tmp_path / "words")
    monkeypatch.setattr(opening_module, "INSTALLED_MODELS", tmp_path)
    assert Bundle.open(tmp_path / "words").verified
