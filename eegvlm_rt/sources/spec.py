"""Source strings: lsl:NAME, brainflow:BOARD, edf:FILE@10x."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .live import LiveSource
    from .replay import ReplaySource

__all__ = ["SourceSpec", "open_source", "parse_source"]

FORMS = "lsl:NAME, brainflow:BOARD or edf:FILE@10x"
_SPEED = re.compile(r"(.*)@(?:(\d{1,6}(?:\.\d{1,6})?)x|(max))", re.DOTALL)
_KINDS = {"lsl": ("source_id", "unit"), "brainflow": None, "edf": (), "bdf": ()}


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A parsed source string. `speed` is that of a replay, infinite for "@max"."""

    kind: str
    target: str
    speed: float = 1.0
    options: Mapping[str, str] = field(default_factory=dict)


def parse_source(text: str) -> SourceSpec:
    """Parse a source string.

    lsl:NAME[?source_id=ID&unit=uV]; brainflow:BOARD[?serial_port=/dev/ttyUSB0&...], the options of
    `BrainFlowSource`; edf:FILE or bdf:FILE with @10x (ten times real time), @max (at once) or nothing (1x).
    Raises SourceError that says which of these was meant.
    """
    kind, colon, rest = str(text).partition(":")
    kind = kind.strip().lower()
    if not colon or kind not in _KINDS:
        file = re.search(r"\.(edf|bdf)(@\S+)?$", str(text), re.IGNORECASE)
        meant = f"{file[1].lower()}:{text}, or another of " if file and not colon else ""
        raise SourceError("source", text, f"use {meant}{FORMS}")
    if kind in ("edf", "bdf"):
        match = _SPEED.fullmatch(rest)
        path, speed = rest, 1.0
        if match is not None:
            path, speed = match[1], math.inf if match[3] else float(match[2])
        if not path:
            raise SourceError("source", text, f"name a file: {kind}:night.{kind}@10x")
        if speed <= 0:
            raise SourceError("source speed", f"{speed:g}x", "give a speed above 0, such as @10x, or @max")
        return SourceSpec("edf", path, speed)
    target, _, query = rest.partition("?")
    if not target.strip():
        example = "lsl:BedsideAmp" if kind == "lsl" else "brainflow:synthetic"
        raise SourceError("source", text, f"name the {'stream' if kind == 'lsl' else 'board'}: {example}")
    try:
        options = dict(parse_qsl(query, strict_parsing=True, keep_blank_values=True)) if query else {}
    except ValueError:
        raise SourceError("source options", query, "write ?name=value&name=value") from None
    names = _KINDS[kind]
    for name in options:
        if names is not None and name not in names:
            raise SourceError("source option", name, f"{kind} takes {', '.join(names)}")
    return SourceSpec(kind, target.strip(), 1.0, options)


def open_source(
    spec: str | SourceSpec,
    channel: str | None = None,
    *,
    unit: str | None = None,
    timeout_s: float | None = None,
    chunk_s: float | None = None,
) -> ReplaySource | LiveSource:
    """Open what a source string names; `timeout_s` is that of a stall, `chunk_s` the chunks of a file, `unit`
    that of its numbers where it does not say, or is wrong about it.

    Raises SourceError, ChannelError, UnitError, SamplingRateError or RecordingError.
    """
    parsed = parse_source(spec) if isinstance(spec, str) else spec
    options = dict(parsed.options)
    if parsed.kind == "edf":
        from .replay import CHUNK_S, replay

        return replay(parsed.target, channel, speed=parsed.speed, unit=unit, chunk_s=chunk_s or CHUNK_S)
    from .live import STALL_S

    wait_s = STALL_S if timeout_s is None else timeout_s
    if parsed.kind == "lsl":
        from .lsl import LslSource

        return LslSource(
            parsed.target,
            channel,
            unit=unit or options.get("unit"),
            source_id=options.get("source_id"),
            timeout_s=wait_s,
        )
    from .brainflow import BrainFlowSource

    return BrainFlowSource(parsed.target, channel, unit=unit, timeout_s=wait_s, options=options)
