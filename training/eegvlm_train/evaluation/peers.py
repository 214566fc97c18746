"""Other stagers on the same epochs: YASA and GSSC, from the extra `peers`.

YASA (Vallat & Walker 2021) sees the whole recording, GSSC (Hanna & Floeel 2023) one epoch, or all epochs so
far by its recurrent network. GSSC is AGPL-3.0: it is installed apart and never part of a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .answers import Answers
from .epoch_sets import EvaluationSet
from .metrics import INVALID
from .recordings import ScoredRecording

__all__ = ["PEERS", "peer_answers"]

Votes = dict[str, NDArray[np.float32]]


def _yasa(samples_uv: NDArray[np.float32], sfreq: float) -> Votes:
    from ..teachers.yasa import yasa_probabilities

    return {"YASA (whole recording)": yasa_probabilities(samples_uv, sfreq)}


def _gssc() -> Callable[[NDArray[np.float32], float], Votes]:
    from ..teachers.gssc import GsscTeacher

    teacher = GsscTeacher.load()

    def vote(samples_uv: NDArray[np.float32], sfreq: float) -> Votes:
        single, context = teacher(samples_uv, sfreq)
        return {"GSSC (one epoch)": single, "GSSC (recurrent)": context}

    return vote


PEERS: dict[str, Callable[[], Callable[[NDArray[np.float32], float], Votes]]] = {
    "yasa": lambda: _yasa,
    "gssc": _gssc,
}


def peer_answers(name: str, recordings: Sequence[ScoredRecording], data: EvaluationSet) -> dict[str, Answers]:
    """A peer's answers about the epochs of `data`, which come from `recordings`; a name may have two ways.

    Epochs that do not follow one another are joined in their order. Raises ValueError where the peer is not
    installed.
    """
    try:
        vote = PEERS[name]()
        votes = [vote(np.nan_to_num(one.samples_uv.reshape(-1)), one.sfreq) for one in recordings]
    except ModuleNotFoundError as error:
        raise ValueError(f"--peer {name}: {error.name} is missing; pip install 'eegvlm-rt[peers]'") from error
    places = {one.name: number for number, one in enumerate(recordings)}
    found = {}
    for way in votes[0]:
        rows = np.full((len(data), INVALID), 1.0 / INVALID)
        stages = np.full(len(data), INVALID, dtype=np.int64)
        for row, (recording, place) in enumerate(zip(data.recordings, data.places, strict=True)):
            said = votes[places[str(recording)]][way]
            if place < len(said):
                rows[row] = said[place]
                stages[row] = int(said[place].argmax())
        found[way] = Answers(stages, rows)
    return found
