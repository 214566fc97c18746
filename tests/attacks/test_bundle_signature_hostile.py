"""Signatures that are not what they say, and references out of a graph: refused before a model is opened."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

from eegvlm_rt.bundle import Bundle, PublicKey, TrustPolicy, make_key, sign_bundle
from eegvlm_rt.bundle.references import external_files
from eegvlm_rt.errors import BundleError, IntegrityError, SignatureError
from eegvlm_rt.stager import Stager
from tests.attacks.test_bundle_hostile import replace_file, rewrite
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def key(tmp_path: Path) -> PublicKey:
    return make_key(tmp_path / "key.pem", "bench")


@pytest.fixture
def signed(folder: Path, key: PublicKey, tmp_path: Path) -> Path:
    assert sign_bundle(Bundle.open(folder), tmp_path / "key.pem").raw == key.raw
    return folder


@pytest.fixture
def policy(key: PublicKey) -> TrustPolicy:
    return TrustPolicy((key,), require_signature=True)


def change_signature(folder: Path, **fields: object) -> None:
    place = folder / "manifest.sig"
    place.write_text(json.dumps(json.loads(place.read_text()) | fields))


def test_a_good_signature_is_accepted(signed: Path, policy: TrustPolicy, key: PublicKey) -> None:
    bundle = Bundle.open(signed, trust=policy)
    assert bundle.signed_by == key
    assert bundle.unlisted == ()


def test_a_stripped_signature_is_refused(signed: Path, policy: TrustPolicy) -> None:
    (signed / "manifest.sig").unlink()
    with pytest.raises(SignatureError, match="missing"):
        Bundle.open(signed, trust=policy)


def test_an_unknown_key_is_refused(signed: Path, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other.pem")
    with pytest.raises(SignatureError, match="key_id"):
        Bundle.open(signed, trust=TrustPolicy((other,)))


def test_a_key_that_passes_itself_off_as_a_trusted_one_is_refused(
    signed: Path, policy: TrustPolicy, key: PublicKey, tmp_path: Path
) -> None:
    make_key(tmp_path / "other.pem")
    sign_bundle(Bundle.open(signed), tmp_path / "other.pem", overwrite=True)
    change_signature(signed, key_id=key.key_id)
    with pytest.raises(SignatureError, match="wrong"):
        Bundle.open(signed, trust=policy)


def test_a_signature_over_another_manifest_is_refused(signed: Path, policy: TrustPolicy) -> None:
    rewrite(signed, lambda fields: fields.update(model_id="other"))
    with pytest.raises(SignatureError, match="manifest_sha256"):
        Bundle.open(signed, trust=policy)
    change_signature(signed, manifest_sha256=Bundle.open(signed, trust=TrustPolicy()).digest)
    with pytest.raises(SignatureError, match="wrong"):
        Bundle.open(signed, trust=policy)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"x" * 5000,
        b'{"algorithm": "ed25519", "algorithm": "none"}',
        b'{"' + b"[" * 4000,
    ],
)
def test_what_is_no_signature_is_refused(signed: Path, policy: TrustPolicy, content: bytes) -> None:
    (signed / "manifest.sig").write_bytes(content)
    with pytest.raises(SignatureError):
        Bundle.open(signed, trust=policy)


@pytest.mark.parametrize(
    "fields",
    [
        {"algorithm": "none"},
        {"version": 2},
        {"version": True},
        {"signature": ""},
        {"signature": "AAAA"},
        {"signature": "not base64 ä"},
        {"signature": 5},
        {"extra": 1},
    ],
)
def test_a_signature_of_another_form_is_refused(
    signed: Path, policy: TrustPolicy, fields: dict[str, object]
) -> None:
    change_signature(signed, **fields)
    with pytest.raises(SignatureError):
        Bundle.open(signed, trust=policy)


@pytest.mark.parametrize("hard", [False, True])
def test_a_linked_signature_is_refused(signed: Path, policy: TrustPolicy, tmp_path: Path, hard: bool) -> None:
    (signed / "manifest.sig").rename(tmp_path / "elsewhere")
    if hard:
        (signed / "manifest.sig").hardlink_to(tmp_path / "elsewhere")
    else:
        (signed / "manifest.sig").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match=r"manifest\.sig"):
        Bundle.open(signed, trust=policy)


def test_the_device_asks_through_its_environment(
    signed: Path, key: PublicKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trusted").write_text(f"# ours\n\n{key.line}\n")
    monkeypatch.setenv("EEGVLM_RT_TRUSTED_KEYS", str(tmp_path / "trusted"))
    assert Stager.load(signed, mode="head").bundle.signed_by == key
    (signed / "manifest.sig").unlink()
    for verify in (True, False):
        with pytest.raises(SignatureError):
            Stager.load(signed, verify=verify)
    monkeypatch.setenv("EEGVLM_RT_REQUIRE_SIGNATURE", "0")
    assert Bundle.open(signed).signed_by is None
    monkeypatch.setenv("EEGVLM_RT_REQUIRE_SIGNATURE", "perhaps")
    with pytest.raises(BundleError, match="REQUIRE_SIGNATURE"):
        Bundle.open(signed)


def test_a_signature_is_refused_where_no_key_is_trusted_but_one_required(signed: Path) -> None:
    with pytest.raises(SignatureError, match="none"):
        Bundle.open(signed, trust=TrustPolicy(require_signature=True))


@pytest.mark.parametrize("text", ["", "# none\n", "rsa AAAA", "ed25519", "ed25519 AAAA me", "ed25519 ????"])
def test_a_keys_file_without_a_good_key_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "trusted").write_text(text)
    monkeypatch.setenv("EEGVLM_RT_TRUSTED_KEYS", str(tmp_path / "trusted"))
    with pytest.raises(BundleError, match="trusted keys"):
        Bundle.open(folder)


def test_without_the_package_the_extra_is_named(
    signed: Path, policy: TrustPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(BundleError, match=r"\[sign\]"):
        Bundle.open(signed, trust=policy)


def test_an_unverified_bundle_is_not_signed(folder: Path, key: PublicKey, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="verify"):
        sign_bundle(Bundle.open(folder, verify=False), tmp_path / "key.pem")
    with pytest.raises(BundleError, match=r"a key is never replaced.*name another file"):
        make_key(tmp_path / "key.pem")
    (tmp_path / "key.pem").rename(tmp_path / "moved.pem")
    with pytest.raises(BundleError, match=r"key\.pem\.pub; is there already"):
        make_key(tmp_path / "key.pem")
    assert not (tmp_path / "key.pem").exists()
    (tmp_path / "moved.pem").rename(tmp_path / "key.pem")
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(BundleError, match="keygen"):
        sign_bundle(Bundle.open(folder), tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    assert key.label == "bench"


def outside(location: str) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph(place: str, location: str) -> bytes:
    """A model with one tensor outside it, in one of the places where ONNX allows tensors."""
    tensor = outside(location)
    inner = helper.make_graph([], "inner", [], [], initializer=[tensor])
    nodes, weights, functions = [], [], []
    if place == "initializer":
        weights = [tensor]
    elif place == "constant":
        nodes = [helper.make_node("Constant", [], ["w"], value=tensor)]
    elif place == "branch":
        nodes = [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)]
    else:
        node = helper.make_node("Constant", [], ["w"], value=tensor)
        functions = [helper.make_function("here", "f", [], ["w"], [node], [helper.make_opsetid("", 21)])]
    model = helper.make_model(helper.make_graph(nodes, "main", [], [], weights), functions=functions)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("place", ["initializer", "constant", "branch", "function"])
@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../outside", "embed_tokens.npy", "tokenizer.json", "a/../../b", "", "weights\0.data"],
)
@pytest.mark.parametrize("component", ["tower", "llm"])
def test_a_graph_refers_to_nothing_that_is_not_listed(
    folder: Path, place: str, location: str, component: str
) -> None:
    replace_file(folder, component, graph(place, location))
    with pytest.raises(IntegrityError, match="refers to"):
        Bundle.open(folder)


@pytest.mark.parametrize("content", [b"\0" * 64, b"\xff" * 64, b"{}", b"PK\x03\x04" + b"x" * 60, b"\x3a\x7f"])
def test_what_is_no_graph_is_refused_as_the_bundle_is_opened(folder: Path, content: bytes) -> None:
    replace_file(folder, "llm", content)
    with pytest.raises(IntegrityError, match="ONNX"):
        Bundle.open(folder)


def test_graphs_nested_without_end_are_refused() -> None:
    content = b""
    for _ in range(400):
        for tag in (0x32, 0x2A, 0x0A):
            size, length = len(content), b""
            while size >= 0x80:
                length += bytes([size & 0x7F | 0x80])
                size >>= 7
            content = bytes([tag]) + length + bytes([size]) + content
    head = len(content)
    wrapped = b"\x3a" + bytes([head & 0x7F | 0x80, head >> 7 & 0x7F | 0x80, head >> 14]) + content
    with pytest.raises(ValueError, match="deeper"):
        external_files(wrapped)
