"""What the configuration of a LLaVA-1.5 says of its networks: every field is used, known, or refused by name.

Two layouts are read. transformers nests `text_config` and `vision_config`; LLaVA's own authors write one flat
configuration of the language model with `mm_...` fields, and keep CLIP apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from transformers import CLIPVisionConfig
from transformers.activations import ACT2FN

from eegvlm_rt.errors import CheckpointError

from .config_fields import MAX_SIZE, Fields
from .rope_config import rope_parameters

__all__ = ["LlavaShape", "SpecialTokens", "read_clip", "read_llava"]

_NO_CURE: Final = "EEG-VLM has no place for it: import a LLaVA-1.5 without it"

_ANY_MODEL: Final = (
    *("_*", "architectures", "transformers_version", "torch_dtype", "dtype", "use_bfloat16", "torchscript"),
    *("attn_implementation", "use_cache", "initializer_range", "initializer_factor", "attention_dropout"),
    *("dropout", "output_*", "return_dict*", "tf_legacy_loss", "finetuning_task", "id2label", "label2id"),
    *("tokenizer_class", "prefix", "problem_type", "task_specific_params", "chunk_size_feed_forward"),
    # how text is generated
    *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups"),
    *("diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty"),
    *("length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids"),
    *("num_return_sequences", "forced_*_token_id", "remove_invalid_values", "suppress_tokens"),
    *("begin_suppress_tokens", "exponential_decay_length_penalty", "sep_token_id", "decoder_start_token_id"),
)
"""Fields of any model of transformers that change no arithmetic of a forward pass in evaluation."""

_ANY_TEXT: Final = ("pretraining_tp", "max_sequence_length", "tokenizer_*", "unsloth_*")
_ANY_VISION: Final = ("projection_dim", "vocab_size")
_ANY_LLAVA: Final = (
    *("ignore_index", "image_token_index", "image_token_id", "image_seq_length", "pad_token_id"),
    *("bos_token_id", "eos_token_id", "vocab_size", "processor_class"),
)
_ANY_FLAT: Final = (
    *("tune_mm_*", "freeze_mm_*", "unfreeze_mm_*", "mm_*_lr", "pretrain_mm_mlp_adapter", "freeze_backbone"),
    *("mm_use_im_patch_token", "image_token_index", "image_grid_pinpoints", "image_crop_resolution"),
    "image_split_resolution",
)
_ONE_MEANING: Final[Mapping[str, tuple[Any, ...]]] = {
    "is_decoder": (False, True),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (),
    "tie_encoder_decoder": (False,),
    "pruned_heads": ({},),
    "use_sliding_window": (False,),
    "quantization_config": (),
}
"""Fields that older versions of transformers write into every configuration; these values change nothing."""

_LANGUAGES: Final = ("llama", "mistral")
_FLAT: Final = {"llava": "llama", "llava_llama": "llama", "llava_mistral": "mistral"}
_KNOWN_TOWER: Final = re.compile(r"(?:.*/)?clip-vit-large-patch14-336")
_OTHER_TOWERS: Final = re.compile(r"siglip|dino|\beva|convnext|internvit|\bsam\b|imagebind|qwen", re.I)

CLIP_LARGE_336: Final[Mapping[str, Any]] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 336,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
"""openai/clip-vit-large-patch14-336 (Radford et al. 2021), the tower of LLaVA-1.5 (Liu et al. 2023)."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids of the tokens that begin and end a text and fill it up, as the configuration names them."""

    bos: tuple[int, ...] = ()
    eos: tuple[int, ...] = ()
    pad: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LlavaShape:
    """The networks of a checkpoint of another program. `text` are fields of LlamaConfig, `vision` those of
    CLIPVisionConfig or None where the tower is apart; `tied` says that one table is both embedding and last
    product; `notes` are for the user.
    """

    text: Mapping[str, Any]
    vision: Mapping[str, Any] | None
    feature_layer: int
    tied: bool
    special: SpecialTokens
    vision_size: int | None = None
    notes: tuple[str, ...] = ()

    def with_tower(self, clip: Mapping[str, Any]) -> LlavaShape:
        """The model with a tower that lies apart. Raises CheckpointError where it is not the one that the
        configuration describes.
        """
        described = self.vision or {}
        for field in sorted(set(described) & set(clip)):
            if described[field] != clip[field]:
                raise CheckpointError(
                    f"--clip: {field}",
                    clip[field],
                    f"the checkpoint's own configuration says {described[field]}",
                )
        if self.vision_size not in (None, clip["hidden_size"]):
            raise CheckpointError(
                "mm_hidden_size", self.vision_size, f"the tower of --clip is {clip['hidden_size']} wide"
            )
        return replace(self, vision=dict(clip))


