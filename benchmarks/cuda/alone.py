"""Parts of the benchmark that can be measured alone."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eegvlm_rt.bundle import Bundle, find_bundle
from eegvlm_rt.simulator import simulate_night

from .._common import bundle_facts
from .int8_bundle import with_int8_tower
from .measures import (
    EPOCH_SAMPLES,
    MODES,
    compared,
    gpu_facts,
    latency,
    many_nights,
    night,
    timed_into,
    together,
)
from .subjects import Subject

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.stager import Stager

    from .._record import Record

__all__ = ["PARTS", "begin_alone"]


def begin_alone(record: Record, options: argparse.Namespace) -> None:
    """What single parts say of the bundle and the GPU."""
    record.results["bundle"] = bundle_facts(Bundle.open(find_bundle(options.bundle)))
    record.results["subjects"] = {}
    if options.on == "cuda":
        record.part(record.results, "gpu", gpu_facts)


def busy(record: Record, options: argparse.Namespace, folder: Path) -> None:  # noqa: ARG001
    """Many nights side by side, all on the GPU, and with head and memory on the CPU."""
    subject = together(options)
    path = Bundle.open(find_bundle(options.bundle)).path
    many_nights(record, path, [subject, with_small_here(subject)], options.processes, options.busy_s)


def small(record: Record, options: argparse.Namespace, folder: Path) -> None:  # noqa: ARG001
    """Head and memory on the CPU, beside all on the GPU."""
    subject = together(options)
    path = Bundle.open(find_bundle(options.bundle)).path
    beside(record, options, path, subject, with_small_here(subject))


def with_small_here(subject: Subject) -> Subject:
    """The same, head and memory on the CPU."""
    return replace(subject, name=f"{subject.name}, head and memory on the CPU", small_here=True)


def int8(record: Record, options: argparse.Namespace, folder: Path) -> None:
    """The tower in 8 bits on the GPU, beside the same on the CPU, and beside the tower in half precision."""
    source = Bundle.open(find_bundle(options.bundle))
    bundle = record.part(
        record.results,
        "int8_bundle",
        lambda: str(with_int8_tower(source, folder / "int8", options.int8_tower).path),
    )
    if bundle is None:
        return
    path, subject = Path(bundle), together(options)
    eight = replace(subject, name=f"{subject.name}, int8 tower", tower="int8")
    cpu = Subject("cpu int4, int8 tower", "cpu", "int4", "int8")
    beside(record, options, path, cpu, eight, modes=("direct", "cot"))
    beside(record, options, path, subject, eight, modes=("direct", "cot"))


def beside(
    record: Record,
    options: argparse.Namespace,
    path: Path,
    expected: Subject,
    other: Subject,
    modes: Sequence[str] = MODES,
) -> None:
    """Equality of two subjects, one epoch alone, and whole nights."""
    hours = max(0.5, (options.epochs + 2) * 30 / 3600)
    signal = simulate_night(3, hours=hours).samples_uv[: options.epochs * EPOCH_SAMPLES]
    long = simulate_night(5, hours=options.night * 30 / 3600).samples_uv
    stagers: dict[str, Stager] = {}
    answers: dict[str, list[StagePrediction]] = {}
    for subject in (expected, other):
        row = record.results["subjects"].setdefault(subject.name, {"name": subject.name, **vars(subject)})

        def load(subject: Subject = subject) -> dict[str, float]:
            stager, seconds = subject.load(path, 4)
            stagers[subject.name] = stager
            begin = time.perf_counter()
            stager.predict_epoch(signal[:EPOCH_SAMPLES], 100.0, mode="cot")
            return {"load_s": seconds, "first_answer_s": time.perf_counter() - begin}

        if record.part(row, "start", load) is None:
            return
    ours, theirs = stagers[other.name], stagers[expected.name]
    for mode in modes:
        place = record.results.setdefault("equality", {}).setdefault(mode, {"name": f"equality {mode}"})
        run = partial(timed_into, answers, mode, theirs, signal, options.batch)
        if record.part(place, f"{expected.name} s", run) is not None:
            compare = partial(compared, ours, signal, mode, options, answers[mode])
            record.part(place, f"{other.name} beside {expected.name}", compare)
    for mode in reversed(modes):
        for subject in (expected, other):
            row = record.results["subjects"][subject.name]
            if mode in row.get("night", {}):
                continue
            place = row.setdefault("latency", {"name": f"{subject.name} latency"})
            record.part(place, mode, partial(latency, stagers[subject.name], signal, mode, options.latency))
            place = row.setdefault("night", {"name": f"{subject.name} night"})
            record.part(place, mode, partial(night, stagers[subject.name], long, mode, options.batch))


PARTS: Final = {"busy": busy, "small": small, "int8": int8}
