"""Residual sums in one operator with the norms behind them: the same logits, fewer operators."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from eegvlm_export.graphs.language import Attention, WeightSlot, language_skeleton
from eegvlm_export.graphs.onnx_files import save
from eegvlm_export.quantize.blockwise import BlockQuantized
from eegvlm_export.quantize.fill import FUSED_OPERATORS, fill
from transformers import LlamaConfig

from eegvlm_rt.backends.onnx_gqa import FusedLanguageModel
from eegvlm_rt.bundle import LanguageModelShape

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LAYERS = 3
CONFIG = LlamaConfig(
    hidden_size=128,
    intermediate_size=192,
    num_hidden_layers=LAYERS,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=320,
    max_position_embeddings=256,
)


def weight(slot: WeightSlot) -> BlockQuantized | NDArray[np.float32]:
    """The same for every graph, whatever the order in which weights are asked for."""
    rng = np.random.default_rng(sum(slot.name.encode()))
    if not slot.is_matrix:
        return rng.uniform(0.5, 1.5, slot.shape).astype(np.float32)
    if slot.layer is None:
        return (rng.standard_normal(slot.shape) / 8).astype(np.float32)
    rows, columns = slot.shape
    scales = rng.uniform(0.01, 0.02, (rows // 32, columns)).astype(np.float32)
    return BlockQuantized(rng.integers(-8, 8, slot.shape, dtype=np.int8), scales, 0.0)


def graph_of(attention: Attention, *, half: bool) -> onnx.ModelProto:
    """A graph with `weight`s in 4 bits."""
    graph = language_skeleton(CONFIG, attention, half=half)
    fill(graph, CONFIG, None, packed=weight, typed=half)  # type: ignore[arg-type]
    return graph


def model_of(graph: onnx.ModelProto) -> FusedLanguageModel:
    """The graph in the runtime, on the CPU."""
    table = np.random.default_rng(3).standard_normal((CONFIG.vocab_size, CONFIG.hidden_size))
    shape = LanguageModelShape(LAYERS, 2, 32, CONFIG.vocab_size)
    return FusedLanguageModel(graph.SerializeToString(), table.astype(np.float32), shape)


def logits_of(lm: FusedLanguageModel) -> NDArray[np.float32]:
    """Logits of a text that is read in three steps."""
    ids, cache, rows = np.random.default_rng(4).integers(0, 320, 50).tolist(), None, []
    for part in (ids[:40], ids[40:41], ids[41:]):
        logits, cache = lm.step(lm.embed(part), cache)
        rows.append(logits)
    return np.concatenate(rows)


@pytest.mark.parametrize(("half", "usual"), [(False, 1e-6), (True, 2e-3)])
def test_the_logits_are_those_of_separate_sums_and_norms(half: bool, usual: float) -> None:
    plain, merged = (logits_of(model_of(graph_of(kind, half=half))) for kind in ("fused", "merged"))
    off = np.abs(merged - plain) / np.abs(plain).max()
    # Activations are rounded to 8 bits on the CPU: where one falls on the other side, its row is off by more.
    assert np.median(off) < usual
    assert off.max() < 0.02


@pytest.mark.parametrize("half", [False, True])
def test_a_layer_has_one_operator_for_each_sum_and_norm(half: bool, tmp_path: Path) -> None:
    graph = graph_of("merged", half=half)
    save(graph, tmp_path / "llm.onnx", allowed=FUSED_OPERATORS)
    counts = Counter(node.op_type for node in graph.graph.node)
    assert counts["SkipSimplifiedLayerNormalization"] == 2 * LAYERS
    # One norm is left alone: nothing was added to the embeddings yet. Types change around it, at the
    # embeddings and at the logits.
    assert counts["Sqrt"] == counts["Pow"] == 1
    assert counts["Cast"] <= 4


def test_the_weight_of_a_merged_norm_must_fit_half_precision() -> None:
    graph = language_skeleton(CONFIG, "merged", half=True)

    def large(slot: WeightSlot) -> BlockQuantized | NDArray[np.float32]:
        return weight(slot) if slot.is_matrix else np.full(slot.shape, 1e6, np.float32)

    with pytest.raises(ValueError, match=r"layers\.0\.mlp_norm\.weight: 1e\+06; half precision"):
        fill(graph, CONFIG, None, packed=large, typed=True)  # type: ignore[arg-type]