def read_llava(values: Mapping[str, Any], ignored: Iterable[str] = ()) -> LlavaShape:
    """What `config.json` of a LLaVA-1.5, or of the bare language model an adapter was trained on, says.

    Raises CheckpointError naming the first field that describes something else, or that nobody here knows.
    """
    fields = Fields(values, "", ignored)
    kind = fields.text("model_type", "llava")
    fields.without_effect(*_ANY_MODEL)
    fields.only("quantization_config", cure="give the weights as they were before they were quantized")
    for field, accepted in _ONE_MEANING.items():
        fields.only(field, *accepted, cure=_NO_CURE)
    flat = "text_config" not in fields and "hidden_size" in fields
    if kind in _LANGUAGES or (flat and kind in _FLAT):
        model = _flat(fields, _FLAT.get(kind, kind))
    elif kind == "llava":
        model = _nested(fields)
    else:
        raise CheckpointError(
            "model_type", kind, "weights of another model: import a LLaVA-1.5 (llava, llava_llama)"
        )
    fields.finish()
    return model


def read_clip(values: Mapping[str, Any], ignored: Iterable[str] = ()) -> dict[str, Any]:
    """Fields of CLIPVisionConfig from the configuration of a whole CLIP, or of its tower alone."""
    kind = values.get("model_type", "clip")
    if kind not in ("clip", "clip_vision_model"):
        raise CheckpointError("--clip: model_type", kind, "weights of another model: give a CLIP")
    inner = values.get("vision_config", values) if kind == "clip" else values
    return _vision(Fields(inner, "vision_config", ignored))


def _nested(fields: Fields) -> LlavaShape:
    fields.without_effect(*_ANY_LLAVA)
    fields.only("projector_hidden_act", "gelu", cure="the projector is mlp2x_gelu: import a model with gelu")
    fields.only("multimodal_projector_bias", True, cure="the projector has biases: import a model with them")
    fields.only(
        "vision_feature_select_strategy",
        "default",
        cure="EEG-VLM shows the patches without the class token: import a model with default",
    )
    part = fields.part("text_config") or Fields({}, "text_config")
    kind = part.text("model_type", "llama")
    if kind not in _LANGUAGES:
        raise CheckpointError(
            "text_config.model_type", kind, f"weights of another model: use one of {', '.join(_LANGUAGES)}"
        )
    text, special, notes = _text(part, kind)
    tied = [one.flag("tie_word_embeddings", False) for one in (part, fields)]
    part.finish()
    vision = fields.part("vision_config")
    return LlavaShape(
        text=text,
        vision=dict(CLIP_LARGE_336) if vision is None else _vision(vision),
        feature_layer=_layer(fields, "vision_feature_layer"),
        tied=any(tied),
        special=special,
        notes=tuple(notes),
    )


def _flat(fields: Fields, kind: str) -> LlavaShape:
    fields.without_effect(*_ANY_FLAT)
    text, special, notes = _text(fields, kind)
    patches = "EEG-VLM shows the patches without the class token: import a model with patch"
    fields.only("mm_vision_select_feature", "patch", cure=patches)
    fields.only("mm_projector_type", "mlp2x_gelu", cure="the projector is mlp2x_gelu: import a LLaVA-1.5")
    one_tile = "a picture is one tile here: import a LLaVA-1.5, not 1.6"
    fields.only("mm_patch_merge_type", "flat", cure=one_tile)
    ratio = fields.text("image_aspect_ratio", "pad")
    if "anyres" in ratio:
        raise CheckpointError("image_aspect_ratio", ratio, one_tile)
    fields.only("mm_use_im_start_end", False, cure="the prompt sets no marks around the picture")
    fields.only("use_mm_proj", True, cure=_NO_CURE)
    fields.only("mm_resampler_type", cure=_NO_CURE)
    tower = fields.text("mm_vision_tower", "")
    if _OTHER_TOWERS.search(tower.rpartition("/")[2]):
        raise CheckpointError("mm_vision_tower", tower, "weights of another model: the tower is a CLIP")
    return LlavaShape(
        text=text,
        vision=dict(CLIP_LARGE_336) if _KNOWN_TOWER.fullmatch(tower) else None,
        feature_layer=_layer(fields, "mm_vision_select_layer"),
        tied=fields.flag("tie_word_embeddings", False),
        special=special,
        vision_size=fields.integer("mm_hidden_size", MAX_SIZE) if "mm_hidden_size" in fields else None,
        notes=tuple(notes),
    )


def _layer(fields: Fields, field: str) -> int:
    """The layer whose patches are shown, from a number or a list of one."""
    value = fields.value(field, -2)
    layers = value if isinstance(value, list) else [value]
    if len(layers) != 1:
        raise CheckpointError(
            fields.path(field),
            value,
            "EEG-VLM shows the patches of one layer: import a model with one number",
        )
    if type(layers[0]) is not int:
        raise CheckpointError(fields.path(field), value, "give the number of a layer, such as -2")
    return layers[0]


