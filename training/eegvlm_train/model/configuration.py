"""The configuration of EEG-VLM: three sub-networks, one projector, and the picture they were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar, cast

from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    ConvNextConfig,
    LlamaConfig,
    PretrainedConfig,
    ResNetConfig,
)

from .trace import TraceConfig

__all__ = ["ENHANCEMENT_CONFIGS", "EegVlmConfig"]

ENHANCEMENT_CONFIGS: dict[str, type[PretrainedConfig]] = {
    "convnext": ConvNextConfig,
    "resnet": ResNetConfig,
    TraceConfig.model_type: TraceConfig,
}

_VISUAL_TOKENS = ("both", "fused", "low", "high")
_ALIGNMENTS = ("time", "broadcast")


Config = TypeVar("Config", bound=PretrainedConfig)


def _sub_config(value: Any, name: str, kinds: dict[str, type[Config]]) -> Config:
    if isinstance(value, PretrainedConfig):
        return cast("Config", value)
    default = next(iter(kinds))
    fields = dict(value or {})
    kind = fields.pop("model_type", default)
    if kind not in kinds:
        raise ValueError(f"{name}.model_type: {kind!r}; use one of {', '.join(kinds)}")
    return kinds[kind](**fields)


class EegVlmConfig(PretrainedConfig):
    """Shape of an EEG-VLM (arXiv 2511.19155).

    `vision_feature_layer` counts like Hugging Face's `hidden_states` (entry 0 is the embedding); -2 is
    LLaVA-1.5's choice. `render` and `preprocessing` are the dictionaries of `eegvlm_rt.RenderSpec` and
    `eegvlm_rt.signal.conditioning.Preprocessing`; `None` means their defaults. CLIP's patches are squares of
    its `patch_size`, or `patch_shape` (height, width) pixels; P of them tile the picture.

    `visual_tokens` "both" is the paper's multi-level alignment: the P projected patches, then the same with
    the projected high-level features added. "fused" leaves only the second half. "low" and "high" leave only
    one of the two levels: the model's ablations. A convolutional enhancement network ("convnext", "resnet")
    has one high-level vector, added to every patch; a trace reader ("eegvlm_trace") has T of them in time,
    and a patch gets that of its own time, or with `alignment` "broadcast" the mean of all. `memory_size`
    above 0 adds the night memory: `memory_members` recurrent units of this size.

    Raises ValueError for another enhancement network, for patches that do not tile the picture or do not
    divide its time as the high-level features do, for a CLIP tower too short for `vision_feature_layer`, for
    a `projector` other than "mlp2x_gelu" and for other `visual_tokens` or `alignment`.
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
        alignment: str = "time",
        patch_shape: Sequence[int] | None = None,
        memory_size: int = 0,
        memory_members: int = 1,
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
        self.visual_tokens, self.alignment = visual_tokens, alignment
        self.patch_shape = None if patch_shape is None else [int(side) for side in patch_shape]
        self.memory_size, self.memory_members = memory_size, memory_members
        self.image_token_id = image_token_id
        self.render = dict(render) if render is not None else None
        self.preprocessing = dict(preprocessing) if preprocessing is not None else None
        self.preset_name = preset_name
        if projector != "mlp2x_gelu":
            raise ValueError(f'projector: {projector!r}; the only alignment projector is "mlp2x_gelu"')
        if visual_tokens not in _VISUAL_TOKENS:
            raise ValueError(f"visual_tokens: {visual_tokens!r}; use one of {', '.join(_VISUAL_TOKENS)}")
        if alignment not in _ALIGNMENTS:
            raise ValueError(f"alignment: {alignment!r}; use one of {', '.join(_ALIGNMENTS)}")
        if not 0 <= self.vision_layers_used <= self.vision_config.num_hidden_layers:
            raise ValueError(
                f"vision_feature_layer: {vision_feature_layer}; the tower has "
                f"{self.vision_config.num_hidden_layers} layers"
            )
        self._check_alignment()
        kwargs.setdefault("tie_word_embeddings", bool(self.text_config.tie_word_embeddings))
        super().__init__(**kwargs)

    def _check_alignment(self) -> None:
        side = self.image_side
        height, width = self.patch_size
        if side % height or side % width:
            raise ValueError(
                f"patch_shape: {height} x {width}; patches must tile a picture of {side} x {side}"
            )
        steps, segments = self.high_level_steps, self.patch_segments
        if steps == 1:
            return
        if self.patch_grid[0] % self.enhancement_config.rows:
            raise ValueError(
                f"patch_shape: {height} x {width}; {self.patch_grid[0]} patches from top to bottom do not "
                f"divide among {self.enhancement_config.rows} rows"
            )
        if max(steps, segments) % min(steps, segments):
            raise ValueError(
                f"patch_shape: {height} x {width}; {steps} high-level features do not divide among "
                f"{segments} segments of time"
            )

    @property
    def vision_layers_used(self) -> int:
        """Encoder layers that run: those below `vision_feature_layer`."""
        layer = self.vision_feature_layer
        return layer if layer >= 0 else self.vision_config.num_hidden_layers + 1 + layer

    @property
    def image_side(self) -> int:
        """Height and width of a picture in pixels."""
        return int(cast("int", self.vision_config.image_size))

    @property
    def patch_size(self) -> tuple[int, int]:
        """Height and width of a CLIP patch in pixels."""
        if self.patch_shape is None:
            side = int(cast("int", self.vision_config.patch_size))
            return side, side
        height, width = self.patch_shape
        return height, width

    @property
    def patch_grid(self) -> tuple[int, int]:
        """Patches from top to bottom, and from left to right."""
        height, width = self.patch_size
        side = self.image_side
        return side // height, side // width

    @property
    def num_patches(self) -> int:
        """P: patches of one picture."""
        down, across = self.patch_grid
        return down * across

    @property
    def patch_segments(self) -> int:
        """Segments of time that patches show: those above one another in a row of the trace show the same."""
        rows = getattr(self.enhancement_config, "rows", self.patch_grid[0])
        return int(rows * self.patch_grid[1])

    @property
    def high_level_steps(self) -> int:
        """T: high-level features of one picture; 1 where they stand for the whole of it."""
        return int(getattr(self.enhancement_config, "steps", 1))

    @property
    def pooled_size(self) -> int:
        """F: length of the picture's pooled high-level feature, from which the stage head and the memory
        read."""
        pooled = getattr(self.enhancement_config, "pooled_size", None)
        return int(pooled or self.vision_config.hidden_size)

    @property
    def num_visual_tokens(self) -> int:
        """Visual tokens of one picture, without the memory's."""
        if self.visual_tokens == "high":
            return self.high_level_steps
        return 2 * self.num_patches if self.visual_tokens == "both" else self.num_patches
