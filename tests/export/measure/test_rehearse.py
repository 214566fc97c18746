"""A large graph is written weight by weight and decodes; every way to 4 bits is compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from eegvlm_export.measure.compare import compare
from eegvlm_export.measure.rehearse import RandomWeights, rehearse
from eegvlm_export.weights.checkpoint import Checkpoint
from transformers import LlamaConfig

SHAPE = LlamaConfig(
    vocab_size=96,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
)


@pytest.mark.parametrize("precision", ["int4", "int4_fused", "int4_half"])
def test_a_random_network_is_written_opened_and_decodes(precision: str, tmp_path: Path) -> None:
    figures = rehearse(SHAPE, tmp_path, precision=precision, method="rtn", block=32, tokens=3)
    assert (
        figures["parameters"]
        == sum((64 * 128 + 64 * 64 + 64 * 256 + 128 * 64 + 128) * 3 // 3 for _ in range(3)) + 64 + 64 * 96
    )
    assert figures["tokens_a_second"] > 0


def test_random_weights_are_the_same_every_time() -> None:
    weights = RandomWeights(SHAPE)
    name = "model.layers.1.self_attn.k_proj.weight"
    assert weights.tensor(name).shape == (32, 64)
    assert (weights.tensor(name) == RandomWeights(SHAPE).tensor(name)).all()


@pytest.mark.usefixtures("short_simulated_nights")
def test_methods_are_compared_with_the_checkpoint(checkpoint: Path) -> None:
    rows = compare(Checkpoint.load(checkpoint), ("rtn", "gptq", "hqq"), epochs=6, reasonings=2, threads=1)
    assert [row.method for row in rows] == ["fp32", "rtn", "gptq", "hqq"]
    assert (rows[0].agreement, rows[0].shift) == (1.0, 0.0)
    assert all(0 <= row.agreement <= 1 and row.likelihood < 0 and row.megabytes > 0 for row in rows[1:])
