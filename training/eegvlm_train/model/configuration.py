"""The configuration of EEG-VLM: three sub-networks, one projector, and the picture they were trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    ConvNextConfig,
    LlamaConfig,
    PretrainedConfig,
    ResNetConfig,
)

__all__ = ["ENHANCEMENT_CONFIGS", "EegVlmConfig"]

ENHANCEMENT_CONFIGS: dict[str, type[PretrainedConfig]] = {"convnext": ConvNextConfig, "resnet": ResNetConfig}

_TOKEN_COUNTS: dict[str, Callable[[int], int]] = {
    "both": lambda patches: 2 * patches,
    "low": lambda patches: patches,
    "high": lambda _: 1,
}


def _sub_config(value: Any, name: str, known: dict[str, type[PretrainedConfig]]) -> PretrainedConfig:
    if isinstance(value, PretrainedConfig):
        return value
    default = next(iter(known))
    fields = dict(value or {})
    kind = fields.pop("model_type", default)
    if kind not in known:
        raise ValueError(f"{name}.model_type: {kind!r}; use one of {', '.join(known)}")
    return known[kind](**fields)


class EegVlmConfig(PretrainedConfig):
    """Shape of an EEG-VLM (arXiv 2511.19155).

    `vision_feature_layer` counts like Hugging Face's `hidden_states` (entry 0 is the embedding); -2 is
    LLaVA-1.5's choice. `render` and `preprocessing` are the dictionaries of `eegvlm_rt.RenderSpec` and
    `eegvlm_rt.signal.conditioning.Preprocessing`; `None` means their defaults. A picture of `image_size` and
    `patch_size` gives P = (image_size / patch_size)**2 patches and 2P visual tokens. `visual_tokens` "low" or
    "high" leaves only the P projected patches, or only the one projected high-level vector: the model's
    ablations.

    Raises ValueError for an enhancement network other than "convnext" or "resnet", for a CLIP tower too
    short for `vision_feature_layer`, for a `projector` other than "mlp2x_gelu" and for other `visual_tokens`.
    """

    model_type = "eegvlm"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": CLIPVisionConfig,
        "enhancement_config": AutoConfig,
        "text_config": LlamaConfig,
    }

    def __init__(
        self,
        vision_config: CLIPVisionConfig | dict[str, Any] | None = None,
        enhancement_config: PretrainedConfig | dict[str, Any] | None = None,
        text_config: LlamaConfig | dict[str, Any] | None = None,
        vision_feature_layer: int = -2,
        num_stages: int = 5,
        projector: str = "mlp2x_gelu",
        visual_tokens: str = "both",
        image_token_id: int = 3,
        render: dict[str, Any] | None = None,
        preprocessing: dict[str, Any] | None = None,
        preset_name: str = "custom",
        **kwargs: Any,
    ) -> None:
        self.vision_config = _sub_config(
            vision_config, "vision_config", {"clip_vision_model": CLIPVisionConfig}
        )
        self.enhancement_config = _sub_config(enhancement_config, "enhancement_config", ENHANCEMENT_CONFIGS)
        self.text_config = _sub_config(text_config, "text_config", {"llama": LlamaConfig})
        self.vision_feature_layer = vision_feature_layer
        self.num_stages = num_stages
        self.projector = projector
        self.visual_tokens = visual_tokens
        self.image_token_id = image_token_id
        self.render = dict(render) if render is not None else None
        self.preprocessing = dict(preprocessing) if preprocessing is not None else None
        self.preset_name = preset_name
        if projector != "mlp2x_gelu":
            raise ValueError(f'projector: {projector!r}; the only alignment projector is "mlp2x_gelu"')
        if visual_tokens not in _TOKEN_COUNTS:
            raise ValueError(f"visual_tokens: {visual_tokens!r}; use one of {', '.join(_TOKEN_COUNTS)}")
        if not 0 <= self.vision_layers_used <= self.vision_config.num_hidden_layers:
            raise ValueError(
                f"vision_feature_layer: {vision_feature_layer}; the tower has "
                f"{self.vision_config.num_hidden_layers} layers"
            )
        kwargs.setdefault("tie_word_embeddings", bool(self.text_config.tie_word_embeddings))
        super().__init__(**kwargs)

    @property
    def vision_layers_used(self) -> int:
        """Encoder layers that run: those below `vision_feature_layer`."""
        layer = self.vision_feature_layer
        return layer if layer >= 0 else self.vision_config.num_hidden_layers + 1 + layer

    @property
    def num_patches(self) -> int:
        """P: patches of one picture."""
        return int((self.vision_config.image_size // self.vision_config.patch_size) ** 2)

    @property
    def num_visual_tokens(self) -> int:
        """2P: low-level tokens, then the same tokens with the high-level feature added; P or 1 where only
        one of the two levels is shown.
        """
        return _TOKEN_COUNTS[self.visual_tokens](self.num_patches)
