"""Patches and high-level features meet in time; the paper's sizes broadcast one vector, under its names."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration, preset
from eegvlm_train.model.patches import RowPatchEmbeddings
from eegvlm_train.model.trace import TraceConfig
from transformers import CLIPVisionConfig, LlamaConfig
from transformers.models.clip.modeling_clip import CLIPVisionEmbeddings

CLIP = CLIPVisionConfig(
    hidden_size=16,
    intermediate_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    patch_size=28,
    image_size=336,
)


def model_of(strides: Sequence[int], patch_shape: tuple[int, int] | None) -> EegVlmForConditionalGeneration:
    sizes = [8] * len(strides)
    config = EegVlmConfig(
        vision_config=CLIP,
        enhancement_config=TraceConfig(hidden_sizes=sizes, strides=strides, depths=[1] * len(strides)),
        text_config=LlamaConfig(
            vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
        ),
        patch_shape=patch_shape,
    )
    return EegVlmForConditionalGeneration(config).eval()


def test_broadcast_alignment_gives_every_patch_the_mean_of_all_features() -> None:
    model = model_of((2, 3, 2, 2), (56, 48))
    model.config.alignment = "broadcast"
    features = torch.randn(2, model.config.high_level_steps, 16)
    aligned = model.align(features)
    assert aligned.shape == (2, model.config.num_patches, 16)
    torch.testing.assert_close(aligned, features.mean(1, keepdim=True).expand_as(aligned))


def test_another_alignment_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="alignment: 'space'; use one of time, broadcast"):
        EegVlmConfig(alignment="space")


@pytest.mark.parametrize("strides", [(2, 3, 2, 2), (2, 3, 2), (2, 3, 2, 2, 7)])
@pytest.mark.parametrize("patch_shape", [(56, 48), (28, 48), (56, 24), (14, 336)])
def test_each_patch_gets_the_high_level_feature_of_its_own_time(
    strides: Sequence[int], patch_shape: tuple[int, int]
) -> None:
    model = model_of(strides, patch_shape)
    steps = model.config.high_level_steps
    down, across = model.config.patch_grid
    # A feature says the middle of its own time; what a patch gets must lie as near to the patch's middle as
    # the coarser of the two allows.
    middles = (torch.arange(steps) + 0.5) * 30.0 / steps
    aligned = model.align(middles[None, :, None])[0, :, 0]
    above = down // 6
    expected = torch.tensor(
        [
            ((place // across // above) + (place % across + 0.5) / across) * 5.0
            for place in range(down * across)
        ]
    )
    slack = max(0.0, 15.0 / steps - 15.0 / (6 * across))
    assert (aligned - expected).abs().max() <= slack + 1e-4


@pytest.mark.parametrize("patch_shape", [(56, 48), (28, 48)])
def test_fused_tokens_are_patches_with_the_feature_of_their_time_added(patch_shape: tuple[int, int]) -> None:
    model = model_of((2, 3, 2, 2), patch_shape)
    low = torch.randn(2, model.config.num_patches, 16)
    high = torch.randn(2, 42, 16)
    with torch.no_grad():
        tokens = model.fuse(low, high)
        moved = high.clone()
        moved[:, 10] += 1.0
        changed = (model.fuse(low, moved) - tokens).abs().amax((0, 2)).nonzero().flatten().tolist()
    patches = model.config.num_patches
    # Feature 10 is the fourth of the second row of seven.
    row = [10] if patches == 42 else [17, 24]
    assert changed == [patches + place for place in row]
    torch.testing.assert_close(tokens[:, :patches], model.projector(low))


def test_row_patches_of_square_shape_are_clips_own() -> None:
    torch.manual_seed(0)
    clip = CLIPVisionEmbeddings(CLIP)
    rows = RowPatchEmbeddings(CLIP, (28, 28), 144)
    rows.load_state_dict(clip.state_dict(), strict=False)
    assert {name for name, _ in rows.named_parameters()} == {name for name, _ in clip.named_parameters()}
    pictures = torch.randn(2, 3, 336, 336)
    with torch.no_grad():
        torch.testing.assert_close(rows(pictures), clip(pictures), atol=1e-6, rtol=1e-6)


def test_row_patches_follow_each_other_in_time() -> None:
    rows = RowPatchEmbeddings(CLIP, (56, 48), 42)
    pictures = torch.zeros(1, 3, 336, 336)
    marked = pictures.clone()
    marked[:, :, 56 * 3 : 56 * 4, 48 * 2 : 48 * 3] = 1.0
    with torch.no_grad():
        changed = (rows(marked) - rows(pictures)).abs().amax((0, 2)).nonzero().flatten()
    assert changed.tolist() == [1 + 3 * 7 + 2]


@pytest.mark.parametrize("name", ["edge", "paper"])
def test_the_papers_sizes_keep_its_broadcast_and_the_names_of_their_weights(name: str) -> None:
    with torch.device("meta"):
        model = EegVlmForConditionalGeneration(preset(name))
        high = model.align(torch.empty(1, 1, 5120))
    assert high.shape == (1, 576, 5120)
    assert model.config.high_level_steps == 1
    names = set(model.state_dict())
    assert {
        "vision_tower.embeddings.class_embedding",
        "vision_tower.embeddings.patch_embedding.weight",
        "vision_tower.embeddings.position_embedding.weight",
        "enhancement.backbone.embeddings.patch_embeddings.weight",
        "enhancement.backbone.encoder.stages.0.layers.0.dwconv.weight",
        "enhancement.to_high.weight",
        "enhancement.to_high.bias",
        "enhancement.stage_head.weight",
        "enhancement.stage_head.bias",
        "projector.linear_1.weight",
        "projector.linear_2.bias",
    } <= names
    tops = {"vision_tower", "enhancement", "projector", "language_model"}
    assert {name.split(".")[0] for name in names} == tops


def test_one_vector_goes_to_every_patch() -> None:
    with torch.device("meta"):
        model = EegVlmForConditionalGeneration(preset("edge"))
    vector = torch.randn(2, 1, 8)
    aligned = model.align(vector)
    assert torch.equal(aligned, vector.expand(2, 576, 8))
