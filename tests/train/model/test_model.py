"""The network: sizes, token counts, one look per picture, faithful saving."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration, preset
from eegvlm_train.model.presets import vision_preset
from transformers import ConvNextConfig


@pytest.fixture(scope="module")
def nano() -> EegVlmForConditionalGeneration:
    torch.manual_seed(0)
    return EegVlmForConditionalGeneration(preset("nano")).eval()


def pictures(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, 336, 336, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def broadcasting() -> EegVlmForConditionalGeneration:
    """Square patches, and one high-level vector for all of them, as in the paper."""
    torch.manual_seed(0)
    config = preset("nano")
    config.patch_shape, config.visual_tokens, config.memory_size = None, "both", 0
    config.enhancement_config = ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    return EegVlmForConditionalGeneration(config).eval()


def test_nano_fits_six_million_parameters(nano: EegVlmForConditionalGeneration) -> None:
    assert 4e6 < sum(p.numel() for p in nano.parameters()) <= 6e6


def test_nano_turns_a_picture_into_42_visual_tokens(nano: EegVlmForConditionalGeneration) -> None:
    with torch.no_grad():
        stage_logits, high, tokens = nano.visual(pictures())
    assert stage_logits.shape == (2, 5)
    assert high.shape == (2, 2 * 96) == (2, nano.config.pooled_size)
    assert tokens.shape == (2, 42, 192) == (2, nano.config.num_visual_tokens, 192)
    assert nano.config.patch_grid == (6, 7)
    assert nano.config.high_level_steps >= 30


@pytest.mark.parametrize(
    ("name", "patches", "vision", "text", "layers"),
    [("edge", 576, 1024, 2048, 22), ("paper", 576, 1024, 5120, 40)],
)
def test_large_sizes_have_the_reference_shapes(
    name: str, patches: int, vision: int, text: int, layers: int
) -> None:
    config = preset(name)
    with torch.device("meta"):
        model = EegVlmForConditionalGeneration(config)
        outputs = model.visual(torch.empty(1, 3, 336, 336))
        ids = torch.full((1, config.num_visual_tokens), config.image_token_id)
    assert config.num_patches == patches
    assert config.num_visual_tokens == 2 * patches
    assert outputs.stage_logits.shape == (1, 5)
    assert outputs.high_level.shape == (1, vision)
    assert outputs.visual_tokens.shape == (1, 2 * patches, text)
    assert len(model.language_model.model.layers) == layers
    assert model.get_input_embeddings()(ids).shape == (1, 2 * patches, text)


def test_paper_language_model_is_a_13_billion_llama() -> None:
    with torch.device("meta"):
        model = EegVlmForConditionalGeneration(preset("paper"))
    billions = sum(p.numel() for p in model.language_model.parameters()) / 1e9
    assert 12.9 < billions < 13.1


def test_the_second_half_of_the_tokens_adds_the_projected_high_level_vector(
    broadcasting: EegVlmForConditionalGeneration,
) -> None:
    with torch.no_grad():
        _, high, tokens = broadcasting.visual(pictures())
        low = broadcasting.projector(broadcasting.low_level(pictures()))
        expected = low + broadcasting.projector(high)[:, None]
    torch.testing.assert_close(tokens[:, :144], low)
    torch.testing.assert_close(tokens[:, 144:], expected)


def test_low_level_features_are_clip_hidden_state_minus_two(nano: EegVlmForConditionalGeneration) -> None:
    with torch.no_grad():
        reference = nano.vision_tower(pictures(), output_hidden_states=True).hidden_states[-2][:, 1:]
        torch.testing.assert_close(nano.low_level(pictures()), reference)


@pytest.mark.parametrize(("kind", "count"), [("low", 42), ("high", 42), ("fused", 42), ("both", 84)])
def test_a_model_that_reads_the_trace_counts_its_tokens(
    nano: EegVlmForConditionalGeneration, kind: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nano.config, "visual_tokens", kind)
    with torch.no_grad():
        assert nano.visual(pictures(1)).visual_tokens.shape[1] == count == nano.config.num_visual_tokens


def test_clip_runs_once_per_picture(nano: EegVlmForConditionalGeneration) -> None:
    calls: list[str] = []
    watched = {
        "patches": nano.vision_tower.embeddings.patch_embedding,
        "first layer": nano.vision_tower.encoder.layers[0],
        "enhancement": nano.enhancement.backbone,
        "above the feature layer": nano.vision_tower.encoder.layers[-1],
    }
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, module in watched.items()
    ]
    ids = torch.cat([torch.full((2, 42), 3), torch.tensor([[7, 8], [9, 10]])], dim=1)
    with torch.no_grad():
        nano(input_ids=ids, pixel_values=pictures())
    for hook in hooks:
        hook.remove()
    assert sorted(calls) == ["enhancement", "first layer", "patches"]


def test_image_places_take_the_visual_tokens_in_order(nano: EegVlmForConditionalGeneration) -> None:
    ids = torch.tensor([[0] + [3] * 42 + [7, 8]])
    with torch.no_grad():
        tokens = nano.visual(pictures(1)).visual_tokens
        embeds = nano.embed(ids, tokens)
        torch.testing.assert_close(embeds[:, 1:43], tokens)
        torch.testing.assert_close(embeds[:, 0], nano.get_input_embeddings()(ids[:, 0]))
        whole = nano(input_ids=ids, pixel_values=pictures(1)).logits
        given = nano(input_ids=ids, visual_tokens=tokens).logits
    torch.testing.assert_close(whole, given)


def test_a_wrong_number_of_image_places_is_refused(nano: EegVlmForConditionalGeneration) -> None:
    with pytest.raises(ValueError, match="41 <image> places; the pictures give 42"):
        nano(input_ids=torch.full((1, 41), 3), pixel_values=pictures(1))


def test_cached_steps_agree_with_one_pass(nano: EegVlmForConditionalGeneration) -> None:
    ids = torch.tensor([[0] + [3] * 42 + [7, 8, 9]])
    with torch.no_grad():
        whole = nano(input_ids=ids, pixel_values=pictures(1)).logits[:, -1]
        first = nano(input_ids=ids[:, :-1], pixel_values=pictures(1), use_cache=True)
        last = nano(input_ids=ids[:, -1:], past_key_values=first.past_key_values, use_cache=True).logits[
            :, -1
        ]
    torch.testing.assert_close(whole, last, atol=1e-4, rtol=1e-4)


def test_saved_and_loaded_models_give_the_same_numbers(
    nano: EegVlmForConditionalGeneration, tmp_path: Path
) -> None:
    nano.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    loaded = EegVlmForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert loaded.config.render == nano.config.render
    assert loaded.config.enhancement_config.hidden_sizes == [32, 48, 64, 96]
    with torch.no_grad():
        for ours, theirs in zip(nano.visual(pictures()), loaded.visual(pictures()), strict=True):
            assert torch.equal(ours, theirs)


def test_a_resnet_can_be_the_enhancement_module() -> None:
    config = preset("nano")
    swapped = EegVlmConfig(
        vision_config=config.vision_config.to_dict(),
        enhancement_config={
            "model_type": "resnet",
            "embedding_size": 16,
            "hidden_sizes": [16, 32],
            "depths": [1, 1],
            "layer_type": "basic",
        },
        text_config=config.text_config.to_dict(),
    )
    model = EegVlmForConditionalGeneration(swapped).eval()
    with torch.no_grad():
        assert model.visual(pictures(1)).high_level.shape == (1, 128)


def test_other_enhancement_networks_and_projectors_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"enhancement_config\.model_type: 'vit'; use one of convnext, resnet, eegvlm_trace"
    ):
        EegVlmConfig(enhancement_config={"model_type": "vit"})
    with pytest.raises(ValueError, match="projector: 'linear'"):
        EegVlmConfig(projector="linear")
    with pytest.raises(ValueError, match="vision_feature_layer: -99"):
        EegVlmConfig(vision_feature_layer=-99)


def test_unused_layers_take_no_part_in_training() -> None:
    model = EegVlmForConditionalGeneration(preset("nano"))
    model.freeze_unused()
    ids = torch.cat([torch.full((1, 42), 3), torch.tensor([[7, 8, 9]])], dim=1)
    labels = ids.masked_fill(ids == 3, -100)
    outputs = model(input_ids=ids, pixel_values=pictures(1), labels=labels)
    epoch = model.visual(pictures(1))
    start = torch.zeros(1, model.memory.state_size)
    logits, token, _ = model.remember(epoch.high_level, epoch.stage_logits, torch.ones(1, 1), start)
    (outputs.loss + epoch.stage_logits.sum() + logits[0, 0] + token.sum()).backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


@pytest.mark.parametrize(("kind", "count"), [("low", 144), ("high", 1), ("fused", 144), ("both", 288)])
def test_one_of_the_two_levels_can_be_left_out(
    broadcasting: EegVlmForConditionalGeneration, kind: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = broadcasting
    monkeypatch.setattr(model.config, "visual_tokens", kind)
    assert model.config.num_visual_tokens == count
    with torch.no_grad():
        _, high, tokens = model.visual(pictures(1))
        low = model.projector(model.low_level(pictures(1)))
        expected = {
            "low": low,
            "high": model.projector(high)[:, None],
            "fused": low + model.projector(high)[:, None],
            "both": torch.cat([low, low + model.projector(high)[:, None]], dim=1),
        }
    torch.testing.assert_close(tokens, expected[kind])


def test_other_visual_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="visual_tokens: 'some'; use one of both, fused, low, high"):
        EegVlmConfig(visual_tokens="some")


def test_a_tower_whose_patches_are_not_shown_is_not_trained() -> None:
    config = preset("nano")
    config.visual_tokens = "high"
    model = EegVlmForConditionalGeneration(config)
    model.freeze_unused()
    assert not any(p.requires_grad for p in model.vision_tower.parameters())


@pytest.mark.parametrize(("rows", "steps"), [(1, 7), (3, 21), (6, 42)])
def test_a_trace_reader_has_the_rows_of_its_picture(rows: int, steps: int) -> None:
    config = vision_preset("nano", rows=rows)
    assert config.render is not None
    assert config.render["rows"] == config.enhancement_config.rows == rows
    assert config.high_level_steps == steps
    model = EegVlmForConditionalGeneration(config).eval()
    with torch.no_grad():
        assert model.visual(pictures(1)).visual_tokens.shape[1] == 42


def test_the_vision_steps_cut_their_picture_into_patches_of_a_given_shape() -> None:
    config = vision_preset("nano", patch_shape=(28, 24))
    assert config.num_visual_tokens == 12 * 14
    assert config.enhancement_config.to_dict() == preset("nano").enhancement_config.to_dict()
    with pytest.raises(ValueError, match="patch_shape: 50 x 48; patches must tile"):
        vision_preset("nano", patch_shape=(50, 48))


def test_the_vision_steps_carry_a_stand_in_for_the_language_model() -> None:
    config = vision_preset("paper", rows=2)
    assert config.render is not None
    assert config.render["rows"] == 2
    assert config.vision_config.to_dict() == preset("paper").vision_config.to_dict()
    assert config.text_config.hidden_size < 100