def _text(fields: Fields, kind: str) -> tuple[dict[str, Any], SpecialTokens, list[str]]:
    """Fields of LlamaConfig. Mistral computes as Llama does, but for the window of its attention."""
    fields.without_effect(*_ANY_MODEL, *_ANY_TEXT, "model_type")
    for field, accepted in _ONE_MEANING.items():
        fields.only(field, *accepted, cure=_NO_CURE)
    mistral = kind == "mistral"
    for field in ("attention_bias", "mlp_bias") if mistral else ():
        fields.only(field, False, cure="a Mistral has no biases: import a model without them")
    types = fields.value("layer_types", [])
    if not isinstance(types, list) or set(map(str, types)) - {"full_attention"}:
        raise CheckpointError(fields.path("layer_types"), types, _NO_CURE)
    hidden, heads = fields.integer("hidden_size", 4096), fields.integer("num_attention_heads", 32)
    positions = fields.integer("max_position_embeddings", 4096 * 32 if mistral else 2048)
    rope, notes = rope_parameters(fields, positions)
    # transformers reads 8 where the field is not there, and one a head where it is null
    pairs = 8 if mistral and not fields.names("num_key_value_heads") else heads
    text: dict[str, Any] = {
        "vocab_size": fields.integer("vocab_size", 32000),
        "hidden_size": hidden,
        "intermediate_size": fields.integer("intermediate_size", 14336 if mistral else 11008),
        "num_hidden_layers": fields.integer("num_hidden_layers", 32),
        "num_attention_heads": heads,
        "num_key_value_heads": fields.integer("num_key_value_heads", pairs),
        "head_dim": fields.integer("head_dim", hidden // heads),
        "hidden_act": fields.text("hidden_act", "silu"),
        "max_position_embeddings": positions,
        "rms_norm_eps": fields.number("rms_norm_eps", 1e-6),
        "rope_parameters": rope,
        "attention_bias": False if mistral else fields.flag("attention_bias", False),
        "mlp_bias": False if mistral else fields.flag("mlp_bias", False),
    }
    if mistral:
        window = _window(fields)
        if window is not None and window < positions:
            text["max_position_embeddings"] = window
            notes.append(
                f"texts have at most {window} tokens: up to sliding_window Mistral sees all of a text"
            )
    for field, counted in (
        ("num_attention_heads", "hidden_size"),
        ("num_key_value_heads", "num_attention_heads"),
    ):
        if text[counted] % text[field]:
            raise CheckpointError(
                fields.path(field), text[field], f"{counted} {text[counted]} does not divide by it"
            )
    if text["head_dim"] % 2:
        raise CheckpointError(
            fields.path("head_dim"), text["head_dim"], "give an even number: a head turns in pairs"
        )
    if text["hidden_act"] not in ACT2FN:
        raise CheckpointError(
            fields.path("hidden_act"), text["hidden_act"], "give an activation of transformers"
        )
    ids = (fields.token_ids(f"{name}_token_id") for name in ("bos", "eos", "pad"))
    return text, SpecialTokens(*ids), notes


def _window(fields: Fields) -> int | None:
    """How many tokens a token of Mistral sees; transformers reads 4096 where the field is not there."""
    if fields.names("sliding_window"):
        return fields.integer("sliding_window", 1) if "sliding_window" in fields else None
    return 4096


def _vision(fields: Fields) -> dict[str, Any]:
    """Fields of CLIPVisionConfig."""
    fields.without_effect(*_ANY_MODEL, *_ANY_VISION)
    kind = fields.text("model_type", "clip_vision_model")
    if kind != "clip_vision_model":
        raise CheckpointError(
            fields.path("model_type"), kind, "weights of another model: the tower is a CLIP"
        )
    fields.only("num_channels", 3, cure="a picture has three planes")
    for field, accepted in _ONE_MEANING.items():
        fields.only(field, *accepted, cure=_NO_CURE)
    fields.flag("tie_word_embeddings", False)
    defaults = CLIPVisionConfig()
    vision: dict[str, Any] = {
        field: fields.integer(field, getattr(defaults, field))
        for field in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    }
    vision |= {
        field: _side(fields, field, getattr(defaults, field)) for field in ("image_size", "patch_size")
    }
    if vision["patch_size"] > vision["image_size"]:
        raise CheckpointError(
            fields.path("patch_size"), vision["patch_size"], "a patch fits into the picture"
        )
    vision["hidden_act"] = fields.text("hidden_act", str(defaults.hidden_act))
    vision["layer_norm_eps"] = fields.number("layer_norm_eps", float(defaults.layer_norm_eps))
    fields.finish()
    if vision["hidden_size"] % vision["num_attention_heads"]:
        raise CheckpointError(
            fields.path("num_attention_heads"),
            vision["num_attention_heads"],
            "hidden_size does not divide by it",
        )
    if vision["hidden_act"] not in ACT2FN:
        raise CheckpointError(
            fields.path("hidden_act"), vision["hidden_act"], "give an activation of transformers"
        )
    return vision


def _side(fields: Fields, field: str, default: Any) -> int:
    """The side of a square, as a number or as two equal ones."""
    value = fields.value(field, default)
    pair = value if isinstance(value, list) and len(value) == 2 else [value, value]
    side = pair[0] if pair[0] == pair[1] else None
    if type(side) is not int or not 1 <= side <= MAX_SIZE:
        raise CheckpointError(
            fields.path(field), value, "pictures and patches are squares: give one whole number"
        )
    return side
