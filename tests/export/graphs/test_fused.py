"""Fused attention: the network's numbers from a shared buffer, in single precision and in 4 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from eegvlm_export.bundle_files import embedding_table, write_language
from eegvlm_export.graphs.language import head_dim, kv_heads
from eegvlm_export.quantize.packing import PackedWeights
from eegvlm_export.weights.reader import ModelWeights
from eegvlm_train.model import EegVlmForConditionalGeneration

from eegvlm_rt.backends.onnx_gqa import FusedLanguageModel
from eegvlm_rt.backends.onnx_lm import OnnxLanguageModel
from eegvlm_rt.bundle import LanguageModelShape
from eegvlm_rt.errors import BackendError

Lm = OnnxLanguageModel | FusedLanguageModel


def load(
    model: EegVlmForConditionalGeneration, folder: Path, precision: str, *, inline_bytes: int = 1 << 30
) -> Lm:
    lm = model.language_model
    config, weights = lm.config, ModelWeights(lm)
    packed = PackedWeights(folder / "weights", "test", config, weights)
    path = folder / f"{precision}.onnx"
    files = write_language(config, weights, packed, precision, path, inline_bytes=inline_bytes)
    shape = LanguageModelShape(
        config.num_hidden_layers, kv_heads(config), head_dim(config), config.vocab_size
    )
    kind = FusedLanguageModel if precision.endswith("_fused") else OnnxLanguageModel
    data = {file.name: file.read_bytes() for file in files}
    return kind(path.read_bytes(), embedding_table(weights, half=False), shape, data=data)


@pytest.fixture(scope="module")
def fused(model: EegVlmForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory) -> Lm:
    return load(model, tmp_path_factory.mktemp("fused"), "fp32_fused")


def tokens(n: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(4, 300, n).tolist()


def test_reading_in_steps_gives_the_networks_logits(model: EegVlmForConditionalGeneration, fused: Lm) -> None:
    ids = tokens(150)
    with torch.no_grad():
        expected = model.language_model(input_ids=torch.tensor([ids])).logits[0].numpy()
    cache, found = None, []
    for part in (ids[:90], ids[90:91], ids[91:100], ids[100:]):
        logits, cache = fused.step(fused.embed(part), cache)
        found.append(logits)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-3, atol=1e-3)


def test_two_texts_may_go_on_from_one_beginning(fused: Lm) -> None:
    start = fused.extend(fused.embed(tokens(120)))
    first, longer = fused.step(fused.embed(tokens(5, 1)), start)
    second, _ = fused.step(fused.embed(tokens(9, 2)), start)
    third, _ = fused.step(fused.embed(tokens(3, 3)), longer)
    alone = fused.extend(fused.embed(tokens(120)))
    np.testing.assert_array_equal(fused.step(fused.embed(tokens(9, 2)), alone)[0], second)
    whole = fused.extend(fused.embed(tokens(120)))
    again, whole = fused.step(fused.embed(tokens(5, 1)), whole)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(fused.step(fused.embed(tokens(3, 3)), whole)[0], third)


def test_a_text_outgrows_its_buffer(fused: Lm) -> None:
    ids = tokens(300)
    at_once = fused.step(fused.embed(ids))[0]
    cache = fused.extend(fused.embed(ids[:10]))
    for start in range(10, 300, 29):
        logits, cache = fused.step(fused.embed(ids[start : start + 29]), cache)
    np.testing.assert_allclose(logits[-1], at_once[-1], rtol=1e-3, atol=1e-3)


def test_going_on_with_the_newest_cache_copies_nothing(fused: Lm) -> None:
    cache = fused.extend(fused.embed(tokens(20)))
    longer = fused.extend(fused.embed(tokens(2)), cache)
    assert longer.room is cache.room  # type: ignore[attr-defined]
    other = fused.extend(fused.embed(tokens(2)), cache)
    assert other.room is not cache.room  # type: ignore[attr-defined]
    del longer
    third = fused.extend(fused.embed(tokens(2)), cache)
    assert third.room is cache.room  # type: ignore[attr-defined]


@pytest.mark.parametrize("inline_bytes", [1 << 30, 0])
def test_both_graphs_hold_the_same_4_bit_weights(
    tiny_model: EegVlmForConditionalGeneration, tmp_path: Path, inline_bytes: int
) -> None:
    plain = load(tiny_model, tmp_path, "int4", inline_bytes=inline_bytes)
    shared = load(tiny_model, tmp_path, "int4_fused", inline_bytes=inline_bytes)
    ids = tokens(60)
    a, b = (lm.step(lm.embed(ids))[0] for lm in (plain, shared))
    assert np.linalg.norm(a - b) < 0.01 * np.linalg.norm(a)
    graph = onnx.load(tmp_path / "int4_fused.onnx", load_external_data=False).graph
    kinds = [node.op_type for node in graph.node]
    assert (kinds.count("MatMulNBits"), kinds.count("GroupQueryAttention")) == (8, 2)
    assert (tmp_path / "int4_fused.onnx.data").exists() == (inline_bytes == 0)


def test_quantised_weights_are_made_once_and_gone_on_with(
    tiny_model: EegVlmForConditionalGeneration, tmp_path: Path
) -> None:
    load(tiny_model, tmp_path, "int4")
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "weights").iterdir()}
    first = (tmp_path / "int4.onnx").read_bytes()
    load(tiny_model, tmp_path, "int4")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "weights").iterdir()} == made
    assert (tmp_path / "int4.onnx").read_bytes() == first


def test_a_graph_of_the_other_kind_is_refused(
    tiny_model: EegVlmForConditionalGeneration, tmp_path: Path
) -> None:
    load(tiny_model, tmp_path, "fp32")
    (tmp_path / "fp32.onnx").rename(tmp_path / "fp32_fused.onnx")
    config = tiny_model.language_model.config
    shape = LanguageModelShape(2, kv_heads(config), head_dim(config), config.vocab_size)
    table = embedding_table(ModelWeights(tiny_model.language_model), half=False)
    with pytest.raises(BackendError, match="inputs"):
        FusedLanguageModel((tmp_path / "fp32_fused.onnx").read_bytes(), table, shape)
