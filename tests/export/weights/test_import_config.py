"""Every field of another program's configuration is used, known to change nothing, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from eegvlm_export.weights.config_fields import Fields
from eegvlm_export.weights.llava_config import read_clip, read_llava
from eegvlm_export.weights.rope_config import rope_parameters
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from eegvlm_rt.errors import CheckpointError
from tests.export.weights.llava_models import (
    imported,
    largest_difference,
    random_llava,
    reloaded,
    save_llava,
    stored,
)

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "beta_fast": 24.0}

VICUNA_7B = {
    "_name_or_path": "llava-v1.5-7b",
    "architectures": ["LlavaLlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "freeze_mm_mlp_adapter": False,
    "freeze_mm_vision_resampler": False,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "image_aspect_ratio": "pad",
    "image_grid_pinpoints": None,
    "initializer_range": 0.02,
    "intermediate_size": 11008,
    "max_length": 4096,
    "max_position_embeddings": 4096,
    "mm_hidden_size": 1024,
    "mm_projector_type": "mlp2x_gelu",
    "mm_resampler_type": None,
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "model_type": "llava_llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "pad_token_id": 0,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.31.0",
    "tune_mm_mlp_adapter": False,
    "tune_mm_vision_resampler": False,
    "unfreeze_mm_vision_tower": False,
    "use_cache": True,
    "use_mm_proj": True,
    "vocab_size": 32000,
}
"""The fields that LLaVA 1.5's own program saves."""


def nested(**text: Any) -> dict[str, Any]:
    """A configuration as transformers writes it, with changes to that of the language model."""
    fields: dict[str, Any] = json.loads(transformers.LlavaConfig().to_json_string())
    fields["text_config"] |= text
    return fields


def refused(fields: dict[str, Any], field: str) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read_llava(fields)
    assert caught.value.field == field
    return caught.value


def test_the_two_layouts_of_llava_1_5_say_the_same() -> None:
    flat = read_llava(VICUNA_7B)
    theirs = nested(max_position_embeddings=4096, rms_norm_eps=1e-5)
    assert read_llava(theirs).text == flat.text
    assert read_llava(theirs).vision == flat.vision
    assert flat.feature_layer == -2
    assert (flat.special.bos, flat.special.eos, flat.special.pad) == ((1,), (2,), (0,))


def test_defaults_are_those_of_transformers() -> None:
    bare = {"model_type": "llava", "text_config": {"model_type": "llama"}, "vision_config": {}}
    shape = read_llava(bare)
    llama, clip = transformers.LlamaConfig(), transformers.CLIPVisionConfig()
    assert shape.vision == {name: getattr(clip, name) for name in shape.vision}
    for name, value in shape.text.items():
        assert getattr(llama, name) == value, name
    mistral = transformers.MistralConfig()
    for name, value in read_llava(
        nested(model_type="mistral") | {"text_config": {"model_type": "mistral"}}
    ).text.items():
        if name not in ("attention_bias", "mlp_bias", "max_position_embeddings"):
            assert getattr(mistral, name) == value, name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attn_logit_softcapping", 50.0),
        ("logits_scaling", 8.0),
        ("qk_layernorm", True),
        ("partial_rotary_factor", 0.5),
        ("sliding_window", 64),
        ("quantization_config", {"bits": 4}),
        ("layer_types", ["sliding_attention", "full_attention"]),
        ("hidden_act", "no_such_activation"),
        ("hidden_size", "4096"),
        ("hidden_size", True),
        ("num_hidden_layers", 1 << 40),
        ("num_key_value_heads", 5),
        ("rms_norm_eps", float("nan")),
        ("model_type", "qwen2"),
        ("model_type", "gemma"),
        ("add_cross_attention", True),
    ],
)
def test_a_field_of_the_language_model_that_changes_it_is_refused(field: str, value: Any) -> None:
    error = refused(nested(**{field: value}), f"text_config.{field}")
    assert error.cure


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vision_feature_select_strategy", "full"),
        ("vision_feature_layer", [-2, -5]),
        ("vision_feature_layer", "last"),
        ("projector_hidden_act", "gelu_pytorch_tanh"),
        ("multimodal_projector_bias", False),
        ("model_type", "llava_next"),
        ("model_type", "vipllava"),
        ("some_new_field", 1),
    ],
)
def test_a_field_of_the_whole_that_changes_it_is_refused(field: str, value: Any) -> None:
    assert refused(nested() | {field: value}, field).value == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mm_projector_type", "linear"),
        ("mm_projector_type", "mlp3x_gelu"),
        ("mm_vision_select_feature", "cls_patch"),
        ("mm_patch_merge_type", "spatial_unpad"),
        ("image_aspect_ratio", "anyres"),
        ("mm_use_im_start_end", True),
        ("mm_vision_tower", "google/siglip-so400m-patch14-384"),
        ("mm_resampler_type", "perceiver"),
        ("s2_scales", "336,672"),
    ],
)
def test_a_field_of_llavas_own_layout_that_changes_it_is_refused(field: str, value: Any) -> None:
    refused(VICUNA_7B | {field: value}, field)


