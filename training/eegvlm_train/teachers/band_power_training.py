"""`python -m eegvlm_train band-power TABLES OUT`: the stager of band powers, from experts' stages.

Trains on people 20-82, both channels, each as a channel of its own, and prints the agreement with the experts
on people 00-19.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegvlm_rt.files import claim_folder

from ..outputs import add_overwrite
from ..sleep_edf.tables import BANDS, CHANNELS, SOURCE, TableNight, read_nights
from .band_power import CAUSAL, OFFLINE, BandPowerStager, View, features_of

__all__ = ["agreement", "main", "train_stager"]

_VIEWS = (OFFLINE, CAUSAL)
_SETTINGS: dict[str, Any] = {
    "objective": "multiclass",
    "num_class": 5,
    "num_leaves": 31,
    "learning_rate": 0.12,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_col_wise": True,
    "seed": 1,
    "verbose": -1,
}


def train_stager(
    nights: Sequence[TableNight], *, rounds: int, threads: int, views: Sequence[View] = _VIEWS
) -> BandPowerStager:
    """Gradient-boosted trees for each view; unscored epochs are context alone."""
    import lightgbm

    boosters = {}
    for view in views:
        rows, stages = [], []
        for night in nights:
            scored = night.stages >= 0
            for channel in range(len(CHANNELS)):
                rows.append(features_of(night.log_power[:, channel], view)[scored])
                stages.append(night.stages[scored])
        data = lightgbm.Dataset(np.concatenate(rows), np.concatenate(stages))
        boosters[view.name] = lightgbm.train(_SETTINGS | {"num_threads": threads}, data, rounds)
    return BandPowerStager(boosters)


def agreement(
    stager: BandPowerStager, nights: Sequence[TableNight], view: View
) -> dict[str, dict[str, float]]:
    """Accuracy and kappa with the experts, by channel, and the number of epochs."""
    from sklearn.metrics import cohen_kappa_score

    figures = {}
    for number, channel in enumerate(CHANNELS):
        answers = [stager.of_powers(night.log_power[:, number], view).argmax(axis=1) for night in nights]
        answer, right = np.concatenate(answers), np.concatenate([night.stages for night in nights])
        scored = right >= 0
        figures[channel] = {
            "n": int(scored.sum()),
            "accuracy": float((right[scored] == answer[scored]).mean()),
            "kappa": float(cohen_kappa_score(right[scored], answer[scored])),
        }
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train band-power", description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of bandpower.npz")
    parser.add_argument("out", type=Path, help="folder of the trained stager")
    parser.add_argument("--rounds", type=int, default=120, help="trees for each stage")
    parser.add_argument("--threads", type=int, default=2)
    add_overwrite(parser)
    args = parser.parse_args(argv)
    claim_folder(args.out, "band-power", inputs=[args.tables], overwrite=args.overwrite)
    nights, held_out = read_nights(args.tables, "fit"), read_nights(args.tables, "test")
    stager = train_stager(nights, rounds=args.rounds, threads=args.threads)
    figures = {view.name: agreement(stager, held_out, view) for view in _VIEWS}
    people = {night.person for night in nights}
    card = {
        "source": f"{SOURCE}: {len(nights)} nights of {len(people)} people",
        "bands": list(BANDS),
        "channels": list(CHANNELS),
        "rounds": args.rounds,
        "people 00-19": figures,
    }
    stager.save(args.out, card)
    for view, channels in figures.items():
        for channel, one in channels.items():
            figure = f"accuracy {one['accuracy']:.3f}  kappa {one['kappa']:.3f}"
            print(f"{view:<8} {channel:<10} n {one['n']}  {figure}")
    return 0
