"""Rotary position embeddings of the configuration of another program, in the form that transformers 5 writes.

transformers 4 wrote `rope_theta` and `rope_scaling` (its kind first as `type`, later as `rope_type`),
transformers 5 writes `rope_parameters`. Both are read here, by our own rules: a configuration class of
transformers drops the fields that its version does not know.
"""

from __future__ import annotations

from typing import Any, Final

from eegvlm_rt.errors import CheckpointError

from .config_fields import Fields

__all__ = ["rope_parameters"]

_THETA: Final = 10000.0
"""Base of the frequencies where a configuration of Llama or Mistral gives none (Su et al. 2021)."""

_NUMBERS: Final = {
    "default": ((), ()),
    "linear": (("factor",), ()),
    "dynamic": (("factor",), ()),
    "llama3": (("factor", "low_freq_factor", "high_freq_factor"), ()),
    "yarn": (("factor",), ("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim")),
}
"""Numbers that each kind must have, and may have."""

_TRAINED_LENGTH: Final = "original_max_position_embeddings"
_WITH_LENGTH: Final = ("llama3", "yarn")


def rope_parameters(fields: Fields, positions: int) -> tuple[dict[str, Any], list[str]]:
    """`rope_parameters` of a language model whose longest text has `positions` tokens, and what to tell.

    "dynamic" scales by the length of the text, and not at all up to `positions`: it becomes "default".

    Raises CheckpointError for another kind, a number that is missing or unknown, and two fields that say
    different things.
    """
    theta = fields.number("rope_theta", _THETA) if "rope_theta" in fields else None
    fields.only(
        "partial_rotary_factor", 1.0, cure="every part of a head is turned here: use a model with 1.0"
    )
    forms = {
        name: _one_form(part, theta, positions)
        for name in ("rope_parameters", "rope_scaling")
        if (part := fields.part(name)) is not None
    }
    written = list(forms.values()) or [{"rope_type": "default", "rope_theta": theta or _THETA}]
    if any(form != written[0] for form in written):
        raise CheckpointError(
            fields.path("rope_scaling"),
            fields.value("rope_scaling"),
            "it is not what rope_parameters says: remove one",
        )
    rope, notes = dict(written[0]), []
    if rope["rope_type"] == "dynamic":
        notes.append(
            f"rope dynamic is the plain one up to max_position_embeddings ({positions} tokens), "
            "and no text here is longer"
        )
        rope = {"rope_type": "default", "rope_theta": rope["rope_theta"]}
    return rope, notes


def _one_form(part: Fields, theta: float | None, positions: int) -> dict[str, Any]:
    kind = part.text("rope_type", part.text("type", "default"))
    part.only("type", kind, cure=f"rope_type says {kind}: remove one of the two")
    if kind not in _NUMBERS:
        raise CheckpointError(part.path("rope_type"), kind, f"use one of {', '.join(_NUMBERS)}")
    own = part.number("rope_theta", _THETA if theta is None else theta)
    if theta is not None and own != theta:
        raise CheckpointError(
            part.path("rope_theta"), own, f"rope_theta beside it says {theta:g}: remove one"
        )
    part.only("partial_rotary_factor", 1.0, cure="every part of a head is turned here: use a model with 1.0")
    rope: dict[str, Any] = {"rope_type": kind, "rope_theta": own}
    required, optional = _NUMBERS[kind]
    lacking = [name for name in required if name not in part]
    if lacking:
        raise CheckpointError(part.path(lacking[0]), None, f"rope_type {kind} needs this number")
    rope |= {name: part.number(name, 1.0) for name in (*required, *optional) if name in part}
    if kind in _WITH_LENGTH:
        rope[_TRAINED_LENGTH] = part.integer(_TRAINED_LENGTH, positions)
    if kind == "yarn" and "truncate" in part:
        rope["truncate"] = part.flag("truncate", True)
    part.finish()
    return rope