@pytest.mark.parametrize(
    "vision",
    [
        {"model_type": "siglip_vision_model"},
        {"num_channels": 1},
        {"patch_size": [14, 7]},
        {"use_register_tokens": 4},
    ],
)
def test_another_tower_is_refused(vision: dict[str, Any]) -> None:
    refused(nested() | {"vision_config": vision}, f"vision_config.{next(iter(vision))}")
    with pytest.raises(CheckpointError, match=next(iter(vision))):
        read_clip({"model_type": "clip", "vision_config": vision})


def test_a_field_that_the_user_knows_to_change_nothing_is_let_by() -> None:
    fields = nested(my_note="trained on a Tuesday")
    refused(fields, "text_config.my_note")
    for name in ("my_note", "text_config.my_note"):
        assert read_llava(fields, [name]) == read_llava(nested())


def test_a_layer_may_stand_in_a_list_of_one() -> None:
    assert read_llava(nested() | {"vision_feature_layer": [-2]}).feature_layer == -2


def test_a_clip_apart_must_be_the_one_that_the_configuration_describes() -> None:
    tower = read_clip({"model_type": "clip_vision_model", "hidden_size": 32, "num_attention_heads": 2})
    with pytest.raises(CheckpointError, match=r"--clip: hidden_size: 32; .*1024"):
        read_llava(VICUNA_7B).with_tower(tower)
    unnamed = {name: value for name, value in VICUNA_7B.items() if name != "mm_vision_tower"}
    with pytest.raises(CheckpointError, match="mm_hidden_size: 1024"):
        read_llava(unnamed).with_tower(tower)
    assert read_llava(unnamed | {"mm_hidden_size": 32}).with_tower(tower).vision == tower


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Llama 3", {"rope_theta": 500000.0}),
        ("long Vicuna", {"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0}}),
        ("dynamic", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}),
        ("Llama 3.1", {"rope_theta": 500000.0, "rope_scaling": LLAMA3}),
        ("Llama 3.1, newer", {"rope_parameters": LLAMA3 | {"rope_theta": 500000.0}}),
        (
            "both names of the kind",
            {"rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2.0}},
        ),
        ("yarn", {"rope_scaling": YARN}),
        ("yarn without a length", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}),
    ],
)
def test_rotary_embeddings_turn_as_in_transformers(name: str, text: dict[str, Any], tmp_path: Path) -> None:
    def change(fields: dict[str, Any]) -> None:
        del fields["text_config"]["rope_parameters"]
        fields["text_config"] |= text

    source = save_llava(random_llava(), tmp_path / "llava", change)
    result = imported(source)
    assert largest_difference(reloaded(source), result.path) < 1e-4
    assert any("dynamic" in note for note in result.notes) == (name == "dynamic")


