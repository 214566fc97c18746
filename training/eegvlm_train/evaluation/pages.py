"""`python -m eegvlm_train report MODEL --sim FOLDER --real FOLDER --out FOLDER --docs docs/evaluation.md`.

Runs every evaluation that the documentation quotes, keeps the figures as JSON in OUT, and writes the tables
between the `<!-- table: NAME -->` marks of the documents. Figures that are there already are not made again
unless `--force` is given. `ablation.json` in OUT, as `eegvlm_train ablate` writes it, fills the table of
ablations; `--runs` are training runs whose learning curves are drawn.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eegvlm_rt.files import claim_folder

from ..outputs import add_overwrite
from . import evaluate, realism
from .markdown import TABLES, fill
from .plots import plot_learning

__all__ = ["main"]


def _runs(
    model: Path,
    sim: Path | None,
    real: Path | None,
    *,
    split: str,
    limit: int,
    peers: bool,
    band_power: Path | None,
) -> dict[str, list[str]]:
    base = [str(model)]
    runs = {}
    if real is not None:
        data = ["--data", f"real:{real}"]
        runs["real"] = [*base, *data, "--mode", "head", "direct", "cot", "--smooth", "--free", "40"]
        runs["robustness"] = [*base, *data, "--mode", "direct", "--robustness"]
        runs["wake"] = [*base, "--data", f"wake:{real}", "--mode", "head", "--smooth"]
        if peers:
            runs["peers"] = [*base, *data, "--mode", "--peer", "yasa", "gssc"]
            if band_power is not None:
                runs["peers"] += ["band-power", "--band-power", str(band_power)]
    if sim is not None:
        data = ["--data", f"sim:{sim}", "--split", split, "--limit", str(limit)]
        runs["sim"] = [*base, *data, "--mode", "head", "direct", "cot"]
    return runs


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train report", description=__doc__)
    parser.add_argument("model", type=Path, help="checkpoint or bundle folder")
    parser.add_argument("--sim", type=Path, help="labelled simulated nights")
    parser.add_argument(
        "--split",
        choices=("validation", "all"),
        default="validation",
        help="which of them; all, where none was trained on",
    )
    parser.add_argument("--real", type=Path, help="folder of real recordings")
    parser.add_argument("--tables", type=Path, help="folder of tables of real nights, for the simulator")
    parser.add_argument("--limit", type=int, default=1800, help="simulated epochs at most")
    parser.add_argument("--peers", action="store_true", help="run YASA and GSSC beside it")
    parser.add_argument(
        "--band-power", type=Path, help="and the stager of band powers that is in this folder"
    )
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="training runs, for learning curves")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--docs", type=Path, nargs="*", default=[], help="documents with table marks")
    parser.add_argument("--images", type=Path, help="folder that gets the plots of the documents")
    parser.add_argument("--force", action="store_true", help="make figures again that are there")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    claim_folder(args.out, "report", inputs=[args.model, args.sim, args.real], overwrite=args.overwrite)
    plots = claim_folder(args.out / "plots", "report", overwrite=args.overwrite)
    shared = [f"--{name}={getattr(args, name)}" for name in ("threads", "device") if getattr(args, name)]
    # The folder is claimed: what is in it is ours to make anew.
    shared += ["--overwrite"] if args.overwrite or args.force else []
    runs = _runs(
        args.model,
        args.sim,
        args.real,
        split=args.split,
        limit=args.limit,
        peers=args.peers,
        band_power=args.band_power,
    )
    for name, run in runs.items():
        target = args.out / f"{name}.json"
        if args.force or not target.exists():
            print(f"\n=== {name}: evaluate {' '.join(run)}", flush=True)
            drawn = ["--plots", str(plots)] if name in ("real", "sim") else []
            evaluate.main([*run, *shared, *drawn, "--out", str(target)])
    alike = args.out / "realism.json"
    if args.sim is not None and args.real is not None and (args.force or not alike.exists()):
        realism.main(["--sim", str(args.sim), "--real", str(args.real), "--out", str(plots)])
        shutil.move(plots / "realism.json", alike)
    tables = args.out / "realism-tables.json"
    if args.tables is not None and (args.force or not tables.exists()):
        realism.main(["--tables", str(args.tables), "--out", str(args.out)])
    if args.runs:
        plot_learning(args.runs, plots / "learning.png")
    figures = {path.stem: _read(path) for path in sorted(args.out.glob("*.json"))}
    for document in args.docs:
        text = document.read_text(encoding="utf-8")
        document.write_text(fill(text, figures), encoding="utf-8")
        print(f"{document}: tables {', '.join(TABLES)}")
    if args.images is not None:
        args.images.mkdir(parents=True, exist_ok=True)
        for path in sorted(plots.glob("*.png")):
            shutil.copy2(path, args.images / path.name)
    return 0
