"""The training heads' targets and losses."""

from __future__ import annotations

import math

import pytest
import torch
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration, VisualEnhancementModule, preset
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
from transformers import ConvNextConfig


def burst(hz: float, start_s: float, stop_s: float, peak_uv: float) -> torch.Tensor:
    time = torch.arange(3000) / 100.0
    wave = peak_uv * torch.sin(2 * math.pi * hz * time)
    return torch.where((time >= start_s) & (time < stop_s), wave, torch.zeros(()))[None]


def test_band_power_is_found_in_its_band_and_segment() -> None:
    targets = local_targets(burst(10.0, 10.0, 15.0, 20.0), segments=6)
    assert targets.shape == (1, 6, LOCAL_TARGETS - 2)
    alpha = targets[0, :, 3]
    assert alpha.argmax() == 2
    assert alpha[2].item() == pytest.approx(math.log10(20.0**2 / 2), abs=0.1)
    assert targets[0, 2, :6].argmax() == 3


def test_the_mean_of_a_segment_is_kept_with_its_sign() -> None:
    signal = torch.zeros(1, 3000)
    signal[0, :500] = -50.0
    assert local_targets(signal, segments=6)[0, 0, 6].item() == pytest.approx(-1.0)


KEPT, CHANGED = torch.tensor([True]), torch.tensor([False])


def events_in(halves: slice) -> torch.Tensor:
    events = torch.zeros(1, 2, 60)
    events[0, 0, halves] = 1.0
    return events


@pytest.mark.parametrize("segments", [30, 42, 84])
def test_local_loss_is_zero_at_the_targets(segments: int) -> None:
    signal = burst(1.0, 0.0, 30.0, 60.0)
    values = local_targets(signal, segments)
    sure = torch.full((1, segments, 2), -100.0)
    right = local_loss(torch.cat([values, sure], 2), signal, torch.zeros(1, 2, 60), KEPT)
    assert right.item() == pytest.approx(0.0)
    nothing = local_loss(torch.cat([values, -sure], 2), signal, torch.zeros(1, 2, 60), KEPT)
    assert nothing.item() == pytest.approx(100.0)


def test_an_event_is_a_target_in_the_segments_it_covers_and_only_where_the_gain_was_kept() -> None:
    signal = burst(13.0, 10.0, 11.0, 20.0)
    opinions = torch.full((1, 30, 2), -100.0)
    opinions[0, 10, 0] = 100.0
    outputs = torch.cat([local_targets(signal, 30), opinions], 2)
    assert local_loss(outputs, signal, events_in(slice(20, 22)), KEPT).item() == pytest.approx(0.0)
    assert local_loss(outputs, signal, events_in(slice(40, 42)), KEPT).item() > 1.0
    assert local_loss(outputs, signal, events_in(slice(40, 42)), CHANGED).item() == pytest.approx(0.0)


def test_soft_cross_entropy_is_least_at_the_teachers_probabilities() -> None:
    target = torch.tensor([[0.7, 0.2, 0.1]])
    at = soft_cross_entropy(target.log(), target)
    assert at.item() == pytest.approx(-(target * target.log()).sum().item())
    assert soft_cross_entropy(torch.zeros(1, 3), target) > at


def findings_row(**changed: float) -> torch.Tensor:
    row = {"rhythm": 2.0, "alpha": 0.0, "spindles": 0.0, "k": 0.0, "slow": 0.0, "amplitude": 1.7} | changed
    return torch.tensor([list(row.values())])


def test_thresholded_findings_count_only_where_the_gain_was_kept() -> None:
    outputs = torch.zeros(1, 15)
    kept, changed = torch.tensor([True]), torch.tensor([False])
    assert findings_loss(outputs, findings_row(), kept) > findings_loss(outputs, findings_row(), changed)
    for name, value in (("spindles", 3.0), ("k", 2.0), ("slow", 0.8)):
        varied = findings_loss(outputs + torch.arange(15.0), findings_row(**{name: value}), changed)
        assert varied == findings_loss(outputs + torch.arange(15.0), findings_row(), changed)


def test_many_events_are_the_highest_class() -> None:
    outputs, kept = torch.randn(1, 15), torch.tensor([True])
    assert findings_loss(outputs, findings_row(spindles=4.0, k=2.0), kept) == findings_loss(
        outputs, findings_row(spindles=9.0, k=7.0), kept
    )


def test_heads_give_a_value_per_segment_of_each_network() -> None:
    config = preset("nano")
    model = EegVlmForConditionalGeneration(config).eval()
    pixels = torch.randn(2, 3, 336, 336)
    with torch.no_grad():
        of_tower = TowerHeads(config, rows=6)(model.low_level(pixels))
        seen = model.enhancement(pixels)
        of_module = EnhancementHeads(config, rows=6)(seen)
    assert of_tower.stage_logits.shape == of_module.stage_logits.shape == (2, 5)
    assert of_tower.findings.shape == of_module.findings.shape == (2, 15)
    assert of_tower.local.shape == (2, 6 * 7, LOCAL_TARGETS)
    assert of_module.local.shape == (2, config.high_level_steps, LOCAL_TARGETS)
    assert of_module.stage_logits is seen.stage_logits


def square_patches() -> EegVlmConfig:
    """12 x 12 square patches: two of them stand above one another in each of six rows."""
    config = preset("nano")
    config.patch_shape = None
    return config


def test_a_segment_is_predicted_from_the_patches_that_show_it() -> None:
    heads = TowerHeads(square_patches(), rows=6).eval()
    low = torch.zeros(1, 144, 128)
    changed = low.clone()
    changed[0, 12 * 5 + 7] = torch.randn(128)
    with torch.no_grad():
        difference = heads(changed).local - heads(low).local
    assert difference.abs().sum(-1)[0].nonzero().flatten().tolist() == [2 * 12 + 7]


def test_rows_must_divide_the_grid_of_patches() -> None:
    with pytest.raises(ValueError, match="rows: 5; 12 patches from top to bottom"):
        TowerHeads(square_patches(), rows=5)


def branch_share(module: VisualEnhancementModule) -> float:
    """How much of its input's size the first block adds to it."""
    block = module.backbone.encoder.stages[0].layers[0]
    inputs = torch.randn(1, block.dwconv.in_channels, 12, 14)
    with torch.no_grad():
        return ((block(inputs) - inputs).std() / inputs.std()).item()


def test_fan_in_weights_carry_signal_through_every_branch() -> None:
    torch.manual_seed(0)
    convnext = ConvNextConfig(
        hidden_sizes=[40, 80, 112, 192], depths=[1, 2, 5, 2], patch_size=[7, 6], layer_scale_init_value=0.5
    )
    module = VisualEnhancementModule(convnext, 128, 5)
    assert branch_share(module) < 0.02
    fan_in_initialize(module)
    assert branch_share(module) > 0.1
    for layer in (module.to_high, module.backbone.encoder.stages[2].layers[0].pwconv1):
        assert layer.weight.std().item() == pytest.approx(layer.in_features**-0.5, rel=0.1)


def test_a_trace_reader_too_begins_with_fan_in_weights() -> None:
    torch.manual_seed(0)
    module = EegVlmForConditionalGeneration(preset("nano")).enhancement
    fan_in_initialize(module)
    for layer in (module.backbone.stem[0], module.to_high, module.backbone.blocks[3].residual[0]):
        assert layer.weight.std().item() == pytest.approx(layer.weight[0].numel() ** -0.5, rel=0.1)
