"""Where a night comes from and how it was staged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..journal.resume import NightState
    from ..sources.remark import Remark

__all__ = ["NightInfo", "info_of_journal"]

_OPTIONS = ("deadline_s", "hop_s", "smooth", "lights_off", "software")


@dataclass(frozen=True, slots=True)
class NightInfo:
    """Where a night comes from and how it was staged.

    Attributes:
        source: name of the file or the stream.
        channel: name of the channel, `sfreq` its rate in Hz.
        start: clock time of epoch 0, without a time zone; None where it is not known.
        duration_s: length of the recording in s.
        model_id: name of the model, `model_digest` the SHA-256 of its manifest.
        mode: "head", "direct" or "cot".
        options: every further option, by name.
        lights_off_s, lights_on_s: lights off and on as the recording has them, in s from epoch 0; None where
            it does not say.
        remarks: what was left out of the recording, or taken for granted.
    """

    source: str = ""
    channel: str | None = None
    sfreq: float | None = None
    start: datetime | None = None
    duration_s: float | None = None
    model_id: str = ""
    model_digest: str = ""
    mode: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    lights_off_s: float | None = None
    lights_on_s: float | None = None
    remarks: tuple[Remark, ...] = ()


def info_of_journal(state: NightState) -> NightInfo:
    """What a journal's header tells; values of the wrong kind count as absent."""
    header = state.header
    rate, channel = header.get("sfreq"), header.get("channel")
    return NightInfo(
        source=str(header.get("source", "")),
        channel=None if channel is None else str(channel),
        sfreq=float(rate) if isinstance(rate, int | float) and abs(rate) < 1e9 else None,
        start=state.start,
        model_id=str(header.get("bundle", "")),
        model_digest=str(header.get("bundle_digest", "")),
        mode=str(header.get("mode", "")),
        options={key: value for key, value in header.items() if key in _OPTIONS and value is not None},
        # The grid of a stream that was told of lights off begins there.
        lights_off_s=0.0 if header.get("lights_off") is not None else None,
    )
