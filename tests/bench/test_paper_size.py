"""The benchmark of the paper's size, run through with nano's shapes on the CPU."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks._paper_answers import Effort
from benchmarks._paper_model import SIZES, build, clip_twice, merged
from benchmarks._record import Record
from benchmarks.paper_size import main

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ["--repeats", "1", "--rationales", "1", "--rationale-tokens", "2", "--tokens", "2"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_every_part_is_measured_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "paper.json"
    arguments = ["--device", "cpu", "--sizes", "nano", "--dtype", "float32", "--no-nf4", *QUICK]
    assert main([*arguments, "--json", str(path)]) == 0
    results = json.loads(path.read_text(encoding="utf-8"))
    assert results["failed"] == results["left_out"] == []
    assert results["command"].endswith(str(path))
    model = results["models"]["nano-float32"]
    assert model["agreement"]["cosine"] == pytest.approx(1.0, abs=1e-5)
    assert model["agreement"]["finite"]
    tokens = [model["prefill"][f"merge_{n}"]["tokens"] for n in (1, 2, 4)]
    assert tokens == [288 + 64, 144 + 64, 72 + 64]
    assert model["memory"]["weight_bytes"]["language_model"] == 3_049_920 * 4
    assert model["memory"]["kv_bytes_per_token"] == 2 * 6 * 192 * 4
    assert set(model["runs"]) == {"1", "6", "7"}
    for name in ("head_ms", "direct_ms", "direct_merge_2_ms", "direct_merge_4_ms", "cot_ms", "rationale_ms"):
        assert model["answers"][name]["p99"] >= model["answers"][name]["p50"] > 0
    assert "decode_eager" in capsys.readouterr().out


def test_a_part_that_fails_is_reported_and_the_next_is_measured(tmp_path: Path) -> None:
    record = Record(tmp_path / "r.json", max_seconds=60.0)
    place: dict[str, object] = {"name": "thing"}
    record.part(place, "first", lambda: 1 // 0)
    record.part(place, "second", lambda: 2)
    results = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert results["failed"] == ["thing first: ZeroDivisionError: integer division or modulo by zero"]
    assert place == {"name": "thing", "second": 2}


def test_what_would_start_too_late_is_left_out_and_the_file_says_so(tmp_path: Path) -> None:
    record = Record(tmp_path / "r.json", max_seconds=-1.0)
    assert record.part({"name": "13b"}, "tower", lambda: 1) is None
    results = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert results["left_out"] == ["13b tower"]


def test_a_rationale_along_the_grammar_reads_all_its_tokens() -> None:
    chunks = Effort(cot_tokens=73, cot_runs=12).chunks()
    assert (sum(chunks), len(chunks), set(chunks)) == (73, 12, {6, 7})


@torch.inference_mode()
def test_running_the_tower_twice_gives_the_same_tokens_and_merging_averages_patches() -> None:
    model = build("nano", "cpu", torch.float32)
    pixels = torch.rand(1, 3, 336, 336, generator=torch.Generator().manual_seed(1))
    once, twice = merged(model, pixels, 1), clip_twice(model, pixels)
    torch.testing.assert_close(once, twice)
    torch.testing.assert_close(once[1], model.visual(pixels).visual_tokens)
    low = model.low_level(pixels)
    _, tokens = merged(model, pixels, 2)
    below = (low[:, 0] + low[:, 12]) / 2
    torch.testing.assert_close(tokens[:, 0], model.projector(below))
    _, tokens = merged(model, pixels, 4)
    block = (low[:, 0] + low[:, 1] + low[:, 12] + low[:, 13]) / 4
    torch.testing.assert_close(tokens[:, 0], model.projector(block))


def test_the_shapes_are_those_of_llava(capsys: pytest.CaptureFixture[str]) -> None:
    shapes = {name: SIZES[name]().text_config for name in ("7b", "13b")}
    found = {
        n: (c.hidden_size, c.num_hidden_layers, c.intermediate_size, c.head_dim) for n, c in shapes.items()
    }
    assert found == {"7b": (4096, 32, 11008, 128), "13b": (5120, 40, 13824, 128)}
    with pytest.raises(SystemExit):
        main(["--tokens", "0"])
    assert "give at least 1" in capsys.readouterr().err
