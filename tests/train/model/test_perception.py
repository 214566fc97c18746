"""The training heads' targets and losses."""

from __future__ import annotations

import math

import pytest
import torch
from eegvlm_train.model import EegVlmForConditionalGeneration, VisualEnhancementModule, preset
from eegvlm_train.model.initialization import fan_in_initialize
from eegvlm_train.model.perception import (
    LOCAL_TARGETS,
    EnhancementHeads,
    TowerHeads,
    findings_loss,
    local_loss,
    local_targets,
    soft_cross_entropy,
)


def burst(hz: float, start_s: float, stop_s: float, peak_uv: float) -> torch.Tensor:
    time = torch.arange(3000) / 100.0
    wave = peak_uv * torch.sin(2 * math.pi * hz * time)
    return torch.where((time >= start_s) & (time < stop_s), wave, torch.zeros(()))[None]


def test_band_power_is_found_in_its_band_and_segment() -> None:
    targets = local_targets(burst(10.0, 10.0, 15.0, 20.0), segments=6)
    assert targets.shape == (1, 6, LOCAL_TARGETS)
    alpha = targets[0, :, 3]
    assert alpha.argmax() == 2
    assert alpha[2].item() == pytest.approx(math.log10(20.0**2 / 2), abs=0.1)
    assert targets[0, 2, :6].argmax() == 3


def test_the_mean_of_a_segment_is_kept_with_its_sign() -> None:
    signal = torch.zeros(1, 3000)
    signal[0, :500] = -50.0
    assert local_targets(signal, segments=6)[0, 0, 6].item() == pytest.approx(-1.0)


def test_local_loss_is_zero_at_the_targets() -> None:
    signal = burst(1.0, 0.0, 30.0, 60.0)
    assert local_loss(local_targets(signal, 42), signal).item() == 0.0


def test_soft_cross_entropy_is_least_at_the_teachers_probabilities() -> None:
    target = torch.tensor([[0.7, 0.2, 0.1]])
    at = soft_cross_entropy(target.log(), target)
    assert at.item() == pytest.approx(-(target * target.log()).sum().item())
    assert soft_cross_entropy(torch.zeros(1, 3), target) > at


def findings_row(**changed: float) -> torch.Tensor:
    row = {"rhythm": 2.0, "alpha": 0.0, "spindles": 0.0, "k": 0.0, "slow": 0.0, "amplitude": 1.7} | changed
    return torch.tensor([list(row.values())])


def test_thresholded_findings_count_only_where_the_gain_was_kept() -> None:
    outputs = torch.zeros(1, 16)
    kept, changed = torch.tensor([True]), torch.tensor([False])
    assert findings_loss(outputs, findings_row(), kept) > findings_loss(outputs, findings_row(), changed)
    for name, value in (("spindles", 3.0), ("k", 2.0), ("slow", 0.8)):
        varied = findings_loss(outputs + torch.arange(16.0), findings_row(**{name: value}), changed)
        assert varied == findings_loss(outputs + torch.arange(16.0), findings_row(), changed)


def test_many_events_are_the_highest_class() -> None:
    outputs, kept = torch.randn(1, 16), torch.tensor([True])
    assert findings_loss(outputs, findings_row(spindles=4.0, k=2.0), kept) == findings_loss(
        outputs, findings_row(spindles=9.0, k=7.0), kept
    )


def test_heads_give_a_value_per_segment_of_each_network() -> None:
    config = preset("nano")
    model = EegVlmForConditionalGeneration(config).eval()
    pixels = torch.randn(2, 3, 336, 336)
    with torch.no_grad():
        of_tower = TowerHeads(config, rows=6)(model.low_level(pixels))
        stage_logits, high, feature_map = model.enhancement.look(pixels)
        of_module = EnhancementHeads(config, rows=6)(stage_logits, high, feature_map)
    assert of_tower.stage_logits.shape == of_module.stage_logits.shape == (2, 5)
    assert of_tower.findings.shape == of_module.findings.shape == (2, 16)
    assert of_tower.local.shape == (2, 6 * 12, LOCAL_TARGETS)
    assert of_module.local.shape == (2, 6 * 7, LOCAL_TARGETS)
    assert of_module.stage_logits is stage_logits


def test_a_segment_is_predicted_from_the_patches_that_show_it() -> None:
    heads = TowerHeads(preset("nano"), rows=6).eval()
    low = torch.zeros(1, 144, 128)
    changed = low.clone()
    changed[0, 12 * 5 + 7] = torch.randn(128)
    with torch.no_grad():
        difference = heads(changed).local - heads(low).local
    assert difference.abs().sum(-1)[0].nonzero().flatten().tolist() == [2 * 12 + 7]


def test_rows_must_divide_the_grid_of_patches() -> None:
    with pytest.raises(ValueError, match="rows: 5; the grid of 12 x 12 patches"):
        TowerHeads(preset("nano"), rows=5)


def branch_share(module: VisualEnhancementModule) -> float:
    """How much of its input's size the first block adds to it."""
    block = module.backbone.encoder.stages[0].layers[0]
    inputs = torch.randn(1, block.dwconv.in_channels, 12, 14)
    with torch.no_grad():
        return ((block(inputs) - inputs).std() / inputs.std()).item()


def test_fan_in_weights_carry_signal_through_every_branch() -> None:
    torch.manual_seed(0)
    module = EegVlmForConditionalGeneration(preset("nano")).enhancement
    assert branch_share(module) < 0.02
    fan_in_initialize(module)
    assert branch_share(module) > 0.1
    for layer in (module.to_high, module.backbone.encoder.stages[2].layers[0].pwconv1):
        assert layer.weight.std().item() == pytest.approx(layer.in_features**-0.5, rel=0.1)
