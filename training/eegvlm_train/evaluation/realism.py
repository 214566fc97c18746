"""`python -m eegvlm_train realism --sim DIR --real DIR --tables DIR --out OUT`: simulated against real sleep.

By stage: spectra (median, 10th to 90th percentile) and the distributions of amplitude, band power, slope,
spindles and slow waves, as plots and as `realism.json`. The simulated stage is that of the teachers. With
`--tables` also the course of the night and band powers by stage beside tables of 153 real nights, as
`realism-tables.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.files import claim_folder
from eegvlm_rt.hypnogram.palette import STAGE_COLORS
from eegvlm_rt.stages import STAGES, Stage

from ..outputs import add_overwrite
from ..sleep_edf.comparison import compare_with_tables, distance
from .epoch_sets import EvaluationSet, load_set
from .features import FREQUENCIES_HZ, FeatureTable, features_of, spectra_of
from .plots import pyplot

__all__ = ["compare", "main"]

_FEWEST = 5
_QUANTILES = (0.1, 0.5, 0.9)
_SHOWN_HZ = 40.0


def _log_spectrum(x_uv: NDArray[np.float32]) -> NDArray[np.float64]:
    """(3, frequencies): 10th, 50th and 90th percentile of the power density in dB re 1 µV²/Hz."""
    return np.asarray(np.quantile(10 * np.log10(spectra_of(x_uv) + 1e-9), _QUANTILES, axis=0))


def compare(simulated: EvaluationSet, real: EvaluationSet) -> dict[str, Any]:
    """Per stage that both sides have at least five epochs of: n, spectra, and per feature the percentiles of
    both sides and their Kolmogorov-Smirnov distance."""
    tables = [features_of(one.x_uv) for one in (simulated, real)]
    report: dict[str, Any] = {"frequencies_hz": FREQUENCIES_HZ.tolist(), "stages": {}}
    for stage in STAGES:
        masks = [one.stages == int(stage) for one in (simulated, real)]
        if min(mask.sum() for mask in masks) < _FEWEST:
            continue
        features = {}
        for name in FeatureTable.names():
            values = [getattr(table, name)[mask] for table, mask in zip(tables, masks, strict=True)]
            features[name] = {
                "simulated": [float(q) for q in np.quantile(values[0], _QUANTILES)],
                "real": [float(q) for q in np.quantile(values[1], _QUANTILES)],
                "distance": distance(values[0], values[1]),
            }
        report["stages"][stage.name] = {
            "n": [int(mask.sum()) for mask in masks],
            "simulated_db": _log_spectrum(simulated.x_uv[masks[0]]).round(3).tolist(),
            "real_db": _log_spectrum(real.x_uv[masks[1]]).round(3).tolist(),
            "features": features,
        }
    return report


SIDES = (("simulated", STAGE_COLORS[Stage.W]), ("real", STAGE_COLORS[Stage.N3]))
"""What is compared, and its color."""


def plot_spectra(report: dict[str, Any], path: Path) -> None:
    plt = pyplot()
    stages = report["stages"]
    hz = np.asarray(report["frequencies_hz"])
    shown = (hz >= 0.5) & (hz <= _SHOWN_HZ)
    figure, axes = plt.subplots(
        1, len(stages), figsize=(2.7 * len(stages), 3.0), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (name, one) in zip(axes[0], stages.items(), strict=True):
        for side, color in SIDES:
            low, middle, high = (np.asarray(row)[shown] for row in one[f"{side}_db"])
            axis.fill_between(hz[shown], low, high, color=color, alpha=0.2, linewidth=0)
            axis.plot(hz[shown], middle, color=color, linewidth=1.2, label=side)
        axis.set(title=f"{name} ({one['n'][0]} / {one['n'][1]})", xlabel="frequency (Hz)", ylim=(-35, 35))
    axes[0][0].set_ylabel("power (dB re 1 µV²/Hz)")
    axes[0][0].legend(frameon=False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def plot_features(report: dict[str, Any], path: Path) -> None:
    plt = pyplot()
    stages = list(report["stages"])
    names = FeatureTable.names()
    columns = 5
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.1 * rows), layout="constrained")
    for axis, name in zip(axes.ravel(), names, strict=False):
        for shift, (side, color) in zip((-0.15, 0.15), SIDES, strict=True):
            low, middle, high = np.array(
                [report["stages"][stage]["features"][name][side] for stage in stages]
            ).T
            places = np.arange(len(stages)) + shift
            axis.vlines(places, low, high, color=color, linewidth=3, alpha=0.5)
            axis.plot(places, middle, "o", color=color, markersize=4, label=side)
        axis.set_xticks(range(len(stages)), stages)
        axis.set_title(name.replace("_uv", ", µV").replace("_share", ", share").replace("_", " "), fontsize=9)
    for axis in axes.ravel()[len(names) :]:
        axis.axis("off")
    axes.ravel()[0].legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _print_tables(report: dict[str, Any]) -> None:
    print(f"{'KS distance to people':<30}" + "".join(f"{name:>8}" for name in report["course"]))
    for name in next(iter(report["course"].values())):
        groups = report["course"].values()
        cells = [f"{one[name]['distance']:8.2f}" if name in one else f"{'-':>8}" for one in groups]
        print(f"{name:<30}" + "".join(cells))
    for derivation, groups in report["spectra"].items():
        for people, stages in groups.items():
            print(f"{derivation}, people {people}, KS distance")
            for stage, bands in stages.items():
                print(f"  {stage:<3}" + "".join(f"{b} {one['distance']:.2f}  " for b, one in bands.items()))


def _compare_signals(args: argparse.Namespace) -> None:
    real = args.real if ":" in args.real else f"real:{args.real}"
    report = compare(load_set(f"sim:{args.sim}", args.split).spread(args.limit), load_set(real))
    if not report["stages"]:
        raise ValueError(f"--real {args.real}: no stage with {_FEWEST} epochs on both sides")
    (args.out / "realism.json").write_text(json.dumps(report) + "\n", encoding="utf-8")
    plot_spectra(report, args.out / "realism-spectra.png")
    plot_features(report, args.out / "realism-features.png")
    stages = report["stages"]
    print(f"{'KS distance':<20}" + "".join(f"{name:>7}" for name in stages))
    for name in FeatureTable.names():
        print(f"{name:<20}" + "".join(f"{one['features'][name]['distance']:7.2f}" for one in stages.values()))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train realism", description=__doc__)
    parser.add_argument("--sim", help="folder of labelled simulated nights")
    parser.add_argument("--real", help="folder of real recordings, or prepared:FOLDER")
    parser.add_argument("--tables", type=Path, help="folder of tables of real nights (bandpower.npz)")
    parser.add_argument(
        "--nights", type=int, default=24, help="nights simulated for --tables, each derivation"
    )
    parser.add_argument("--split", default="all", choices=("train", "validation", "all"))
    parser.add_argument("--limit", type=int, default=6000, help="simulated epochs at most, evenly spread")
    parser.add_argument("--out", type=Path, required=True)
    add_overwrite(parser)
    args = parser.parse_args(argv)
    if (args.sim is None) != (args.real is None) or (args.sim is None and args.tables is None):
        raise ValueError("give --sim and --real, or --tables, or all three")
    claim_folder(args.out, "realism", inputs=[args.sim, args.tables], overwrite=args.overwrite)
    if args.tables is not None:
        beside = compare_with_tables(args.tables, args.nights)
        (args.out / "realism-tables.json").write_text(json.dumps(beside) + "\n", encoding="utf-8")
        _print_tables(beside)
    if args.sim is not None:
        _compare_signals(args)
    return 0
