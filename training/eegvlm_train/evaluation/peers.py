"""Other stagers on the same epochs: YASA and GSSC, from the extra `peers`, and the stager of band powers.

YASA (Vallat & Walker 2021) sees the whole recording, GSSC (Hanna & Floeel 2023) one epoch, or by its
recurrent network, which is bidirectional, epochs before and after. GSSC is AGPL-3.0: it is installed apart
and never part of a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.extras import install_command

from .answers import Answers
from .epoch_sets import EvaluationSet
from .metrics import INVALID
from .recordings import ScoredRecording

__all__ = ["PEERS", "peer_answers"]

Votes = dict[str, NDArray[np.float32]]
Vote = Callable[[NDArray[np.float32], float], Votes]


def _yasa(samples_uv: NDArray[np.float32], sfreq: float) -> Votes:
    from ..teachers.yasa import yasa_probabilities

    return {"YASA (whole recording)": yasa_probabilities(samples_uv, sfreq)}


def _gssc() -> Vote:
    from ..teachers.gssc import GsscTeacher

    teacher = GsscTeacher.load()

    def vote(samples_uv: NDArray[np.float32], sfreq: float) -> Votes:
        single, context = teacher(samples_uv, sfreq)
        return {"GSSC (one epoch)": single, "GSSC (recurrent)": context}

    return vote


def _band_power(folder: Path | None) -> Vote:
    from ..teachers.band_power import CAUSAL, OFFLINE, BandPowerStager

    if folder is None:
        raise ValueError(
            "--peer band-power: give --band-power FOLDER, as `eegvlm_train band-power` writes it"
        )
    stager = BandPowerStager.load(folder)

    def vote(samples_uv: NDArray[np.float32], sfreq: float) -> Votes:
        return {
            "band powers (+-5 epochs)": stager(samples_uv, sfreq, OFFLINE),
            "band powers (causal)": stager(samples_uv, sfreq, CAUSAL),
        }

    return vote


PEERS: dict[str, Callable[[Path | None], Vote]] = {
    "yasa": lambda _: _yasa,
    "gssc": lambda _: _gssc(),
    "band-power": _band_power,
}
"""By name: the trained stager's folder, which "band-power" alone needs, to a way of voting."""


def peer_answers(
    name: str, recordings: Sequence[ScoredRecording], data: EvaluationSet, band_power: Path | None = None
) -> dict[str, Answers]:
    """A peer's answers about the epochs of `data`, which come from `recordings`; a name may have two ways.

    Epochs that do not follow one another are joined in their order. Raises ValueError where the peer is not
    installed, or where "band-power" has no folder.
    """
    try:
        vote = PEERS[name](band_power)
        votes = [vote(np.nan_to_num(one.samples_uv.reshape(-1)), one.sfreq) for one in recordings]
    except ModuleNotFoundError as error:
        cure = install_command("peers")
        raise ValueError(f"--peer {name}: {error.name} is missing; {cure}") from error
    places = {one.name: number for number, one in enumerate(recordings)}
    answers = {}
    for way in votes[0]:
        rows = np.full((len(data), INVALID), 1.0 / INVALID)
        stages = np.full(len(data), INVALID, dtype=np.int64)
        for row, (recording, place) in enumerate(zip(data.recordings, data.places, strict=True)):
            stage_words = votes[places[str(recording)]][way]
            if place < len(stage_words):
                rows[row] = stage_words[place]
                stages[row] = int(stage_words[place].argmax())
        answers[way] = Answers(stages, rows)
    return answers
