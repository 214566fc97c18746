"""What each part of the model is worth: variants of one recipe on the same nights, for the same time.

`python -m eegvlm_train ablate NIGHTS OUT --minutes 8 --at-once 6 --real FOLDER`: trains the vision networks
of every variant, then its language model, then evaluates it on simulated validation nights and on real ones.
Variants that see alike share their vision networks. Nights are read once; `--at-once` variants run side by
side in processes, which then all have the same share of the machine. What is done is not done again, and
`OUT/ablation.json` holds the figures of all variants.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml

from eegvlm_rt.files import claim_folder

from ..data.labels import with_intended
from ..data.nightset import NightSet, load_nights
from ..outputs import add_overwrite
from ..settings import LanguageSettings, RunSettings, VisionSettings, make_settings

__all__ = ["Plan", "Variant", "main", "read_plan", "run_plan"]

_DONE = "done.json"
_KEPT = ("n", "accuracy", "kappa", "macro_f1", "ece")
_SHARES = {"vision": 0.3, "language": 0.45}


@dataclass(frozen=True, slots=True)
class Variant:
    """A name in the table, the settings of its two trainings, and the ways it is asked."""

    name: str
    vision: VisionSettings
    language: LanguageSettings
    modes: tuple[str, ...] = ("head", "direct", "cot")


@dataclass(frozen=True, slots=True)
class Plan:
    """The variants of a recipe; `limit` simulated validation epochs are evaluated.

    `eyes` names the vision settings that variants share: by the first variant that has them.
    """

    variants: tuple[Variant, ...]
    limit: int = 300
    eyes: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        first: dict[VisionSettings, str] = {}
        for one in self.variants:
            first.setdefault(one.vision, one.name)
        object.__setattr__(self, "eyes", {one.name: first[one.vision] for one in self.variants})


@dataclass(frozen=True, slots=True)
class Nights:
    """Training nights by kind of label, and validation nights."""

    train: Mapping[str, NightSet]
    held_out: NightSet


def read_plan(recipe: str, overrides: Mapping[str, Any] | None = None) -> Plan:
    """The shipped recipe of this name, or a YAML file: `vision` and `language` settings of every variant, and
    under `variants` what each has of its own. `overrides` replace settings of both trainings.

    Raises ValueError for a setting that does not exist and for variants that share a name with a folder.
    """
    shipped = files("eegvlm_train").joinpath("recipes", f"{recipe}.yaml")
    text = shipped.read_text() if shipped.is_file() else Path(recipe).read_text(encoding="utf-8")
    fields = yaml.safe_load(text)
    more = dict(overrides or {})
    variants = []
    for name, own in fields["variants"].items():
        own_fields = own or {}
        unknown = set(own_fields) - {"vision", "language", "modes"}
        if unknown or name.startswith("vision-"):
            raise ValueError(f"variants.{name}: {sorted(unknown)}; give vision, language or modes")
        variants.append(
            Variant(
                name,
                make_settings(VisionSettings, fields["vision"] | own_fields.get("vision", {}) | more),
                make_settings(LanguageSettings, fields["language"] | own_fields.get("language", {}) | more),
                tuple(own_fields.get("modes", ("head", "direct", "cot"))),
            )
        )
    return Plan(tuple(variants), int(fields.get("limit", 300)))


Job = tuple[str, Callable[[], None]]


def run_plan(
    plan: Plan,
    data: Path,
    out: Path,
    minutes: float,
    *,
    real: Path | None = None,
    at_once: int = 1,
    max_nights: int | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train and evaluate what is missing in `out`; the figures of all variants, also in `ablation.json`.

    Trainings get 30 % (vision) and 45 % (language) of `minutes`, each kind shared alike by its runs; the
    rest is for evaluation. Raises RuntimeError naming the runs that failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    train = load_nights(data, "train", max_nights=max_nights)
    labels = {one.vision.labels for one in plan.variants} | {one.language.labels for one in plan.variants}
    by_label = {"teacher": train} | ({"intended": with_intended(train, data)} if "intended" in labels else {})
    nights = Nights(by_label, load_nights(data, "validation", max_nights=max_nights))
    eyes = {plan.eyes[one.name]: one for one in reversed(plan.variants)}
    share = {
        kind: _SHARES[kind] * minutes / math.ceil(count / at_once)
        for kind, count in (("vision", len(eyes)), ("language", len(plan.variants)))
    }
    vision = [
        (f"vision-{name}", partial(_see, one, nights, out / f"vision-{name}", share["vision"], threads))
        for name, one in sorted(eyes.items())
    ]
    language = [
        (
            one.name,
            partial(
                _speak,
                one,
                nights,
                out / f"vision-{plan.eyes[one.name]}",
                out / one.name,
                share["language"],
                threads,
            ),
        )
        for one in plan.variants
    ]
    _side_by_side([job for job in vision if not (out / job[0] / _DONE).exists()], at_once, out)
    _side_by_side([job for job in language if not (out / job[0] / _DONE).exists()], at_once, out)
    sources = {"sim": f"sim:{data}"} | ({"real": f"real:{real}"} if real is not None else {})
    jobs: list[Job] = [
        (f"{one.name}-{name}", partial(_ask, one, out, name, source, plan.limit, threads))
        for one in plan.variants
        for name, source in sources.items()
        if not _figures_path(out, one, name).exists()
    ]
    _side_by_side(jobs, at_once, out)
    result = {"minutes": minutes, "at_once": at_once, "variants": _collect(plan, out, list(sources))}
    (out / "ablation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def _side_by_side(jobs: Sequence[Job], at_once: int, out: Path) -> None:
    """Run jobs, in order in this process, or several in processes that share its memory."""
    if at_once == 1:
        for _, work in jobs:
            work()
        return
    context = multiprocessing.get_context("fork")
    waiting = list(jobs)
    # Each process has a place of its own, and the places share out the GPUs.
    free = list(range(at_once))
    running: dict[int, BaseProcess] = {}
    failed: list[str] = []
    while waiting or running:
        while waiting and free:
            name, work = waiting.pop(0)
            place = free.pop(0)
            process: BaseProcess = context.Process(
                target=_logged, args=(work, out / f"{name}.log", place), name=name
            )
            process.start()
            running[place] = process
        next(iter(running.values())).join(0.2)
        for place, process in [pair for pair in running.items() if pair[1].exitcode is not None]:
            del running[place]
            free.append(place)
            print(f"{process.name}: {'done' if process.exitcode == 0 else 'failed'}", flush=True)
            if process.exitcode != 0:
                failed.append(process.name)
    if failed:
        raise RuntimeError(f"{', '.join(failed)}: failed; see {out}/{failed[0]}.log")


def _logged(work: Callable[[], None], log: Path, place: int) -> None:
    import torch

    with log.open("a", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        # The parent never uses a GPU, so a forked process may choose its own.
        if torch.cuda.is_available():
            torch.cuda.set_device(place % torch.cuda.device_count())
        work()


def _see(one: Variant, nights: Nights, folder: Path, minutes: float, threads: int | None) -> None:
    from .arguments import prepare_run
    from .vision import train_vision

    settings = make_settings(VisionSettings, {"max_minutes": minutes}, one.vision)
    prepare_run(settings.seed, threads)
    train_vision(settings, nights.train[settings.labels], nights.held_out, folder, resume=True)
    _mark(folder, settings)


def _speak(
    one: Variant, nights: Nights, vision: Path, folder: Path, minutes: float, threads: int | None
) -> None:
    from ..model.assembly import Parts
    from .arguments import prepare_run
    from .language import train_language

    settings = make_settings(LanguageSettings, {"max_minutes": minutes}, one.language)
    prepare_run(settings.seed, threads)
    parts = Parts(vision, vision)
    train_language(settings, nights.train[settings.labels], nights.held_out, parts, folder, resume=True)
    _mark(folder, settings)


def _mark(folder: Path, settings: RunSettings) -> None:
    """Leave what the run came to. A run that was stopped early leaves none and goes on next time."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = {name: value for name, value in rows[-1].items() if name != "kind"}
    if last["progress"] < 1.0:
        raise RuntimeError(f"{folder.name}: stopped at {last['progress']:.0%} of its time")
    figures = {"pictures": last["step"] * settings.batch_size, "validation": last}
    (folder / _DONE).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _figures_path(out: Path, one: Variant, name: str) -> Path:
    return out / one.name / f"evaluation-{name}.json"


