"""The manifest of a bundle, parsed strictly; `manifest.schema.json` says the same as JSON Schema."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..errors import BundleError
from ..files.strict_json import load_object, plain_values
from .draft import check_draft_name, parse_draft
from .files import BundleFile, check_relative
from .migration import SCHEMA_VERSION, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "MAX_MANIFEST_BYTES",
    "REQUIRED_COMPONENTS",
    "SCHEMA_VERSION",
    "STAGE_NAMES",
    "Component",
    "LanguageModelShape",
    "Manifest",
    "parse_manifest",
]

MAX_MANIFEST_BYTES: Final = 1 << 20
REQUIRED_COMPONENTS: Final = ("tower", "llm", "embed_tokens", "tokenizer")
STAGE_NAMES: Final = ("W", "N1", "N2", "N3", "R")

_PLAIN_SCHEMA: Final = 2
"""What a bundle is written in that is no draft: runtimes that know no drafts open it too."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_MAX_DIMENSION = 1 << 24


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the model: its main file and variants of it at other precisions (precision -> file)."""

    name: str
    file: BundleFile
    precision: str
    variants: Mapping[str, BundleFile] = field(default_factory=dict)

    def at(self, precision: str | None = None) -> BundleFile:
        """The file of one precision, the main file by default; raises BundleError for a precision not
        held.
        """
        if precision is None or precision == self.precision:
            return self.file
        if precision not in self.variants:
            precisions = ", ".join([self.precision, *sorted(self.variants)])
            raise BundleError(f"{self.name}.precision", precision, f"this bundle holds: {precisions}")
        return self.variants[precision]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields as they stand in the manifest."""
        fields = self.file.to_dict() | {"precision": self.precision}
        if self.variants:
            fields["variants"] = {name: entry.to_dict() for name, entry in self.variants.items()}
        return fields


