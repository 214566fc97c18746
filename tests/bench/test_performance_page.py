"""The performance page is what its command makes of the kept results; its model keeps to its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eegvlm_train.model import preset

from benchmarks._bandwidth_model import DEVICES, PUBLISHED, SHAPES, Decoder, bandwidth_share, predict, rate
from benchmarks.paper_size import main as measure
from benchmarks.performance_page import ROOT, main, page


def test_the_page_in_the_documentation_is_what_the_command_writes(tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path / "page.md")]) == 0
    written = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert written == (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_a_run_that_is_kept_gets_its_section(tmp_path: Path) -> None:
    path = tmp_path / "paper-size-here.json"
    quick = ["--repeats", "1", "--rationales", "1", "--rationale-tokens", "2", "--tokens", "2"]
    measure(
        ["--device", "cpu", "--sizes", "nano", "--dtype", "float32", "--no-nf4", *quick, "--json", str(path)]
    )
    found = json.loads(path.read_text(encoding="utf-8"))
    model = found["models"]["nano-float32"]
    text = page(tmp_path)
    assert f"| nano float32 | free rationale | {model['answers']['rationale_ms']['p50']:,.1f} |" in text
    assert "| nano float32 | prefill of 208 tokens, merged 2:1 |" in text
    assert "CUDA renderer" not in text
    found["failed"] = ["13b nf4 answers: OutOfMemoryError: no room"]
    path.write_text(json.dumps(found), encoding="utf-8")
    assert "`13b nf4 answers: OutOfMemoryError: no room`" in page(tmp_path)


def test_graphs_of_equal_weights_and_times_are_as_near_to_the_floor(tmp_path: Path) -> None:
    """Also the last graph of a run that ended before it wrote the floor."""
    figures = ROOT / "benchmarks" / "results" / "gpu-llm-7b-2-half-products-h200.json"
    (tmp_path / figures.name).write_bytes(figures.read_bytes())
    steps = page(tmp_path).split("of the floor |")[1].split("direct ms")[0]
    rows = [line.strip("| ").split(" | ") for line in steps.splitlines() if line.startswith("| fused")]
    assert [(row[3].split(" / ")[0], row[4]) for row in rows] == [("3.44", "30%"), ("3.44", "30%")]


def test_runs_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for path in (ROOT / "benchmarks" / "results").glob("gpu-llm-*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    sections = [line for line in page(tmp_path).splitlines() if line.startswith("All figures: ")]
    assert [line.split("gpu-llm-")[1].split("-h200")[0] for line in sections] == [
        "7b-1-beside-pytorch",
        "7b-2-half-products",
        "7b-3-all-graphs",
        "7b-4-merged",
        "13b",
    ]


def test_many_nights_stand_by_place_and_number_of_processes(tmp_path: Path) -> None:
    kept = ROOT / "benchmarks" / "results" / "cuda-busy-h200.json"
    (tmp_path / kept.name).write_bytes(kept.read_bytes())
    nights = json.loads(kept.read_text(encoding="utf-8"))["many_nights"]
    row = nights["cot, 16, gpu int4, 128 texts, head and memory on the CPU"]
    section = page(tmp_path).split("### `cot`, head and memory on the CPU")[1].split("###")[0]
    assert (
        f"| 16 | {row['epochs_per_s']:,.0f} | {row['nights_per_hour']:,.0f} | {row['gpu_busy']:.1%} |"
        in section
    )


def test_parts_of_the_gpu_are_compared_by_place(tmp_path: Path) -> None:
    kept = ROOT / "benchmarks" / "results" / "cuda-parts-h200.json"
    (tmp_path / kept.name).write_bytes(kept.read_bytes())
    text = page(tmp_path)
    assert "| head and memory on the CPU | 0.62 | 0.92 | 2.97 |" in text
    assert "| GPU, int8 tower beside CPU, int8 tower | cot | 100.0% | 0.058042 | 98.5% |" in text


def test_the_parts_of_a_layer_add_up_to_a_token(tmp_path: Path) -> None:
    """Within the scatter, to what the GPU took for a token of the whole model."""
    results = ROOT / "benchmarks" / "results"
    name = "gpu-operators-h200.json"
    (tmp_path / name).write_bytes((results / name).read_bytes())
    last = next(line for line in page(tmp_path).splitlines() if line.startswith("| 32 layers, last product"))
    one, _, _, seven = last.strip("| ").split(" | ")[1:]
    whole = json.loads((results / "gpu-llm-7b-4-merged-h200.json").read_text(encoding="utf-8"))
    gpu_ms = whole["models"]["merged, recorded"]["gpu_ms"]
    for us, tokens in ((one, "1"), (seven, "7")):
        assert int(us.replace(",", "")) / 1e3 == pytest.approx(gpu_ms[tokens]["p50"], rel=0.05)


def test_the_decoders_have_the_weights_of_their_configurations() -> None:
    config = preset("paper").text_config
    assert SHAPES["13b"] == Decoder(
        config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.vocab_size
    )
    assert SHAPES["13b"].layer_weights + 2 * SHAPES["13b"].head_weights == pytest.approx(13.0e9, rel=0.01)
    assert SHAPES["7b"].layer_weights + 2 * SHAPES["7b"].head_weights == pytest.approx(6.74e9, rel=0.01)


@pytest.mark.parametrize("figure", PUBLISHED, ids=lambda figure: f"{figure.device} {figure.model}")
def test_no_published_figure_reads_faster_than_its_device_can(figure) -> None:  # type: ignore[no-untyped-def]
    assert 0.0 < bandwidth_share(figure) < 1.0
    assert (rate(figure) is None) == (figure.prefill_ms is None)


def test_twice_the_bandwidth_halves_the_floor_and_a_longer_context_raises_it() -> None:
    shape = SHAPES["7b"]
    near, far = (predict("agx-orin", shape, 1216, context) for context in (0, 4096))
    assert near.token_ms[0] <= near.token_ms[1]
    assert far.token_ms[0] > near.token_ms[0]
    assert near.text_ms(10)[0] == pytest.approx(near.prefill_ms[0] + 10 * near.token_ms[0])
    llama = next(figure for figure in PUBLISHED if figure.model == "8B")
    floor_ms = llama.parameters * 1e9 * 4.5 / 8 / (DEVICES["agx-orin"].gb_per_s * 1e6)
    assert floor_ms / bandwidth_share(llama) == pytest.approx(llama.ms_per_token)


def test_a_device_nobody_published_prefill_for_is_refused() -> None:
    with pytest.raises(ValueError, match="'abacus' has no published"):
        predict("abacus", SHAPES["7b"], 1216, 0)
