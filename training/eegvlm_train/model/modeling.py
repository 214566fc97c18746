"""EEG-VLM: a CLIP tower and a visual enhancement module look at one picture, a Llama explains it."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import AutoModel, CLIPVisionModel, LlamaForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.clip.modeling_clip import CLIPVisionEmbeddings

from .cache import CACHE_ARGUMENT
from .configuration import EegVlmConfig
from .memory import NightMemory
from .patches import RowPatchEmbeddings
from .trace import TraceConfig, TraceReader

__all__ = [
    "EegVlmForConditionalGeneration",
    "Perception",
    "TowerOutputs",
    "VisualEnhancementModule",
    "low_level_features",
]


class Perception(NamedTuple):
    """What the enhancement module reads of n pictures: `stage_logits` (n, 5), `pooled` (n, F), `high` (n, T,
    Dv).

    `high` are the high-level features, T of them in time or one for the whole picture; `local` (n, C, ...) is
    the map that they come from, of the network's own size.
    """

    stage_logits: Tensor
    pooled: Tensor
    high: Tensor
    local: Tensor


class TowerOutputs(NamedTuple):
    """What one picture becomes: `stage_logits` (n, 5), `high_level` (n, F) its pooled high-level feature,
    `visual_tokens` (n, V, D) with V = `config.num_visual_tokens`."""

    stage_logits: Tensor
    high_level: Tensor
    visual_tokens: Tensor


class VisualEnhancementModule(nn.Module):
    """Convolutional network whose pooled feature gives the picture's stage opinion.

    A trace reader keeps its features in time; other networks have one high-level vector a picture.
    """

    def __init__(self, config: PretrainedConfig, high_size: int, num_stages: int) -> None:
        super().__init__()
        self.in_time = config.model_type == TraceConfig.model_type
        self.backbone = (
            TraceReader(cast("TraceConfig", config)) if self.in_time else AutoModel.from_config(config)
        )
        self.to_high = nn.Linear(config.hidden_sizes[-1], high_size)
        self.stage_head = nn.Linear(config.pooled_size if self.in_time else high_size, num_stages)

    def forward(self, pixel_values: Tensor) -> Perception:
        """(n, 3, H, W) -> what is read of the pictures."""
        if self.in_time:
            local = self.backbone(pixel_values)
            pooled = torch.cat([local.mean(-1), local.amax(-1)], dim=-1)
            return Perception(self.stage_head(pooled), pooled, self.to_high(local.transpose(1, 2)), local)
        output = self.backbone(pixel_values)
        pooled = self.to_high(output.pooler_output.flatten(1))
        return Perception(self.stage_head(pooled), pooled, pooled[:, None], output.last_hidden_state)

    def high_of(self, look: Perception) -> Tensor:
        """The high-level features (n, T, Dv) of what was read, computed anew: where they are in time, no
        stage depends on them, and they may learn while the module stays as it is."""
        return self.to_high(look.local.transpose(1, 2)) if self.in_time else look.high


class AlignmentProjector(nn.Module):
    """LLaVA-1.5's `mlp2x_gelu`, shared by low-level patches and high-level features."""

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
    _no_split_modules = ["CLIPEncoderLayer", "ConvNextLayer", "LlamaDecoderLayer"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012

    def __init__(self, config: EegVlmConfig) -> None:
        super().__init__(config)
        vision_size = config.vision_config.hidden_size
        self.vision_tower = CLIPVisionModel(config.vision_config)
        if config.patch_shape is not None:
            rows = RowPatchEmbeddings(config.vision_config, config.patch_size, config.num_patches)
            self.vision_tower.embeddings = cast("CLIPVisionEmbeddings", rows)
        self.enhancement = VisualEnhancementModule(config.enhancement_config, vision_size, config.num_stages)
        self.projector = AlignmentProjector(vision_size, config.text_config.hidden_size)
        if config.memory_size:
            self.memory = NightMemory(
                config.pooled_size, config.num_stages, config.memory_size, config.memory_members
            )
            self.memory_token = nn.Linear(
                self.memory.state_size + config.num_stages, config.text_config.hidden_size
            )
        self.language_model = LlamaForCausalLM(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return cast("nn.Module", self.language_model.get_output_embeddings())

    def low_level(self, pixel_values: Tensor) -> Tensor:
        """Patch features of `vision_feature_layer` without the class token, (n, P, Dv)."""
        return low_level_features(self.vision_tower, pixel_values, self.config.vision_layers_used)

    def align(self, high: Tensor) -> Tensor:
        """High-level features (n, T, D) -> one for each patch (n, P, D), of the patch's own time.

        One vector for the whole picture goes to every patch, as in the paper.
        """
        if self.config.alignment == "broadcast":
            high = high.mean(1, keepdim=True)
        steps, patches, segments = high.shape[1], self.config.num_patches, self.config.patch_segments
        if steps == 1:
            return high.expand(-1, patches, -1)
        if steps > segments:
            high = high.unflatten(1, (segments, steps // segments)).mean(2)
        else:
            high = high.repeat_interleave(segments // steps, dim=1)
        # Patches that stand above one another in a row of the trace show the same time.
        above = patches // segments
        if above == 1:
            return high
        by_row = high.unflatten(1, (-1, 1, self.config.patch_grid[1]))
        every: Tensor = by_row.expand(-1, -1, above, -1, -1).flatten(1, 3)
        return every

    def fuse(self, low: Tensor, high: Tensor) -> Tensor:
        """Low (n, P, Dv) and high (n, T, Dv) -> visual tokens: p, then p + projected high of its time (n, 2P,
        D); the second half alone where `visual_tokens` are "fused"."""
        patches = self.projector(low)
        fused = patches + self.align(self.projector(high))
        return fused if self.config.visual_tokens == "fused" else torch.cat([patches, fused], dim=1)

    def tokens(self, pixel_values: Tensor, high: Tensor) -> Tensor:
        """Visual tokens (n, V, D) of pictures (n, 3, H, W) whose high-level features are `high` (n, T,
        Dv)."""
        if self.config.visual_tokens == "high":
            projected: Tensor = self.projector(high)
            return projected
        low = self.low_level(pixel_values)
        return self.projector(low) if self.config.visual_tokens == "low" else self.fuse(low, high)

    def visual(self, pixel_values: Tensor) -> TowerOutputs:
        """One picture (n, 3, H, W), normalized as `config.render` says, through both networks once."""
        look = self.enhancement(pixel_values)
        return TowerOutputs(look.stage_logits, look.pooled, self.tokens(pixel_values, look.high))

    def remember(
        self, features: Tensor, stage_logits: Tensor, present: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One epoch of n nights in the night memory: log-probabilities of the stages with the night in mind
        (n, 5), the memory token (n, D) and the next state (n, S)."""
        logits, state = self.memory(features, stage_logits, present, state)
        return logits, self.night_token(state, logits), state

    def night_token(self, states: Tensor, logits: Tensor) -> Tensor:
        """The language model's token (..., D) of memory states (..., S) and their stage logits (..., 5)."""
        token: Tensor = self.memory_token(torch.cat([states, logits.softmax(-1)], dim=-1))
        return token

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
