"""Drafts: bundles that were published though they fell short, marked so that every output says so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ..errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DRAFT_SUFFIX", "check_draft_name", "draft_fields", "is_draft_name", "parse_draft"]

DRAFT_SUFFIX: Final = "-draft"
"""Ends the name of every draft, so that whatever names the model says what it is."""

MAX_REASONS: Final = 64
MAX_REASON: Final = 240
_MAX_NAME: Final = 128
_DRAFT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,121}-draft")


def draft_fields(model_id: str, reasons: Sequence[str]) -> dict[str, Any]:
    """`model_id` and `draft` of the manifest of a draft: its name with the suffix, and as many of the reasons
    as a manifest holds.
    """
    name = model_id.removesuffix(DRAFT_SUFFIX)[: _MAX_NAME - len(DRAFT_SUFFIX)]
    short = [reason[:MAX_REASON] for reason in reasons]
    more = len(short) - MAX_REASONS
    listed = short if more <= 0 else [*short[: MAX_REASONS - 1], f"and {more + 1} more"]
    return {"model_id": f"{name}{DRAFT_SUFFIX}", "draft": listed}


def is_draft_name(model_id: str) -> bool:
    """Whether a model of this name is a draft. False for what no manifest has as a name."""
    return _DRAFT_NAME.fullmatch(model_id) is not None


def parse_draft(value: object) -> tuple[str, ...]:
    """Why a bundle is a draft, in texts that can be printed; empty for any other. Raises BundleError."""
    if not isinstance(value, list) or len(value) > MAX_REASONS:
        raise BundleError("draft", value, f"give a list of at most {MAX_REASONS} texts")
    for text in value:
        if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= MAX_REASON:
            raise BundleError("draft", text, f"give printable texts of 1 to {MAX_REASON} characters")
    return tuple(value)


def check_draft_name(model_id: str, draft: Sequence[str]) -> None:
    """Raises BundleError where the name of a draft does not say so."""
    if draft and not is_draft_name(model_id):
        raise BundleError("model_id", model_id, f"the name of a draft ends in {DRAFT_SUFFIX}")
