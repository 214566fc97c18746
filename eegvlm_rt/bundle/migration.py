"""Older manifests brought to the schema of today, one version at a time.

A rule takes the fields of one version and gives those of the next. Rules only add or rename what can be known
without the files; a manifest on disk is never rewritten, so digests and signatures stay those of its bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCHEMA_VERSION", "migrate"]

SCHEMA_VERSION: Final = 3

_COMMON: Final = (
    *("schema_version", "model_id", "render", "preprocessing", "prompt", "stage_tokens"),
    *("visual_tokens", "hidden_size", "lm", "components", "parity", "accuracy", "provenance"),
)

FIELDS: Final[Mapping[int, frozenset[str]]] = {
    1: frozenset(_COMMON),
    2: frozenset([*_COMMON, "scoring"]),
    3: frozenset([*_COMMON, "scoring", "draft"]),
}
"""Fields a manifest may have, by version."""

OPTIONAL: Final = frozenset({"scoring", "draft"})


def migrate(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a manifest of any known version as the newest has them.

    Raises:
        BundleError: an unknown version, or other fields than that version has.
    """
    version = fields.get("schema_version")
    if type(version) is not int or version not in FIELDS:
        raise BundleError(
            "schema_version", version, f"this version reads schemas {min(FIELDS)} to {SCHEMA_VERSION}"
        )
    version_fields = FIELDS[version]
    wrong = (set(fields) ^ version_fields) - (OPTIONAL & version_fields)
    if wrong:
        names = ", ".join(sorted(version_fields))
        raise BundleError("manifest", sorted(wrong), f"schema {version} has exactly the fields {names}")
    current = dict(fields)
    for step in range(version, SCHEMA_VERSION):
        current = _RULES[step](current) | {"schema_version": step + 1}
    return current


def _add_scoring(fields: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 carries what turns the model's outputs into calibrated stages; before it there was none."""
    return fields | {"scoring": {}}


def _add_draft(fields: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 marks a bundle that was published though it fell short; before it there was none."""
    return fields | {"draft": []}


_RULES: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {1: _add_scoring, 2: _add_draft}