@dataclass(frozen=True, slots=True)
class LanguageModelShape:
    """Shape of the decoder's cache and vocabulary."""

    num_layers: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` says, in the newest schema.

    `render`, `preprocessing` and `prompt` are the dictionaries of their specs. `scoring` holds what turns the
    model's outputs into calibrated stages (temperatures, smoother, out-of-distribution test), empty for none.
    `draft` says why a bundle is a draft: gates that it failed, parts that nobody trained; empty for any
    other.
    """

    model_id: str
    render: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    prompt: Mapping[str, Any]
    stage_tokens: Mapping[str, int]
    visual_tokens: int
    hidden_size: int
    lm: LanguageModelShape
    components: Mapping[str, Component]
    parity: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    scoring: Mapping[str, Any] = field(default_factory=dict)
    draft: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def files(self) -> Iterator[BundleFile]:
        """Every file of every component, with variants and external data, in manifest order."""
        for component in self.components.values():
            for entry in (component.file, *component.variants.values()):
                yield entry
                yield from entry.data

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields; `parse_manifest` of their JSON gives an equal manifest."""
        draft = {"draft": list(self.draft)} if self.draft else {}
        return {
            "schema_version": self.schema_version if self.draft else _PLAIN_SCHEMA,
            "model_id": self.model_id,
            "render": dict(self.render),
            "preprocessing": dict(self.preprocessing),
            "prompt": dict(self.prompt),
            "stage_tokens": dict(self.stage_tokens),
            "visual_tokens": self.visual_tokens,
            "hidden_size": self.hidden_size,
            "lm": {
                "num_layers": self.lm.num_layers,
                "num_kv_heads": self.lm.num_kv_heads,
                "head_dim": self.lm.head_dim,
                "vocab_size": self.lm.vocab_size,
            },
            "components": {name: component.to_dict() for name, component in self.components.items()},
            "parity": dict(self.parity),
            "accuracy": dict(self.accuracy),
            "provenance": dict(self.provenance),
            "scoring": dict(self.scoring),
            **draft,
        }


def parse_manifest(content: bytes) -> Manifest:
    """Parse and check the bytes of a manifest.

    Raises:
        BundleError: too large, no UTF-8 JSON, a key given twice, an unknown schema version, a missing or
            unknown field, a value of the wrong type or size, a path that could leave the folder, two entries
            for one path, a draft whose name does not say so.
    """
    fields = migrate(load_object(content, "manifest", MAX_MANIFEST_BYTES))
    lm = _object(fields["lm"], "lm", exactly=LanguageModelShape.__slots__)
    shape = LanguageModelShape(**{name: _count(value, f"lm.{name}") for name, value in lm.items()})
    components = {
        name: _component(name, value) for name, value in _object(fields["components"], "components").items()
    }
    missing = [name for name in REQUIRED_COMPONENTS if name not in components]
    if missing:
        raise BundleError("components", missing, "a bundle holds " + ", ".join(REQUIRED_COMPONENTS))
    manifest = Manifest(
        model_id=_text(fields["model_id"], "model_id", _MODEL_ID),
        render=_object(fields["render"], "render"),
        preprocessing=_object(fields["preprocessing"], "preprocessing"),
        prompt=_object(fields["prompt"], "prompt"),
        stage_tokens=_stage_tokens(fields["stage_tokens"], shape.vocab_size),
        visual_tokens=_count(fields["visual_tokens"], "visual_tokens"),
        hidden_size=_count(fields["hidden_size"], "hidden_size"),
        lm=shape,
        components=components,
        parity=_object(fields["parity"], "parity"),
        accuracy=_object(fields["accuracy"], "accuracy"),
        provenance=_object(fields["provenance"], "provenance"),
        scoring=plain_values(_object(fields.get("scoring", {}), "scoring"), "scoring"),
        draft=parse_draft(fields.get("draft", [])),
    )
    check_draft_name(manifest.model_id, manifest.draft)
    names = [entry.file.lower() for entry in manifest.files()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BundleError("components", repeated, "list every file once")
    return manifest


def _object(value: object, name: str, exactly: tuple[str, ...] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(name, value, "give a JSON object")
    if exactly is not None and set(value) != set(exactly):
        raise BundleError(name, sorted(value), "give exactly the fields " + ", ".join(exactly))
    return value


def _count(value: object, name: str) -> int:
    if type(value) is not int or not 0 < value <= _MAX_DIMENSION:
        raise BundleError(name, value, f"give an integer from 1 to {_MAX_DIMENSION}")
    return value


def _text(value: object, name: str, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BundleError(name, value, f"give a name that matches {pattern.pattern}")
    return value


def _stage_tokens(value: object, vocab_size: int) -> dict[str, int]:
    tokens = _object(value, "stage_tokens", exactly=STAGE_NAMES)
    for name, token in tokens.items():
        if type(token) is not int or not 0 <= token < vocab_size:
            raise BundleError(f"stage_tokens.{name}", token, f"give a token id below {vocab_size}")
    if len(set(tokens.values())) != len(tokens):
        raise BundleError("stage_tokens", tokens, "every stage has a token of its own")
    return {name: tokens[name] for name in STAGE_NAMES}


def _component(name: str, value: object) -> Component:
    _text(name, "components", _NAME)
    fields = dict(_object(value, f"components.{name}"))
    precision = _text(fields.pop("precision", None), f"components.{name}.precision", _NAME)
    variants = {
        _text(other, f"components.{name}.variants", _NAME): _file(
            entry, f"components.{name}.variants.{other}"
        )
        for other, entry in _object(fields.pop("variants", {}), f"components.{name}.variants").items()
    }
    if precision in variants:
        raise BundleError(f"components.{name}.variants", precision, "give every precision once")
    return Component(name, _file(fields, f"components.{name}"), precision, variants)


def _file(value: object, name: str, *, nested: bool = False) -> BundleFile:
    fields = _object(value, name)
    allowed = {"file", "bytes", "sha256"} if nested else {"file", "bytes", "sha256", "data"}
    if not {"file", "bytes", "sha256"} <= set(fields) <= allowed:
        raise BundleError(name, sorted(fields), "give file, bytes and sha256")
    data = fields.get("data", [])
    if not isinstance(data, list):
        raise BundleError(f"{name}.data", data, "give a list of files")
    entries = tuple(_file(entry, f"{name}.data", nested=True) for entry in data)
    return BundleFile(check_relative(fields["file"]), fields["bytes"], fields["sha256"], entries)
