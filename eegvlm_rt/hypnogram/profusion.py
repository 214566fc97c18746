"""Hypnograms as the XML of Compumedics Profusion, the form of the NSRR's annotation files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import RecordingError
from ..files.inputs import open_regular
from ..files.outputs import write_file
from ..files.seal import SEAL
from ..signal.units import EPOCH_S
from ..stages import Stage
from .model import MAX_EPOCHS, Hypnogram, is_model_name

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["read_profusion", "write_profusion"]

UNSCORED = 9
_MAX_BYTES = 1 << 26
_STAGES = re.compile(rb"<SleepStages>(.*?)</SleepStages>", re.DOTALL)
_STAGE = re.compile(rb"\s*<SleepStage>\s*(\d{1,2})\s*</SleepStage>")
_DRAFT = re.compile(rb'<\?eegvlm-rt draft="([^"\s]{1,128})"\?>')
_LENGTH = re.compile(rb"<EpochLength>\s*(\d{1,6})\s*</EpochLength>")


def write_profusion(hypnogram: Hypnogram, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write EpochLength, no events, and one SleepStage per epoch: 0 W, 1 N1, 2 N2, 3 N3, 5 R, 9 unscored.
    The draft of a model is named in a processing instruction.

    Some readers (YASA's among them) take 9 for wake. Clock times are no part of these files.
    """
    lines = "".join(
        f"<SleepStage>{UNSCORED if stage is None else stage.rk_code}</SleepStage>\n"
        for stage in hypnogram.stages
    )
    # No comment: two hyphens must not stand in one (XML 1.0, 2.5), and may stand in a name.
    draft = f'<?eegvlm-rt draft="{hypnogram.draft}"?>\n' if hypnogram.draft else ""
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {SEAL} -->\n{draft}<CMPStudyConfig>\n'
        f"<EpochLength>{EPOCH_S:g}</EpochLength>\n<ScoredEvents></ScoredEvents>\n"
        f"<SleepStages>\n{lines}</SleepStages>\n</CMPStudyConfig>\n"
    )
    return write_file(path, text.encode(), overwrite=overwrite)


def read_profusion(path: str | os.PathLike[str]) -> Hypnogram:
    """Read the stages of a Profusion XML file; S4 is N3, 6 (movement) and 9 are unscored.

    Only the two elements that matter are looked for, so that no XML parser meets a hostile file. Raises
    RecordingError for a file without them, another epoch length than 30 s, or a code that is none.
    """
    target, handle, size = open_regular(path)
    with handle:
        raw = handle.read(_MAX_BYTES) if size <= _MAX_BYTES else b""
    length, block = _LENGTH.search(raw), _STAGES.search(raw)
    if length is None or block is None:
        raise RecordingError("file", target.name, "no Profusion hypnogram", path=str(target))
    if int(length[1]) != EPOCH_S:
        raise RecordingError("EpochLength", int(length[1]), "only epochs of 30 s are read", path=str(target))
    codes: list[int] = []
    place = 0
    while (match := _STAGE.match(block[1], place)) is not None and len(codes) <= MAX_EPOCHS:
        codes.append(int(match[1]))
        place = match.end()
    wrong = [code for code in codes if code not in (0, 1, 2, 3, 4, 5, 6, UNSCORED)]
    if wrong or block[1][place:].strip() or len(codes) > MAX_EPOCHS:
        text = wrong[0] if wrong else block[1][place : place + 40]
        raise RecordingError("SleepStage", text, "use 0 to 6 or 9, at most a week of them", path=str(target))
    mark = _DRAFT.search(raw)
    name = mark[1].decode("ascii", errors="replace") if mark is not None else ""
    stages = tuple(Stage.from_rk(code) for code in codes)
    return Hypnogram(stages, draft=name if is_model_name(name) else "")
