"""The manifest's JSON Schema, for tools in other languages; `parse_manifest` needs it not."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["manifest_schema"]


def manifest_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a manifest of any version that this package reads.

    It cannot say everything. That no key comes twice, no file is listed twice in any case, stage tokens
    differ and lie inside the vocabulary, texts can be printed, `parse_manifest` checks beyond it.
    """
    text = files(__package__).joinpath("manifest.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
