"""The head alone and the night memory as graphs: the network's numbers, the same bits for any batch."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from eegvlm_export.graphs.tower import (
    HEAD_OUTPUTS,
    MEMORY_INPUTS,
    MEMORY_OUTPUTS,
    TOWER_OUTPUTS,
    export_head,
    export_memory,
    export_tower,
    folded_normalization,
)
from eegvlm_train.model import EegVlmForConditionalGeneration
from torch import nn

from eegvlm_rt.rendering.renderer import RenderSpec, render_batch
from tests.export.tiny_models import random_model

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def traced() -> EegVlmForConditionalGeneration:
    return random_model("traced")


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def pictures(model: EegVlmForConditionalGeneration, n: int) -> np.ndarray:
    waves = np.random.default_rng(0).normal(0, 30, (n, 3000)).astype(np.float32)
    return render_batch(waves, RenderSpec.from_dict(model.config.render or {}), output="f32")


def shapes(values: object) -> dict[str, list[object]]:
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in values  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize("grey", [False, True])
def test_the_head_gives_the_networks_numbers(traced: EegVlmForConditionalGeneration, grey: bool) -> None:
    spec = RenderSpec.from_dict(traced.config.render or {})
    graph = export_head(traced, grey=spec if grey else None)
    planes = 1 if grey else 3
    assert shapes(graph.graph.input) == {"pixel_values": ["batch", planes, 112, 112]}
    assert shapes(graph.graph.output) == {
        "stage_logits": ["batch", 5],
        "high_level": ["batch", traced.config.pooled_size],
    }
    shown = pictures(traced, 5)
    run = session(graph)
    together = run.run(list(HEAD_OUTPUTS), {"pixel_values": shown[:, :planes]})
    with torch.no_grad():
        expected = traced.enhancement(torch.from_numpy(shown))
    np.testing.assert_allclose(together[0], expected.stage_logits.numpy(), **TOLERANCE)
    np.testing.assert_allclose(together[1], expected.pooled.numpy(), **TOLERANCE)
    # A night staged in batches is a night staged epoch by epoch, to the last bit.
    for size in (1, 2, 3):
        for start in range(0, 5, size):
            part = run.run(list(HEAD_OUTPUTS), {"pixel_values": shown[start : start + size, :planes]})
            for ours, theirs in zip(part, together, strict=True):
                np.testing.assert_array_equal(ours, theirs[start : start + size])


def test_a_head_whose_convolutions_have_padding_reads_all_planes() -> None:
    model = random_model("edge-like")
    graph = export_head(model, grey=RenderSpec.from_dict(model.config.render or {}))
    assert shapes(graph.graph.input) == {"pixel_values": ["batch", 3, 112, 112]}


def test_the_head_runs_neither_clip_nor_the_projector(traced: EegVlmForConditionalGeneration) -> None:
    weights = sum(p.numel() for p in traced.enhancement.parameters())
    constants = sum(int(np.prod(tensor.dims)) for tensor in export_head(traced).graph.initializer)
    assert constants <= weights + 100


@pytest.mark.parametrize("kind", ["both", "fused"])
def test_the_tower_gives_the_networks_numbers(
    traced: EegVlmForConditionalGeneration, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traced.config, "visual_tokens", kind)
    shown = pictures(traced, 2)
    found = session(export_tower(traced)).run(list(TOWER_OUTPUTS), {"pixel_values": shown})
    with torch.no_grad():
        expected = traced.visual(torch.from_numpy(shown))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), **TOLERANCE)


def test_the_memory_gives_the_networks_numbers_over_a_night(traced: EegVlmForConditionalGeneration) -> None:
    graph = export_memory(traced)
    config, size = traced.config, traced.memory.state_size
    assert shapes(graph.graph.input) == {
        "high_level": [1, config.pooled_size],
        "stage_logits": [1, 5],
        "present": [1, 1],
        "state": [1, size],
    }
    assert shapes(graph.graph.output) == {
        "night_logits": [1, 5],
        "night_token": [1, config.text_config.hidden_size],
        "next_state": [1, size],
    }
    run = session(graph)
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(1, 30, config.pooled_size, generator=generator)
    logits = 3.0 * torch.randn(1, 30, 5, generator=generator)
    present = (torch.rand(1, 30, 1, generator=generator) > 0.3).float()
    ours = np.zeros((1, size), np.float32)
    theirs = torch.zeros(1, size)
    for epoch in range(30):
        row = (features[:, epoch], logits[:, epoch], present[:, epoch])
        feeds = dict(zip(MEMORY_INPUTS, (*(value.numpy() for value in row), ours), strict=True))
        night_logits, token, ours = run.run(list(MEMORY_OUTPUTS), feeds)
        with torch.no_grad():
            expected_logits, expected_token, theirs = traced.remember(*row, theirs)
        np.testing.assert_allclose(night_logits, expected_logits.numpy(), **TOLERANCE)
        np.testing.assert_allclose(token, expected_token.numpy(), **TOLERANCE)
        np.testing.assert_allclose(ours, theirs.numpy(), **TOLERANCE)


def test_batch_normalization_becomes_part_of_the_convolutions(
    traced: EegVlmForConditionalGeneration,
) -> None:
    before = {name: value.clone() for name, value in traced.enhancement.state_dict().items()}
    folded = folded_normalization(traced.enhancement)
    assert any(isinstance(module, nn.BatchNorm2d) for module in traced.enhancement.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    shown = torch.from_numpy(pictures(traced, 2))
    with torch.no_grad():
        for ours, theirs in zip(folded(shown), traced.enhancement(shown), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert all(value.equal(before[name]) for name, value in traced.enhancement.state_dict().items())