def _ask(one: Variant, out: Path, name: str, source: str, limit: int, threads: int | None) -> None:
    from ..evaluation import evaluate

    arguments = [str(out / one.name), "--data", source, "--mode", *one.modes]
    arguments += ["--out", str(_figures_path(out, one, name))]
    arguments += ["--limit", str(limit)] if name == "sim" else []
    evaluate.main(arguments + ([f"--threads={threads}"] if threads else []))


def _collect(plan: Plan, out: Path, sources: Sequence[str]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for one in plan.variants:
        row: dict[str, Any] = {}
        for kind, folder in (("vision", f"vision-{plan.eyes[one.name]}"), ("language", one.name)):
            row[kind] = json.loads((out / folder / _DONE).read_text(encoding="utf-8"))
        for name in sources:
            figures = json.loads(_figures_path(out, one, name).read_text(encoding="utf-8"))
            row[name] = {
                mode: {
                    **{
                        key: rows["rows"]["all"][key] for key in ("n", "accuracy", "kappa", "macro_f1", "ece")
                    },
                    "kappa_interval": rows["interval"]["kappa"],
                }
                for mode, rows in figures["modes"].items()
            }
            if "faithfulness" in figures:
                row[name]["claims"] = {
                    key: figures["faithfulness"][key] for key in ("claims", "supported", "strict")
                }
        results[one.name] = row
    return results


def table(result: Mapping[str, Any]) -> str:
    """Markdown: kappa of each mode and the share of supported claims, by variant and kind of night."""
    modes = ("head", "direct", "cot")
    sources = [name for name in ("sim", "real") if any(name in row for row in result["variants"].values())]
    head = ["variant", *(f"{mode}, {name}" for name in sources for mode in (*modes, "claims"))]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for name, row in result["variants"].items():
        cells = []
        for source in sources:
            cells += [_cell(row[source].get(mode, {}).get("kappa")) for mode in modes]
            cells.append(_cell(row[source].get("claims", {}).get("supported")))
        lines.append("| " + " | ".join([f"`{name}`", *cells]) + " |")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train ablate", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of labelled, measured nights")
    parser.add_argument("out", type=Path, help="folder of the runs and of ablation.json")
    parser.add_argument("--recipe", default="ablation", help="shipped recipe, or a YAML file")
    parser.add_argument("--minutes", type=float, required=True, help="time for everything")
    parser.add_argument("--at-once", type=int, default=1, help="runs side by side, in processes")
    parser.add_argument("--real", type=Path, help="folder of real scored recordings")
    parser.add_argument("--max-nights", type=int, help="use at most this many nights of each split")
    parser.add_argument("--threads", type=int, help="CPU threads for torch, in each run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of both trainings"
    )
    add_overwrite(parser)
    args = parser.parse_args(argv)
    claim_folder(args.out, "ablate", inputs=[args.data, args.real], overwrite=args.overwrite)
    pairs = [pair.partition("=") for pair in args.set]
    plan = read_plan(args.recipe, {name: yaml.safe_load(value) for name, _, value in pairs})
    result = run_plan(
        plan,
        args.data,
        args.out,
        args.minutes,
        real=args.real,
        at_once=args.at_once,
        max_nights=args.max_nights,
        threads=args.threads,
    )
    print(table(result))
    return 0
