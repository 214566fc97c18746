"""The JSON Schema of manifests says what the parser does, and old manifests keep opening."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from eegvlm_rt.bundle import SCHEMA_VERSION, Bundle, manifest_schema, parse_manifest
from eegvlm_rt.bundle.migration import FIELDS
from eegvlm_rt.errors import BundleError
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

NANO = Path(__file__).parents[3] / "models" / "nano"
VALIDATOR = Draft202012Validator(manifest_schema())


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_tiny_bundle(tmp_path_factory.mktemp("schema") / "tiny").manifest.to_dict()


@pytest.fixture
def first(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same manifest as version 1 had it."""
    return {key: value for key, value in manifest.items() if key != "scoring"} | {"schema_version": 1}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(manifest_schema())
    assert set(manifest_schema()["properties"]) == FIELDS[SCHEMA_VERSION]


def test_what_is_shipped_and_what_is_written_fit_the_schema(manifest: dict[str, Any]) -> None:
    VALIDATOR.validate(manifest)
    VALIDATOR.validate(json.loads((NANO / "manifest.json").read_bytes()))
    assert Bundle.open(NANO).manifest.schema_version == SCHEMA_VERSION


def test_a_manifest_of_schema_1_is_read_as_one_of_schema_2(
    first: dict[str, Any], manifest: dict[str, Any]
) -> None:
    VALIDATOR.validate(first)
    content = json.dumps(first).encode()
    assert parse_manifest(content).to_dict() == manifest
    assert parse_manifest(content).scoring == {}


def test_schema_1_has_no_scoring(first: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="scoring"):
        parse_manifest(json.dumps(first | {"scoring": {}}).encode())
    assert not VALIDATOR.is_valid(first | {"scoring": {}})


def test_scoring_survives_the_way_through_json(manifest: dict[str, Any]) -> None:
    scoring = {"temperature": {"head": 1.5}, "smoother": {"transition": [[0.9, 0.1], [0.2, 0.8]], "on": True}}
    assert parse_manifest(json.dumps(manifest | {"scoring": scoring}).encode()).scoring == scoring


def draft_of(
    manifest: dict[str, Any], reasons: object = ("agreement.head: 0.5, wanted >= 0.99",)
) -> dict[str, Any]:
    reasons = list(reasons) if isinstance(reasons, tuple) else reasons
    return manifest | {"schema_version": 3, "model_id": "tiny-draft", "draft": reasons}


def test_a_draft_is_of_schema_3_and_survives_the_way_through_json(manifest: dict[str, Any]) -> None:
    fields = draft_of(manifest)
    VALIDATOR.validate(fields)
    draft = parse_manifest(json.dumps(fields).encode())
    assert draft.draft == ("agreement.head: 0.5, wanted >= 0.99",)
    assert draft.to_dict() == fields


def test_any_other_bundle_is_written_as_before(manifest: dict[str, Any]) -> None:
    assert manifest["schema_version"] == 2
    assert "draft" not in manifest
    assert parse_manifest(json.dumps(manifest).encode()).draft == ()
    assert parse_manifest(json.dumps(manifest | {"schema_version": 3, "draft": []}).encode()).draft == ()


def test_a_draft_says_so_in_its_name(manifest: dict[str, Any]) -> None:
    fields = draft_of(manifest) | {"model_id": "tiny"}
    assert not VALIDATOR.is_valid(fields)
    with pytest.raises(BundleError, match="model_id: tiny; the name of a draft ends in -draft"):
        parse_manifest(json.dumps(fields).encode())


@pytest.mark.parametrize("version", [1, 2])
def test_older_schemas_have_no_draft(version: int, manifest: dict[str, Any]) -> None:
    fields = draft_of(manifest) | {"schema_version": version}
    if version == 1:
        del fields["scoring"]
    assert not VALIDATOR.is_valid(fields)
    with pytest.raises(BundleError, match="draft"):
        parse_manifest(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "reasons", [None, "x", {}, [1], [""], ["a\nb"], ["\x1b[2J"], ["x" * 241], ["x"] * 65]
)
def test_reasons_of_a_draft_can_be_printed(manifest: dict[str, Any], reasons: object) -> None:
    fields = draft_of(manifest, reasons)
    assert not VALIDATOR.is_valid(fields)
    with pytest.raises(BundleError, match="draft"):
        parse_manifest(json.dumps(fields).encode())


@pytest.mark.parametrize("scoring", [None, 1, [], {"t": None}, {"t": [1, [None]]}])
def test_scoring_of_other_kinds_is_refused_by_both(manifest: dict[str, Any], scoring: object) -> None:
    fields = manifest | {"scoring": scoring}
    assert not VALIDATOR.is_valid(fields)
    with pytest.raises(BundleError, match="scoring"):
        parse_manifest(json.dumps(fields).encode())


def test_scoring_holds_no_infinity_and_no_depth(manifest: dict[str, Any]) -> None:
    deep: dict[str, Any] = {}
    for _ in range(20):
        deep = {"a": deep}
    with pytest.raises(BundleError, match="levels"):
        parse_manifest(json.dumps(manifest | {"scoring": deep}).encode())
    text = json.dumps(manifest | {"scoring": {"t": 7.5}}).replace("7.5", "1e999")
    with pytest.raises(BundleError, match="finite"):
        parse_manifest(text.encode())


def _tower(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["components"]["tower"].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(schema_version=4),
        lambda m: m.update(extra=1),
        lambda m: m.pop("lm"),
        lambda m: m["lm"].update(num_layers=0),
        lambda m: m["components"].pop("llm"),
        lambda m: m["stage_tokens"].pop("R"),
        _tower(file="../tower.onnx"),
        _tower(file="/tower.onnx"),
        _tower(file="Manifest.JSON"),
        _tower(file="manifest.sig"),
        _tower(file="töwer.onnx"),
        _tower(file="tower.onnx."),
        _tower(bytes=0),
        _tower(sha256="0" * 63),
        _tower(precision="FP 16"),
        _tower(variants={"int8": {"file": "a"}}),
        _tower(data=[{"file": "a", "bytes": 1, "sha256": "0" * 64, "data": []}]),
    ],
)
def test_schema_and_parser_refuse_the_same(manifest: dict[str, Any], change: Callable[..., object]) -> None:
    fields = json.loads(json.dumps(manifest))
    change(fields)
    assert not VALIDATOR.is_valid(fields)
    with pytest.raises(BundleError):
        parse_manifest(json.dumps(fields).encode())
