"""EEG-VLM: a CLIP tower and a visual enhancement module look at one picture, a Llama explains it."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModel, CLIPVisionModel, LlamaForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast

from .cache import CACHE_ARGUMENT
from .configuration import EegVlmConfig

__all__ = [
    "EegVlmForConditionalGeneration",
    "TowerOutputs",
    "VisualEnhancementModule",
    "low_level_features",
]


class TowerOutputs(NamedTuple):
    """What one picture becomes: `stage_logits` (n, 5), `high_level` (n, Dv), `visual_tokens` (n, V, D) with
    V = `config.num_visual_tokens`."""

    stage_logits: Tensor
    high_level: Tensor
    visual_tokens: Tensor


class VisualEnhancementModule(nn.Module):
    """Convolutional network whose pooled feature is the picture's high-level vector and its stage opinion."""

    def __init__(self, config: PretrainedConfig, high_size: int, num_stages: int) -> None:
        super().__init__()
        self.backbone = AutoModel.from_config(config)
        self.to_high = nn.Linear(config.hidden_sizes[-1], high_size)
        self.stage_head = nn.Linear(high_size, num_stages)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, H, W) -> stage logits (n, 5), high-level vectors (n, Dv)."""
        stage_logits, high, _ = self.look(pixel_values)
        return stage_logits, high

    def look(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, and the backbone's last feature map (n, C, h, w)."""
        output = self.backbone(pixel_values)
        high = self.to_high(output.pooler_output.flatten(1))
        return self.stage_head(high), high, output.last_hidden_state


class AlignmentProjector(nn.Module):
    """LLaVA-1.5's `mlp2x_gelu`, shared by low-level patches and the high-level vector."""

    def __init__(self, vision_size: int, text_size: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(vision_size, text_size)
        self.act = nn.GELU()
        self.linear_2 = nn.Linear(text_size, text_size)

    def forward(self, features: Tensor) -> Tensor:
        hidden: Tensor = self.linear_2(self.act(self.linear_1(features)))
        return hidden


def low_level_features(tower: CLIPVisionModel, pixel_values: Tensor, layers_used: int) -> Tensor:
    """(n, 3, H, W) -> (n, P, Dv): `hidden_states[layers_used][:, 1:]`; the layers above are never
    computed."""
    hidden = tower.pre_layrnorm(tower.embeddings(pixel_values))
    for layer in tower.encoder.layers[:layers_used]:
        hidden = layer(hidden, None)
    features: Tensor = hidden[:, 1:]
    return features


class EegVlmForConditionalGeneration(PreTrainedModel):
    """The whole model. `visual` and `language_model` are the two halves that are exported."""

    config: EegVlmConfig
    config_class = EegVlmConfig
    base_model_prefix = "eegvlm"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules: ClassVar[list[str]] = ["CLIPEncoderLayer", "ConvNextLayer", "LlamaDecoderLayer"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]

    def __init__(self, config: EegVlmConfig) -> None:
        super().__init__(config)
        vision_size = config.vision_config.hidden_size
        self.vision_tower = CLIPVisionModel(config.vision_config)
        self.enhancement = VisualEnhancementModule(config.enhancement_config, vision_size, config.num_stages)
        self.projector = AlignmentProjector(vision_size, config.text_config.hidden_size)
        self.language_model = LlamaForCausalLM(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def low_level(self, pixel_values: Tensor) -> Tensor:
        """Patch features of `vision_feature_layer` without the class token, (n, P, Dv)."""
        return low_level_features(self.vision_tower, pixel_values, self.config.vision_layers_used)

    def fuse(self, low: Tensor, high: Tensor) -> Tensor:
        """Low (n, P, Dv) and high (n, Dv) -> visual tokens (n, 2P, D): p, then p + projected high."""
        patches = self.projector(low)
        return torch.cat([patches, patches + self.projector(high)[:, None]], dim=1)

    def tokens(self, pixel_values: Tensor, high: Tensor) -> Tensor:
        """Visual tokens (n, V, D) of pictures (n, 3, H, W) whose high-level vectors are `high` (n, Dv)."""
        if self.config.visual_tokens == "high":
            projected: Tensor = self.projector(high)[:, None]
            return projected
        low = self.low_level(pixel_values)
        return self.projector(low) if self.config.visual_tokens == "low" else self.fuse(low, high)

    def visual(self, pixel_values: Tensor) -> TowerOutputs:
        """One picture (n, 3, H, W), normalized as `config.render` says, through both networks once."""
        stage_logits, high = self.enhancement(pixel_values)
        return TowerOutputs(stage_logits, high, self.tokens(pixel_values, high))

    def embed(self, input_ids: Tensor, visual_tokens: Tensor | None) -> Tensor:
        """Token embeddings (n, T, D) with the V `<image>` places of each row filled by its visual tokens.

        Raises ValueError when the number of places is not the number of visual tokens.
        """
        embeds: Tensor = self.get_input_embeddings()(input_ids)
        if visual_tokens is None:
            return embeds
        places = input_ids == self.config.image_token_id
        expected = visual_tokens.shape[0] * visual_tokens.shape[1]
        if int(places.sum()) != expected:
            raise ValueError(
                f"input_ids: {int(places.sum())} <image> places; the pictures give {expected} tokens"
            )
        return embeds.masked_scatter(places[..., None], visual_tokens.to(embeds.dtype))

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        visual_tokens: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Next-token logits (n, T, V).

        Give `pixel_values`, or `visual_tokens` computed before, or neither when the prefix is in
        `past_key_values`.
        `attention_mask` may be (n, T) or a boolean (n, 1, T, T).
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("input_ids: give exactly one of input_ids and inputs_embeds")
        if input_ids is not None:
            if visual_tokens is None and pixel_values is not None:
                visual_tokens = self.visual(pixel_values).visual_tokens
            inputs_embeds = self.embed(input_ids, visual_tokens)
        kwargs.setdefault(CACHE_ARGUMENT, past_key_values)
        output: CausalLMOutputWithPast = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        return output

    def freeze_unused(self) -> None:
        """Exclude from training what no output depends on: the layers above `vision_feature_layer`, or the
        whole tower where `visual_tokens` are "high".
        """
        tower = self.vision_tower
        if self.config.visual_tokens == "high":
            tower.requires_grad_(False)
        for module in (tower.post_layernorm, *tower.encoder.layers[self.config.vision_layers_used :]):
            module.requires_grad_(False)
