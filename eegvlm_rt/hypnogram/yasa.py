"""Hypnograms as YASA's objects, and back."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ..errors import InputError, RecordingError
from ..signal.units import EPOCH_S
from ..stages import STAGES, Stage
from .model import Hypnogram

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["from_yasa", "to_yasa"]

_WORDS = {Stage.W: "WAKE", Stage.N1: "N1", Stage.N2: "N2", Stage.N3: "N3", Stage.R: "REM", None: "UNS"}


def to_yasa(hypnogram: Hypnogram) -> Any:
    """A `yasa.Hypnogram` of five stages and 30 s; an unscored epoch is "UNS".

    Probabilities go along where every epoch has them. Raises InputError for an empty hypnogram, and where
    YASA (a package of its own: pip install yasa) is missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pandas as pd  # type: ignore[import-untyped, unused-ignore]
            import yasa
    except ImportError as error:
        raise InputError("yasa", str(error), "YASA is needed: pip install yasa") from error
    if not hypnogram.stages:
        raise InputError("stages", "0 epochs", "YASA needs at least one epoch")
    rows = hypnogram.probabilities
    proba = None
    if rows is not None and all(row is not None for row in rows):
        proba = pd.DataFrame(list(rows), columns=[_WORDS[stage] for stage in STAGES])
    words = [_WORDS[stage] for stage in hypnogram.stages]
    scorer = f"eegvlm-rt, draft model {hypnogram.draft}" if hypnogram.draft else "eegvlm-rt"
    return yasa.Hypnogram(
        words, n_stages=5, freq=f"{EPOCH_S:g}s", start=hypnogram.start, scorer=scorer, proba=proba
    )


def from_yasa(hypnogram: Any, start: datetime | None = None) -> Hypnogram:
    """Stages of a `yasa.Hypnogram` of five stages and 30 s, or of YASA's words or integers.

    "ART" and "UNS" (-1, -2) are unscored. `start` is the clock time; None takes the object's own. Raises
    RecordingError for other epochs or fewer stages, InputError for a code that is none.
    """
    series = getattr(hypnogram, "hypno", hypnogram)
    if hasattr(hypnogram, "freq") and (hypnogram.n_stages != 5 or _seconds(str(hypnogram.freq)) != EPOCH_S):
        kind = f"{hypnogram.n_stages} stages per {hypnogram.freq}"
        raise RecordingError("hypnogram", kind, "give five stages per 30 s (YASA's upsample converts)")
    own = getattr(hypnogram, "start", None)
    if start is None and own is not None:
        start = own.to_pydatetime() if hasattr(own, "to_pydatetime") else own
    stages = [Stage.from_yasa(code if isinstance(code, str) else int(code)) for code in list(series)]
    return Hypnogram(tuple(stages), start)


def _seconds(freq: str) -> float:
    import pandas as pd

    return float(pd.Timedelta(freq).total_seconds())
