"""Texts of many epochs in one run, counted and timed on the CPU, where no GPU is at hand.

    python -m benchmarks.cuda.side_by_side [--texts 1 8 32 128] [--night 512] [--json FILE]

The code is that of `--backend cuda`, in host memory, by ONNX Runtime's CPU provider. How many runs a text
takes does not depend on the device; times do, and say nothing of a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from eegvlm_rt.backends.on_device.texts import bytes_of_text
from eegvlm_rt.bundle import Bundle, find_bundle
from eegvlm_rt.memory.course import Course
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.sources.rows import rows_of

from .._common import bundle_facts, command_line, environment, write_json
from .equality import agreement
from .subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.stager import Stager

__all__ = ["main", "side_by_side"]

MODES = ("direct", "cot")


def side_by_side(stager: Stager, signal: NDArray[Any], texts: int) -> dict[str, Any]:
    """Runs of the language model an epoch behind the beginnings, the share of their tokens that a text asked
    for (the rest is of texts that were complete before others), and milliseconds of a beginning and of a run.

    Rationales of whole groups of `texts` epochs, each with its night in mind.
    """
    pipeline = stager._pipeline
    decoder = pipeline.load_decoder()
    course = Course(pipeline.memory, pipeline.remember)
    rows = rows_of(signal, pipeline.preprocessing, channel=None, sfreq=100, unit=None)
    looks = [pipeline.see([row])[0] for row in rows]
    nights = [course.remember(look) for look in looks]
    groups = [range(start, start + texts) for start in range(0, len(looks) - texts + 1, texts)]
    runs = places = useful = 0
    beginning_s = reasoning_s = 0.0
    for group in groups:
        begin = time.perf_counter()
        beginnings = []
        for i in group:
            tokens, night = looks[i].visual_tokens, nights[i]
            assert tokens is not None
            beginnings.append(decoder.beginning(tokens, None if night is None else night.token))
        lockstep = decoder.read_many(beginnings)
        beginning_s += time.perf_counter() - begin
        begin = time.perf_counter()
        contexts = [None if night is None else night.context for night in (nights[i] for i in group)]
        decoder.reason_many(lockstep, contexts)
        reasoning_s += time.perf_counter() - begin
        runs, places, useful = runs + lockstep.runs, places + lockstep.places, useful + lockstep.useful
    epochs = max(1, texts * len(groups))
    return {
        "epochs": epochs,
        "texts": texts,
        "runs_per_epoch": runs / epochs,
        "useful_share": useful / max(1, places),
        "beginning_ms_per_epoch": 1e3 * beginning_s / epochs,
        "run_ms": 1e3 * reasoning_s / max(1, runs),
    }


def measure(bundle: Bundle, texts: Sequence[int], epochs: int) -> dict[str, Any]:
    """Every number of texts beside one epoch at a time, on the same graph and on the default one."""
    signal = simulate_night(7, hours=epochs / 120).samples_uv
    expected: dict[str, list[StagePrediction]] = {}
    rows: dict[str, Any] = {}
    alone = [Subject("one epoch at a time", "cpu", "int4"), Subject("the default", "cpu", "int4_fused")]
    together = [Subject(f"{n} text{'s' * (n > 1)}", "host", "int4", texts=n) for n in texts]
    for subject in (*alone, *together):
        stager, _ = subject.load(bundle.path, threads=1)
        row = rows[subject.name] = {"name": subject.name, "texts": subject.texts, "on": subject.where}
        for mode in MODES:
            begin = time.process_time()
            answers = list(stager.predict_recording(signal, sfreq=100, mode=mode))
            row[mode] = {"processor_ms_per_epoch": 1e3 * (time.process_time() - begin) / len(answers)}
            row[mode] |= agreement(answers, expected.setdefault(mode, answers))
            row[mode]["runs_of_a_text"] = float(np.mean([answer.timing.steps for answer in answers]))
        if subject in together:
            row["counts"] = side_by_side(stager, signal, subject.texts)
            tokens = stager._pipeline.load_decoder().longest_text(bundle.manifest.visual_tokens)
            row["bytes_per_text"] = bytes_of_text(bundle.manifest.lm, tokens, np.dtype(np.float32))
        print(row, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cuda.side_by_side",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", default="nano", help="name or folder of a bundle that holds int4")
    parser.add_argument("--texts", type=int, nargs="+", default=[1, 8, 32, 128], help="texts of one run")
    parser.add_argument("--night", type=int, default=512, help="epochs of the night")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the figures go")
    options = parser.parse_args(arguments)
    if not 1 <= min(options.texts) <= max(options.texts) <= min(256, options.night):
        parser.error("--texts, --night: give 1 to 256 texts, and as many epochs at least")
    bundle = Bundle.open(find_bundle(options.bundle))
    results = {
        "benchmark": "cuda.side_by_side",
        "environment": environment(),
        "onnxruntime": ort.__version__,
        "command": command_line("cuda.side_by_side", arguments),
        "bundle": bundle_facts(bundle),
        "night": options.night,
        "subjects": measure(bundle, options.texts, options.night),
    }
    if options.json is not None:
        write_json(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
