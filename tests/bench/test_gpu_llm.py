"""The benchmark of the 4-bit language model in host memory: its graphs, its operators, its table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.gpu_llm import command, products
from benchmarks.gpu_llm.operations import operations
from benchmarks.performance_page import page

if TYPE_CHECKING:
    from pathlib import Path


def test_operators_are_timed_by_the_rows_they_read(tmp_path: Path) -> None:
    path = tmp_path / "gpu-operators-here.json"
    only = ["out, 4 bits, blocks of 32, half", "sum and norm", "activation", "attention, as", "a sign"]
    arguments = ["--on", "host", "--size", "tiny", "--rows", "1", "7", "--only", *only]
    arguments += ["--config", "session.intra_op.allow_spinning=0", "--json", str(path)]
    assert products.main(arguments) == 0
    rows = json.loads(path.read_text(encoding="utf-8"))["operations"]
    assert len(rows) == 6
    assert set(rows["sum and norm, merged"]["us"]) == {"1", "7"}
    assert all(us["least"] > 0 for row in rows.values() for us in row["us"].values())
    assert "| sum and norm, merged | " in page(tmp_path)
    product = rows["out, 4 bits, blocks of 32, half products"]
    assert product["bytes"] == 256 * 256 * (0.5 + 2 / 32)


def test_an_entry_of_the_configuration_has_key_and_value() -> None:
    with pytest.raises(SystemExit):
        products.main(["--on", "host", "--config", "ep.cuda.fpa_intb_gemv_wave_aware"])


def test_products_by_the_kernels_for_half_precision_have_blocks_of_32() -> None:
    blocks = {"32" in operation.name for operation in operations("tiny") if operation.half_products}
    assert blocks == {True}
    graphs = {variant.block for variant in command.VARIANTS if variant.half_products}
    assert graphs == {32}


def test_a_variant_is_measured_and_shown(tmp_path: Path) -> None:
    name, path = "merged, recorded", tmp_path / "gpu-llm-here.json"
    others = [variant.name for variant in command.VARIANTS if variant.name not in (name, "fused")]
    arguments = ["--on", "host", "--size", "tiny", "--tokens", "2", "--rationales", "1", "--json", str(path)]
    assert command.main([*arguments, "--without", *others]) == 0
    results = json.loads(path.read_text(encoding="utf-8"))
    model = results["models"][name]
    assert model["graph"] in results["graphs"]
    assert (model["prefill"]["tokens"], model["prefill"]["runs"]) == (1216, 1)
    assert model["same_again"]
    # Half precision rounds a merged sum and norm otherwise.
    off = results["models"]["fused"]["logits_off_the_first"]
    assert max(off) < 0.01
    last = next(line for line in reversed(page(tmp_path).splitlines()) if line.startswith(f"| {name} |"))
    assert last.endswith(f" {model['prefill']['ms']['p50']:.1f} |")
