"""Where TensorRT for RTX is installed, its parser takes every graph; it needs no GPU for that."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from eegvlm_export.bundle_files import write_language
from eegvlm_export.graphs.language import weight_slots
from eegvlm_export.measure.rehearse import RandomWeights
from eegvlm_export.measure.rehearse import main as rehearse_command
from eegvlm_export.quantize.blockwise import Bits, quantize_matmuls, store_half
from eegvlm_export.quantize.fill import export_language
from eegvlm_export.quantize.packing import PackedWeights
from eegvlm_export.quantize.tower_int8 import quantize_static8
from eegvlm_export.weights.reader import ModelWeights
from eegvlm_train.model import EegVlmForConditionalGeneration
from transformers import LlamaConfig

from eegvlm_rt.tensorrt import BuildOptions, TensorRT
from eegvlm_rt.tensorrt.plan_builder import build_plan
from eegvlm_rt.tensorrt.profiles import Range
from tests.export.tiny_models import tower_of

trt = pytest.importorskip("tensorrt_rtx")


def parsed(model: onnx.ModelProto) -> list[str]:
    """What the parser objects to."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    parser.parse(model.SerializeToString())
    return [parser.get_error(i).desc() for i in range(parser.num_errors)]


def test_towers_are_parsed(model: EegVlmForConditionalGeneration) -> None:
    tower = tower_of(model)
    noise = np.random.default_rng(0).standard_normal((2, 3, 112, 112)).astype(np.float32)
    quantized = quantize_static8(tower, [noise])
    for graph in (tower, quantized):
        assert parsed(graph) == []
        store_half(graph)
        assert parsed(graph) == []


@pytest.mark.parametrize("bits", [4, 8])
def test_language_models_are_parsed(model: EegVlmForConditionalGeneration, bits: Bits) -> None:
    graph = export_language(model.language_model)
    assert parsed(graph) == []
    quantized = copy.deepcopy(graph)
    quantize_matmuls(quantized, bits=bits, block=32, keep=frozenset({"logits"}))
    store_half(quantized)
    assert parsed(quantized) == []


def test_graphs_in_half_precision_are_parsed(model: EegVlmForConditionalGeneration, tmp_path: Path) -> None:
    assert parsed(tower_of(model, half=True)) == []
    lm = model.language_model
    packed = PackedWeights(tmp_path / "weights", "test", lm.config, ModelWeights(lm))
    write_language(lm.config, ModelWeights(lm), packed, "int4_half", tmp_path / "llm.onnx")
    assert parsed(onnx.load(tmp_path / "llm.onnx")) == []


def test_a_plan_keeps_weights_in_4_bits(tmp_path: Path) -> None:
    """What each layer adds to a plan: 4 bits a weight, 16 for every block's scale, and its kernels."""
    sizes = []
    for layers in (1, 2):
        config = LlamaConfig(
            vocab_size=64,
            hidden_size=512,
            intermediate_size=2048,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
        )
        weights = RandomWeights(config)
        packed = PackedWeights(tmp_path / "weights", "test", config, weights, method="rtn", block=128)
        graph = tmp_path / f"{layers}.onnx"
        write_language(config, weights, packed, "int4_half", graph)
        step = Range((1, 4, 0, 128), (1, 4, 64, 128), (1, 4, 255, 128))
        names = [f"past_key_values.{i}.{kind}" for i in range(layers) for kind in ("key", "value")]
        shapes = {
            "inputs_embeds": Range((1, 1, 512), (1, 1, 512), (1, 64, 512)),
            "position_ids": Range((1, 1), (1, 1), (1, 64)),
            **dict.fromkeys(names, step),
        }
        tensorrt = TensorRT.of(trt, "tensorrt_rtx")
        built = build_plan(tensorrt, graph, (shapes,), "8.6", BuildOptions(), part="llm", ahead=True)
        sizes.append(len(built.plan))
    count = sum(math.prod(slot.shape) for slot in weight_slots(config) if slot.is_matrix and slot.layer == 1)
    assert 4 < 8 * (sizes[1] - sizes[0]) / count < 6


def test_a_rehearsal_builds_the_plan_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--shape", "nano", "--layers", "1", "--precision", "int4_half", "--tokens", "2"]
    assert rehearse_command([*options, "--plan-for", "8.6", "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found == json.loads(capsys.readouterr().out)
    assert found["plan_mb"] > 0.5
    assert found["plan_builder"].startswith("tensorrt_rtx")


def test_the_parser_does_object(tiny_model: EegVlmForConditionalGeneration) -> None:
    graph = export_language(tiny_model.language_model)
    graph.graph.node[0].domain = "com.microsoft"
    graph.graph.node[0].op_type = "NoSuchOperator"
    assert parsed(graph)
