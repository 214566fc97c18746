"""The benchmark of the GPU backend in host memory: its comparison, and the graph it makes of a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cuda import command
from benchmarks.cuda.busy import gpu_in_use
from benchmarks.cuda.equality import agreement, by_layer, same
from benchmarks.cuda.half_bundle import PRECISION, with_half_fused
from benchmarks.cuda.int8_bundle import with_int8_tower
from benchmarks.cuda.side_by_side import main
from benchmarks.cuda.subjects import Subject
from benchmarks.gpu_llm.graphs import config_of, write
from benchmarks.performance_page import page
from eegvlm_rt.bundle.find import find_bundle
from eegvlm_rt.bundle.opening import Bundle
from eegvlm_rt.simulator import simulate_night

SIGNAL = simulate_night(2, hours=0.1).samples_uv[:18_000]


def test_the_half_precision_graph_answers_like_the_bundles_own(tmp_path: Path) -> None:
    made = with_half_fused(Bundle.open(find_bundle("nano")), tmp_path / "bundle")
    ours, _ = Subject("here", "host", PRECISION).load(made.path, threads=2)
    theirs, _ = Subject("cpu", "cpu", "int4").load(made.path, threads=1)
    found, expected = (list(s.predict_recording(SIGNAL, sfreq=100, mode="cot")) for s in (ours, theirs))
    row = agreement(found, expected)
    assert row["epochs"] == 6
    assert row["stages"] == 1.0
    assert row["largest_shift"] < 0.02
    assert row["text_similarity"] > 0.9
    assert same(found, list(ours.predict_recording(SIGNAL, sfreq=100, mode="cot")))
    layers = by_layer(ours, theirs, np.zeros((1, 3, 336, 336), np.float32))
    assert layers["visual_tokens"] < 1e-5
    assert layers["logits"] < 0.02


def test_texts_side_by_side_take_fewer_runs_and_answer_alike(tmp_path: Path) -> None:
    path = tmp_path / "texts-here.json"
    assert main(["--texts", "3", "--night", "3", "--json", str(path)]) == 0
    row = json.loads(path.read_text(encoding="utf-8"))["subjects"]["3 texts"]
    assert row["counts"]["epochs"] == 3
    assert 4 < row["counts"]["runs_per_epoch"] < 12
    assert 0.5 < row["counts"]["useful_share"] <= 1
    assert row["direct"]["stages"] == row["cot"]["stages"] == row["cot"]["texts"] == 1
    assert f"| 3 texts | {row['counts']['runs_per_epoch']:.2f} |" in page(tmp_path)


def test_another_stage_and_another_text_are_counted() -> None:
    from eegvlm_rt.stager import Stager

    found = list(Stager.load("nano").predict_recording(SIGNAL, sfreq=100, mode="cot"))
    changed = [replace(found[0], rationale_text="something else"), *found[1:]]
    assert agreement(changed, found)["texts"] == 5 / 6
    assert not same(changed, found)


def test_parts_are_measured_alone(tmp_path: Path) -> None:
    path = tmp_path / "cuda-here.json"
    sizes = "--epochs 2 --latency 1 --night 4 --texts 2 --processes 1 --busy-s 0.5"
    arguments = ["--on", "host", "--only", "busy", "small", *sizes.split(), "--json", str(path)]
    assert command.main(arguments) == 0
    results = json.loads(path.read_text(encoding="utf-8"))
    name = "gpu int4, 2 texts"
    here = f"{name}, head and memory on the CPU"
    assert results["many_nights"][f"cot, 1, {here}"]["epochs"] > 0
    row = results["equality"]["cot"][f"{here} beside {name}"]
    assert row["stages"] == row["texts"] == 1
    assert results["subjects"][here]["night"]["head"]["epochs"] == 4
    assert f"| cot, {here} | 1 |" in page(tmp_path)


@pytest.mark.parametrize(("visible", "name"), [(None, "0"), ("", "0"), ("1", "1"), ("3, 2", "3")])
def test_only_the_gpu_in_use_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, name: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_in_use() == name


def test_a_tower_in_8_bits_is_made_beside_the_bundles_own(tmp_path: Path) -> None:
    made = with_int8_tower(Bundle.open(find_bundle("nano")), tmp_path / "bundle")
    ours, _ = Subject("here", "host", "int4", "int8").load(made.path, threads=1)
    whole, _ = Subject("here", "host", "int4").load(made.path, threads=1)
    few = SIGNAL[:6000]
    found, expected = (list(s.predict_recording(few, sfreq=100, mode="direct")) for s in (ours, whole))
    assert 0 < agreement(found, expected)["largest_shift"] < 0.05


def test_random_weights_keep_the_stream_in_half_precision(tmp_path: Path) -> None:
    facts = write("tiny", "int4_half_fused", 128, tmp_path / "llm.onnx")
    assert facts["weight_bytes"] > config_of("tiny").vocab_size * 256 * 2
    assert (tmp_path / "llm.onnx.data").is_file()
