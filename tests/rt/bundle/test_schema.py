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
        lambda m: m.update(schema_version=3),
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
