"""Exported graphs give the network's numbers, hold standard operators only, and are the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from eegvlm_export.graphs.language import cache_names, head_dim, kv_heads
from eegvlm_export.graphs.onnx_files import GraphError, initializers, save
from eegvlm_export.graphs.tower import TOWER_OUTPUTS, export_tower
from eegvlm_export.quantize.fill import export_language
from eegvlm_train.model import EegVlmForConditionalGeneration
from eegvlm_train.model.cache import CACHE_ARGUMENT
from onnx import TensorProto, helper
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from tests.export.tiny_models import tower_of

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def pictures(n: int) -> torch.Tensor:
    return torch.randn(n, 3, 112, 112, generator=torch.Generator().manual_seed(n))


def shapes(values: object) -> dict[str, list[object]]:
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in values  # type: ignore[attr-defined]
    }


@pytest.fixture(scope="module")
def tower(model: EegVlmForConditionalGeneration) -> onnx.ModelProto:
    return tower_of(model)


@pytest.fixture(scope="module")
def language(model: EegVlmForConditionalGeneration) -> onnx.ModelProto:
    return export_language(model.language_model)


@pytest.mark.parametrize("n", [1, 3])
def test_the_tower_gives_the_networks_outputs_for_any_batch(
    model: EegVlmForConditionalGeneration, tower: onnx.ModelProto, n: int
) -> None:
    found = session(tower).run(list(TOWER_OUTPUTS), {"pixel_values": pictures(n).numpy()})
    with torch.no_grad():
        expected = model.visual(pictures(n))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), **TOLERANCE)


def test_the_tower_has_the_inputs_and_outputs_of_a_bundle(
    model: EegVlmForConditionalGeneration, tower: onnx.ModelProto
) -> None:
    config = model.config
    assert shapes(tower.graph.input) == {"pixel_values": ["batch", 3, 112, 112]}
    assert shapes(tower.graph.output) == {
        "stage_logits": ["batch", 5],
        "high_level": ["batch", config.pooled_size],
        "visual_tokens": ["batch", config.num_visual_tokens, config.text_config.hidden_size],
    }


@pytest.mark.parametrize(("kind", "count"), [("low", 16), ("high", 1)])
def test_the_tower_gives_one_level_of_visual_tokens_where_it_was_chosen(
    tiny_model: EegVlmForConditionalGeneration, monkeypatch: pytest.MonkeyPatch, kind: str, count: int
) -> None:
    monkeypatch.setattr(tiny_model.config, "visual_tokens", kind)
    (found,) = session(export_tower(tiny_model)).run(["visual_tokens"], {"pixel_values": pictures(2).numpy()})
    with torch.no_grad():
        expected = tiny_model.visual(pictures(2)).visual_tokens
    assert found.shape == (2, count, 64)
    np.testing.assert_allclose(found, expected.numpy(), **TOLERANCE)


def test_layers_above_the_feature_layer_are_not_in_the_tower(
    model: EegVlmForConditionalGeneration, tower: onnx.ModelProto
) -> None:
    encoder = model.vision_tower.encoder.layers
    used = sum(p.numel() for layer in encoder[: model.config.vision_layers_used] for p in layer.parameters())
    unused = sum(p.numel() for layer in encoder for p in layer.parameters()) - used
    others = (
        model.vision_tower.embeddings,
        model.vision_tower.pre_layrnorm,
        model.enhancement,
        model.projector,
    )
    kept = used + sum(p.numel() for module in others for p in module.parameters())
    constants = sum(int(np.prod(tensor.dims)) for tensor in tower.graph.initializer)
    assert unused > 0
    assert kept - 2000 < constants < kept + min(2000, unused)


@pytest.mark.parametrize("past", [0, 4])
def test_the_language_model_gives_the_networks_logits_and_cache(
    model: EegVlmForConditionalGeneration, language: onnx.ModelProto, past: int
) -> None:
    lm = model.language_model
    embeds = torch.randn(2, 6, lm.config.hidden_size, generator=torch.Generator().manual_seed(1))
    cache, feeds = prefilled(lm, past)
    positions = torch.arange(past, past + 6).expand(2, 6)
    with torch.no_grad():
        expected = lm(inputs_embeds=embeds, use_cache=True, **{CACHE_ARGUMENT: cache})
    feeds |= {"inputs_embeds": embeds.numpy(), "position_ids": positions.contiguous().numpy()}
    names = ["logits", *cache_names("present", lm.config.num_hidden_layers)]
    found = dict(zip(names, session(language).run(names, feeds), strict=True))
    np.testing.assert_allclose(found["logits"], expected.logits.numpy(), **TOLERANCE)
    for i, layer in enumerate(cache.layers):
        np.testing.assert_allclose(found[f"present.{i}.key"], layer.keys.numpy(), **TOLERANCE)
        np.testing.assert_allclose(found[f"present.{i}.value"], layer.values.numpy(), **TOLERANCE)


def prefilled(lm: LlamaForCausalLM, past: int) -> tuple[DynamicCache, dict[str, np.ndarray]]:
    """A cache of `past` random positions for torch, and the same as feeds."""
    generator = torch.Generator().manual_seed(past)
    cache, feeds = DynamicCache(), {}
    for i in range(lm.config.num_hidden_layers):
        pair = torch.randn(2, 2, kv_heads(lm.config), past, head_dim(lm.config), generator=generator)
        if past:
            cache.update(pair[0], pair[1], i)
        feeds[f"past_key_values.{i}.key"] = pair[0].numpy()
        feeds[f"past_key_values.{i}.value"] = pair[1].numpy()
    return cache, feeds


def test_reading_token_by_token_gives_the_logits_of_reading_at_once(
    model: EegVlmForConditionalGeneration, language: onnx.ModelProto
) -> None:
    lm = model.language_model
    layers = lm.config.num_hidden_layers
    embeds = np.random.default_rng(3).standard_normal((1, 7, lm.config.hidden_size)).astype(np.float32)
    run = session(language)
    empty = np.zeros((1, kv_heads(lm.config), 0, head_dim(lm.config)), np.float32)
    cache = dict.fromkeys(cache_names("past_key_values", layers), empty)
    names = cache_names("present", layers)
    at_once = run.run(["logits"], {"inputs_embeds": embeds, "position_ids": np.arange(7)[None], **cache})[0]
    for i in range(7):
        feeds = {"inputs_embeds": embeds[:, i : i + 1], "position_ids": np.array([[i]]), **cache}
        logits, *present = run.run(["logits", *names], feeds)
        np.testing.assert_allclose(logits[0, 0], at_once[0, i], **TOLERANCE)
        cache = dict(zip(cache_names("past_key_values", layers), present, strict=True))


def test_scaled_rotary_embeddings_are_exported() -> None:
    rope = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        rope_parameters={"rope_theta": 10000.0, **rope},
    )
    torch.manual_seed(0)
    lm = LlamaForCausalLM(config).eval()
    embeds = torch.randn(1, 40, 32)
    empty = np.zeros((1, 1, 0, 16), np.float32)
    found = session(export_language(lm)).run(
        ["logits"],
        {
            "inputs_embeds": embeds.numpy(),
            "position_ids": np.arange(40)[None],
            "past_key_values.0.key": empty,
            "past_key_values.0.value": empty,
        },
    )
    with torch.no_grad():
        np.testing.assert_allclose(found[0], lm(inputs_embeds=embeds).logits.numpy(), **TOLERANCE)


def test_rotary_embeddings_that_follow_the_length_are_refused() -> None:
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
    )
    with pytest.raises(ValueError, match="rope_type"):
        export_language(LlamaForCausalLM(config))


def test_a_saved_graph_is_standard_checked_and_says_nothing_of_the_exporting_machine(
    tower: onnx.ModelProto, language: onnx.ModelProto, tmp_path: Path
) -> None:
    for name, graph in (("tower", tower), ("llm", language)):
        path = tmp_path / f"{name}.onnx"
        assert save(graph, path) == ()
        loaded = onnx.load(path)
        assert {node.domain for node in loaded.graph.node} == {""}
        assert [(entry.domain, entry.version) for entry in loaded.opset_import] == [("", 21)]
        content = path.read_bytes()
        assert str(Path.home()).encode() not in content
        assert b".py" not in content
        assert b"stack_trace" not in content


def test_large_weights_go_to_a_file_beside_the_graph(tower: onnx.ModelProto, tmp_path: Path) -> None:
    copy = onnx.ModelProto.FromString(tower.SerializeToString())
    (data,) = save(copy, tmp_path / "tower.onnx", inline_bytes=1000)
    assert data == tmp_path / "tower.onnx.data"
    assert data.stat().st_size > (tmp_path / "tower.onnx").stat().st_size / 2
    feeds = {"pixel_values": pictures(1).numpy()}
    moved = ort.InferenceSession(tmp_path / "tower.onnx", providers=["CPUExecutionProvider"])
    for ours, theirs in zip(moved.run(None, feeds), session(tower).run(None, feeds), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_operator_outside_the_standard_is_not_written(tmp_path: Path) -> None:
    node = helper.make_node("MatMulNBits", ["x"], ["y"], domain="com.microsoft")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:]))
    with pytest.raises(GraphError, match=r"com\.microsoft\.MatMulNBits"):
        save(model, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_constants_are_found_by_name(tower: onnx.ModelProto) -> None:
    names = [tensor.name for tensor in tower.graph.initializer]
    assert list(initializers(tower)) == names
    assert len(set(names)) == len(names)
