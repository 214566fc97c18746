"""Hostile bundles: nothing leaves the folder, nothing unverified is deserialised, every refusal is typed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.bundle import Bundle, parse_manifest
from eegvlm_rt.errors import BackendError, BundleError, EegVlmError, IntegrityError
from eegvlm_rt.stager import Stager
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Fields = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Fields:
    return write_tiny_bundle(tmp_path_factory.mktemp("manifest") / "tiny").manifest.to_dict()


def rewrite(folder: Path, change: Callable[[Fields], object]) -> None:
    fields = json.loads((folder / "manifest.json").read_text())
    change(fields)
    (folder / "manifest.json").write_text(json.dumps(fields))


def replace_file(folder: Path, component: str, content: bytes) -> None:
    """Put other content in place and have the manifest list it, as whoever controls the manifest could."""

    def change(fields: Fields) -> None:
        entry = fields["components"][component]
        (folder / entry["file"]).write_bytes(content)
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    rewrite(folder, change)


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/etc/passwd",
            "../tokenizer.json",
            "a/../../tokenizer.json",
            "./tokenizer.json",
            "a//tokenizer.json",
            "tokenizer.json/",
            "..\\tokenizer.json",
            "C:\\tokenizer.json",
            "C:tokenizer.json",
            "\\\\server\\share",
            "~/tokenizer.json",
            ".hidden",
            "tokenizer.json\x00.txt",
            "tokenizer\n.json",
            "tower\u202e.onnx",
            "",
            ".",
            "..",
            "con",
            "NUL.json",
            "name.",
            "a/" * 9 + "a",
            "a" * 200,
            "manifest.json",
            "MANIFEST.JSON",
            7,
            None,
            ["tokenizer.json"],
        ],
    )
    def test_a_path_that_could_leave_the_folder_is_refused(self, folder: Path, path: object) -> None:
        rewrite(folder, lambda fields: fields["components"]["tokenizer"].update(file=path))
        with pytest.raises(BundleError):
            Bundle.open(folder)

    def test_a_symbolic_link_in_place_of_a_file_is_refused(self, folder: Path, tmp_path: Path) -> None:
        (folder / "tokenizer.json").rename(tmp_path / "elsewhere.json")
        (folder / "tokenizer.json").symlink_to(tmp_path / "elsewhere.json")
        for verify in (True, False):
            with pytest.raises(IntegrityError, match="symbolic link"):
                Bundle.open(folder, verify=verify)

    def test_a_symbolic_link_on_the_way_is_refused(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (folder / "tokenizer.json").rename(tmp_path / "outside" / "tokenizer.json")
        (folder / "parts").symlink_to(tmp_path / "outside", target_is_directory=True)
        rewrite(folder, lambda fields: fields["components"]["tokenizer"].update(file="parts/tokenizer.json"))
        with pytest.raises(IntegrityError, match="symbolic link"):
            Bundle.open(folder)

    def test_a_hard_link_to_a_file_outside_is_refused(self, folder: Path, tmp_path: Path) -> None:
        os.link(folder / "llm.onnx", tmp_path / "other-name.onnx")
        with pytest.raises(IntegrityError, match="hard links"):
            Bundle.open(folder)

    @pytest.mark.parametrize("kind", ["a folder", "a special file"])
    def test_anything_but_a_plain_file_is_refused(self, folder: Path, kind: str) -> None:
        (folder / "tokenizer.json").unlink()
        if kind == "a folder":
            (folder / "tokenizer.json").mkdir()
        else:
            os.mkfifo(folder / "tokenizer.json")
        with pytest.raises(IntegrityError, match=kind):
            Bundle.open(folder)

    def test_the_manifest_itself_cannot_be_a_link(self, folder: Path, tmp_path: Path) -> None:
        (folder / "manifest.json").rename(tmp_path / "manifest.json")
        (folder / "manifest.json").symlink_to(tmp_path / "manifest.json")
        with pytest.raises(BundleError, match="symbolic link"):
            Bundle.open(folder)


class TestContent:
    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda content: content[:-1], id="truncated"),
            pytest.param(lambda content: content + b"\0", id="grown"),
            pytest.param(lambda content: content[:0], id="empty"),
            pytest.param(lambda content: bytes([content[0] ^ 1]) + content[1:], id="one bit at the start"),
            pytest.param(lambda content: content[:-1] + bytes([content[-1] ^ 1]), id="one bit at the end"),
        ],
    )
    @pytest.mark.parametrize(
        "file", ["tower.onnx", "llm.onnx", "embed_tokens.npy", "tokenizer.json", "README.md"]
    )
    def test_a_file_that_is_not_what_the_manifest_lists_is_refused(
        self, folder: Path, file: str, spoil: Callable[[bytes], bytes]
    ) -> None:
        (folder / file).write_bytes(spoil((folder / file).read_bytes()))
        with pytest.raises(IntegrityError, match=file):
            Bundle.open(folder)

    def test_nothing_is_deserialised_before_every_digest_is_right(self, folder: Path) -> None:
        content = (folder / "README.md").read_bytes()
        (folder / "README.md").write_bytes(content.upper())
        program = (
            "import sys\n"
            "from eegvlm_rt.errors import IntegrityError\n"
            "from eegvlm_rt.stager import Stager\n"
            "try:\n"
            "    Stager.load(sys.argv[1])\n"
            "except IntegrityError:\n"
            "    print('onnxruntime' in sys.modules)\n"
        )
        found = subprocess.run(
            [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == "False"

    def test_weights_outside_the_graph_must_be_listed(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = onnx.load(folder / "llm.onnx")
        onnx.save(
            model, folder / "llm.onnx", save_as_external_data=True, location="llm.data", size_threshold=256
        )
        replace_file(folder, "llm", (folder / "llm.onnx").read_bytes())
        monkeypatch.chdir(folder)
        with pytest.raises(IntegrityError, match=r"llm\.data"):
            Bundle.open(folder)
        with pytest.raises(BackendError, match="llm"):
            Stager.load(folder, verify=False)

        content = (folder / "llm.data").read_bytes()
        entry = {"file": "llm.data", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        rewrite(folder, lambda fields: fields["components"]["llm"].update(data=[entry]))
        assert Stager.load(folder).bundle.verified
        (folder / "llm.data").write_bytes(content[::-1])
        with pytest.raises(IntegrityError, match=r"llm\.data"):
            Stager.load(folder)

    def test_a_pickle_in_place_of_an_array_is_never_unpickled(self, folder: Path, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> tuple[Any, ...]:
                return (os.mkdir, (str(tmp_path / "was-here"),))

        replace_file(folder, "embed_tokens", pickle.dumps(Evil()))
        with pytest.raises(BackendError, match="embed_tokens"):
            Stager.load(folder)
        np.save(tmp_path / "objects.npy", np.array([Evil()], dtype=object), allow_pickle=True)
        replace_file(folder, "embed_tokens", (tmp_path / "objects.npy").read_bytes())
        with pytest.raises(BackendError, match="embed_tokens"):
            Stager.load(folder)
        assert not (tmp_path / "was-here").exists()

    @pytest.mark.parametrize("kind", ["by column", "float64", "a row less", "more after it", "a vast header"])
    def test_an_embedding_table_is_exactly_what_the_manifest_says(self, folder: Path, kind: str) -> None:
        table = np.load(folder / "embed_tokens.npy")
        tables = {
            "by column": np.asfortranarray(table),
            "float64": table.astype("f8"),
            "a row less": table[1:],
        }
        place = folder.parent / "table.npy"
        np.save(place, tables.get(kind, table))
        content = place.read_bytes()
        if kind == "more after it":
            content += bytes(16)
        elif kind == "a vast header":
            content = content.replace(str(len(table)).encode(), b"9" * 12, 1)
        replace_file(folder, "embed_tokens", content)
        with pytest.raises(BackendError, match="embed_tokens"):
            Stager.load(folder)

    @pytest.mark.parametrize("component", ["tower", "llm", "embed_tokens", "tokenizer"])
    @pytest.mark.parametrize("content", [b"\0" * 64, b"{}", b"PK\x03\x04" + b"x" * 60, os.urandom(512)])
    def test_garbage_with_the_right_digest_is_a_typed_error(
        self, folder: Path, component: str, content: bytes
    ) -> None:
        replace_file(folder, component, content)
        with pytest.raises(EegVlmError):
            Stager.load(folder)


class TestManifest:
    @pytest.mark.parametrize("version", [0, 4, -1, "1", 1.0, True, None, [1]])
    def test_an_unknown_schema_version_is_refused(self, manifest: Fields, version: object) -> None:
        with pytest.raises(BundleError, match="schema_version"):
            parse_manifest(json.dumps(manifest | {"schema_version": version}).encode())

    def test_a_key_given_twice_is_refused_at_any_depth(self, manifest: Fields) -> None:
        text = json.dumps(manifest)
        outer = '{"model_id": "other", ' + text[1:]
        inner = text.replace('"precision": "fp32"', '"precision": "fp32", "precision": "fp32"', 1)
        for doubled in (outer, inner):
            with pytest.raises(BundleError, match="once"):
                parse_manifest(doubled.encode())

    @pytest.mark.parametrize("name", ["model_id", "lm", "components", "schema_version", "provenance"])
    def test_every_field_must_be_there(self, manifest: Fields, name: str) -> None:
        with pytest.raises(BundleError):
            parse_manifest(json.dumps({k: v for k, v in manifest.items() if k != name}).encode())

    def test_no_other_field_may_be_there(self, manifest: Fields) -> None:
        with pytest.raises(BundleError, match="extra"):
            parse_manifest(json.dumps(manifest | {"extra": 1}).encode())

    @pytest.mark.parametrize("component", ["tower", "llm", "embed_tokens", "tokenizer"])
    def test_every_component_must_be_there(self, manifest: Fields, component: str) -> None:
        components = {k: v for k, v in manifest["components"].items() if k != component}
        with pytest.raises(BundleError, match=component):
            parse_manifest(json.dumps(manifest | {"components": components}).encode())

    @pytest.mark.parametrize("size", [0, -1, 1.5, "12", True, None, 1 << 40, 10**30])
    def test_sizes_are_plausible(self, manifest: Fields, size: object) -> None:
        fields = json.loads(json.dumps(manifest))
        fields["components"]["tower"]["bytes"] = size
        with pytest.raises(BundleError):
            parse_manifest(json.dumps(fields).encode())

    @pytest.mark.parametrize("name", ["visual_tokens", "hidden_size"])
    @pytest.mark.parametrize("value", [0, -8, 1 << 40, 8.0, "8", None, False])
    def test_dimensions_are_plausible(self, manifest: Fields, name: str, value: object) -> None:
        with pytest.raises(BundleError, match=name):
            parse_manifest(json.dumps(manifest | {name: value}).encode())

    @pytest.mark.parametrize(
        "tokens",
        [
            {},
            {"W": 1, "N1": 2, "N2": 3, "N3": 4},
            {"W": 1, "N1": 1, "N2": 3, "N3": 4, "R": 5},
            {"W": -1, "N1": 2, "N2": 3, "N3": 4, "R": 5},
            {"W": 1 << 20, "N1": 2, "N2": 3, "N3": 4, "R": 5},
            {"W": 1, "N1": 2, "N2": 3, "N3": 4, "R": 5, "M": 6},
            [1, 2, 3, 4, 5],
        ],
    )
    def test_stage_tokens_are_five_and_distinct(self, manifest: Fields, tokens: object) -> None:
        with pytest.raises(BundleError, match="stage_tokens"):
            parse_manifest(json.dumps(manifest | {"stage_tokens": tokens}).encode())

    def test_two_entries_cannot_name_one_file_in_any_case(self, manifest: Fields) -> None:
        fields = json.loads(json.dumps(manifest))
        fields["components"]["tokenizer"]["file"] = fields["components"]["llm"]["file"].upper()
        with pytest.raises(BundleError, match="once"):
            parse_manifest(json.dumps(fields).encode())

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"null",
            b"[]",
            b"\xff\xfe{}",
            b"{",
            b'{"a": NaN}',
            b'{"a": 1e999}',
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b'{"a": ' + b"9" * 10_000 + b"}",
            b" " * (2 << 20),
        ],
    )
    def test_what_is_no_manifest_is_a_typed_error(self, content: bytes) -> None:
        with pytest.raises(BundleError):
            parse_manifest(content)

    def test_all_files_together_are_bounded(self, folder: Path) -> None:
        def change(fields: Fields) -> None:
            for entry in fields["components"].values():
                entry["bytes"] = 1 << 36

        rewrite(folder, change)
        with pytest.raises(BundleError, match="together"):
            Bundle.open(folder)

    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_a_manifest_with_anything_anywhere_is_parsed_or_refused(
        self, manifest: Fields, data: st.DataObject
    ) -> None:
        fields = json.loads(json.dumps(manifest))
        junk = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=5,
        )
        place = fields
        while True:
            key = data.draw(st.sampled_from(sorted(place)))
            if isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
                place = place[key]
                continue
            place[key] = data.draw(junk)
            break
        with suppress(BundleError):
            parse_manifest(json.dumps(fields).encode())

    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
    def test_a_manifest_with_one_wrong_byte_is_parsed_or_refused(
        self, manifest: Fields, position: float, byte: int
    ) -> None:
        content = bytearray(json.dumps(manifest).encode())
        content[int(position * len(content))] = byte
        with suppress(BundleError):
            parse_manifest(bytes(content))

    @pytest.mark.parametrize("name", ["render", "preprocessing", "prompt"])
    @pytest.mark.parametrize("value", [{"width": -1}, {"unknown": 1}, {"sfreq": "fast"}])
    def test_specs_the_runtime_does_not_know_are_refused(
        self, folder: Path, name: str, value: Fields
    ) -> None:
        rewrite(folder, lambda fields: fields.update({name: value}))
        with pytest.raises(BundleError):
            Stager.load(folder)
