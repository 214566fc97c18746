"""One night that is to be scored, and what is asked of every night of a cohort."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..calibration.smoothing import Smoothing
from ..errors import InputError
from ..hypnogram.formats import format_files
from ..prompt import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RESULT_VERSION", "NightTask", "ScoreOptions", "file_digest", "plain_name"]

RESULT_VERSION: Final = 2
"""Part of every key. It grows when the same input, bundle and options give other results."""

_SEVERAL = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST: Final = 150


@dataclass(frozen=True, slots=True)
class NightTask:
    """One recording to score.

    Attributes:
        name: what the night is called in the results: letters, digits and `. _ + -`, unique among them.
        path: the recording, absolute.
        channel: channel of this recording; None takes that of the options.
        searched: whether it was found in a folder or by a pattern. Such a file without signals (a
            hypnogram) is passed over; one that was named fails.
        folder: where its files lie in the results; None is `nights/NAME`.
        stem: how they begin, as in BIDS; None for the names that `stage --out` gives.
    """

    name: str
    path: Path
    channel: str | None = None
    searched: bool = False
    folder: str | None = None
    stem: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What is asked of every night. All but `bundle`, `threads` and `trusted_keys` is part of the key.

    Attributes:
        bundle: name or path of the trained model; what counts in the key is its digest.
        mode: "head", "direct" or "cot".
        memory: whether the night's memory is used; `smooth` as in `Stager.predict_night`.
        channels: channels in order of preference: the first that a recording has is scored.
        unit: unit of the samples where headers are wrong.
        backend: "onnxruntime", "cuda", "cuda+cpu" or "tensorrt".
        formats: further forms of the hypnogram, names of `hypnogram.FORMATS`.
        predictions: whether each night gets predictions.json, with every epoch's measurements; measuring them
            takes as long as staging by the head. With reasons (another mode than head) it is always written.
        report: whether each night gets a report (HTML).
        threads: threads of the model in each worker; `trusted_keys`: file of keys, as for `stage`.
        overwrite: replace files that eegvlm-rt did not write, or that were changed since.
    """

    bundle: str = "nano"
    mode: str = "head"
    memory: bool = True
    smooth: str | None = None
    channels: tuple[str, ...] = ()
    unit: str | None = None
    backend: str = "onnxruntime"
    formats: tuple[str, ...] = ()
    predictions: bool = False
    report: bool = False
    threads: int = 2
    trusted_keys: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        Mode.parse(self.mode)
        format_files(self.formats)
        if self.smooth is not None and self.smooth not in tuple(Smoothing):
            raise InputError("smooth", self.smooth, f"use one of {', '.join(Smoothing)}")
        if not 1 <= self.threads <= 256:
            raise InputError("threads", self.threads, "give 1 to 256 threads to each worker")

    def key_fields(self) -> dict[str, Any]:
        """What the results depend on beside input and bundle, JSON-able."""
        fields = asdict(self)
        for name in ("bundle", "threads", "trusted_keys", "overwrite"):
            del fields[name]
        return fields | {"formats": sorted(set(self.formats)), "channels": list(self.channels)}

    def key(self, task: NightTask, input_sha256: str, bundle_digest: str) -> str:
        """SHA-256 of input x bundle x options: two nights of one key have the same results."""
        fields = {
            "version": RESULT_VERSION,
            "input": input_sha256,
            "bundle": bundle_digest,
            "options": self.key_fields(),
            "channel": task.channel,
            "bids": task.stem is not None,
        }
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def plain_name(parts: Iterable[str]) -> str:
    """A name of letters, digits and `. _ + -` for parts of a path, at most 150 characters."""
    joined = "__".join(_SEVERAL.sub("_", part).strip("_.") or "_" for part in parts)
    if len(joined) <= _LONGEST:
        return joined
    return f"{joined[: _LONGEST - 9]}-{hashlib.sha256(joined.encode()).hexdigest()[:8]}"


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, read in pieces."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