@pytest.mark.parametrize(
    ("rope", "field"),
    [
        ({"rope_scaling": {"type": "longrope", "factor": 2.0}}, "rope_scaling.rope_type"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling.factor"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "rope_scaling.factor"),
        ({"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 2.0}}, "rope_scaling.type"),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0, "mrope_section": [1]}},
            "rope_scaling.mrope_section",
        ),
        ({"rope_scaling": {"full_attention": {"rope_type": "default"}}}, "rope_scaling.full_attention"),
        ({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}, "rope_parameters.rope_theta"),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_type": "default"}},
            "rope_scaling",
        ),
    ],
)
def test_rotary_embeddings_that_say_two_things_or_something_new_are_refused(
    rope: dict[str, Any], field: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        rope_parameters(Fields(rope), 4096)
    assert caught.value.field == field


@given(
    theta=st.floats(1e3, 1e7),
    factor=st.floats(1.0, 32.0),
    kind=st.sampled_from(["default", "linear", "dynamic", "llama3", "yarn"]),
)
def test_any_older_rope_has_the_frequencies_that_transformers_gives_it(
    theta: float, factor: float, kind: str
) -> None:
    scaling: dict[str, Any] = {"type": kind} if kind == "default" else {"type": kind, "factor": factor}
    if kind in ("llama3", "yarn"):
        scaling["original_max_position_embeddings"] = 1024
    if kind == "llama3":
        scaling |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    ours, _ = rope_parameters(Fields({"rope_theta": theta, "rope_scaling": scaling}), 4096)
    theirs = transformers.LlamaConfig(
        rope_theta=theta, rope_scaling=dict(scaling), max_position_embeddings=4096
    )
    mine = transformers.LlamaConfig(rope_parameters=ours, max_position_embeddings=4096)
    turned, expected = LlamaRotaryEmbedding(mine), LlamaRotaryEmbedding(theirs)
    torch.testing.assert_close(turned.inv_freq, expected.inv_freq)
    assert turned.attention_scaling == pytest.approx(expected.attention_scaling)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (transformers.LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
        (transformers.LlamaConfig, {"head_dim": 32, "rms_norm_eps": 1e-3}),
        (transformers.LlamaConfig, {"hidden_act": "gelu_pytorch_tanh"}),
        (transformers.LlamaConfig, {"tie_word_embeddings": True}),
        (transformers.MistralConfig, {"sliding_window": None}),
        (transformers.MistralConfig, {"sliding_window": 128}),
        (transformers.MistralConfig, {}),
    ],
    ids=[
        "biases",
        "head size",
        "activation",
        "tied tables",
        "Mistral",
        "Mistral's window",
        "Mistral's default window",
    ],
)
def test_language_models_of_the_family_answer_as_they_did(
    text: type[transformers.PretrainedConfig], fields: dict[str, Any], tmp_path: Path
) -> None:
    source = save_llava(random_llava(text, text_fields=fields), tmp_path / "llava")
    result = imported(source)
    assert largest_difference(reloaded(source), result.path) < 1e-4
    limit = json.loads((result.path / "config.json").read_text())["text_config"]["max_position_embeddings"]
    assert limit == min(512, fields.get("sliding_window") or 512)


@pytest.mark.parametrize("layer", [-1, -2, 1, [2]])
def test_the_layer_whose_patches_are_shown(layer: int | list[int], tmp_path: Path) -> None:
    source = save_llava(random_llava(vision_feature_layer=layer), tmp_path / "llava")
    assert largest_difference(reloaded(source), imported(source).path) < 1e-4


def test_biases_that_no_field_speaks_of_are_refused_by_the_tensors_name(tmp_path: Path) -> None:
    model = random_llava(text_fields={"attention_bias": True})
    source = save_llava(model, tmp_path / "llava", lambda fields: fields["text_config"].pop("attention_bias"))
    with pytest.raises(CheckpointError, match=r"weight: .*self_attn\.\w_proj\.bias; .*config\.json"):
        imported(source)
    assert stored(source)
    assert not list(tmp_path.glob("*imported*"))
