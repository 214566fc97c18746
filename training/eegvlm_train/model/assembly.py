"""The model that step 3 trains, put together from the checkpoints of the steps before it.

`python -m eegvlm_train assemble OUT --enhancement E --tower T --language-model L` writes it untrained: the
base that `eegvlm_train merge` joins with an adapter.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import Tensor
from transformers import LlamaForCausalLM

from eegvlm_rt.files import claim_folder
from eegvlm_rt.prompt import PromptSpec

from ..outputs import add_overwrite
from ..settings import LanguageSettings
from .configuration import EegVlmConfig
from .modeling import EegVlmForConditionalGeneration
from .presets import preset, vision_preset
from .processing import EegVlmProcessor
from .tokenizer import build_tokenizer, model_vocabulary
from .untrained import ENHANCEMENT, LANGUAGE, set_untrained, untrained_parts

__all__ = ["PROMPT_FILE", "Parts", "assemble", "eyes_of", "main"]

PROMPT_FILE = "prompt.json"
NIGHT_TOKEN = "<night>"


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts come from: checkpoints of `train-enhancement` and `train-tower` (or one of
    `train-vision`), a language model written by `eegvlm_train language-model`, and a whole model.

    Without `base` the vision networks are needed; without a language model either, one is made anew.
    """

    enhancement: Path | None = None
    tower: Path | None = None
    language_model: Path | None = None
    base: Path | None = None


def assemble(
    parts: Parts, settings: LanguageSettings
) -> tuple[EegVlmForConditionalGeneration, EegVlmProcessor]:
    """The model in single precision (for "qlora" its language model in bfloat16), and its processor.

    Raises ValueError where a part is missing or two parts were made for different pictures or shapes.
    """
    dtype = torch.bfloat16 if settings.tuning == "qlora" else torch.float32
    looks = {
        name: EegVlmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        for name, folder in (("enhancement", parts.enhancement), ("tower", parts.tower))
        if folder is not None
    }
    if parts.base is not None:
        model = EegVlmForConditionalGeneration.from_pretrained(parts.base, dtype=dtype)
        processor = EegVlmProcessor.from_pretrained(parts.base)
    else:
        if len(looks) < 2:
            raise ValueError("parts: give --vision, or --enhancement and --tower, or --base")
        eyes, night = looks["tower"].config, looks["enhancement"].config
        model, processor = _new(eyes, night, parts.language_model, settings, dtype)
    for name, source in looks.items():
        _check_pictures(name, source.config, model.config, parts.base)
        attribute = "vision_tower" if name == "tower" else name
        setattr(model, attribute, getattr(source, attribute))
    if "enhancement" in looks:
        others = set(untrained_parts(model.config)) - {ENHANCEMENT}
        set_untrained(model.config, others | set(untrained_parts(looks["enhancement"].config)))
        if model.config.memory_size:
            model.memory = looks["enhancement"].memory
    parts_in_single = [model.vision_tower, model.enhancement, model.projector]
    if model.config.memory_size:
        parts_in_single += [model.memory, model.memory_token]
    for module in parts_in_single:
        module.float()
    if settings.visual_tokens is not None:
        model.config.visual_tokens = settings.visual_tokens
    if settings.alignment is not None:
        model.config.alignment = settings.alignment
    return model, processor


def _new(
    eyes: EegVlmConfig,
    night: EegVlmConfig,
    language_model: Path | None,
    settings: LanguageSettings,
    dtype: torch.dtype,
) -> tuple[EegVlmForConditionalGeneration, EegVlmProcessor]:
    """A model with the eyes of a configuration and the night memory of another, before a given language model
    or one made anew."""
    own_weights = None
    if language_model is None:
        prompt = PromptSpec(night=NIGHT_TOKEN if night.memory_size else "")
        tokenizer = build_tokenizer(prompt)
        text = preset(settings.preset, model_vocabulary(tokenizer)).text_config
    else:
        tokenizer = Tokenizer.from_file(str(language_model / "tokenizer.json"))
        prompt = PromptSpec.from_dict(json.loads((language_model / PROMPT_FILE).read_text(encoding="utf-8")))
        prompt = _prompt_for(prompt, bool(night.memory_size), language_model)
        own_weights = LlamaForCausalLM.from_pretrained(language_model, dtype=dtype)
        text = own_weights.config
    config = EegVlmConfig(
        vision_config=eyes.vision_config,
        enhancement_config=eyes.enhancement_config,
        text_config=text,
        vision_feature_layer=eyes.vision_feature_layer,
        num_stages=eyes.num_stages,
        visual_tokens=eyes.visual_tokens,
        alignment=eyes.alignment,
        patch_shape=eyes.patch_shape,
        memory_size=night.memory_size,
        memory_members=night.memory_members,
        image_token_id=prompt.token_id(tokenizer, prompt.image),
        render=eyes.render,
        preprocessing=eyes.preprocessing,
        preset_name=settings.preset,
    )
    model = EegVlmForConditionalGeneration(config)
    if own_weights is not None:
        model.language_model = own_weights
    return model, EegVlmProcessor.for_config(config, tokenizer, prompt)


def _prompt_for(prompt: PromptSpec, memory: bool, language_model: Path) -> PromptSpec:
    """The prompt with a place for the memory's token where there is a memory, and without it where not.

    Raises ValueError where the place is missing: the model would be trained without its memory.
    """
    if memory and not prompt.night:
        raise ValueError(
            f"language_model: the prompt of {language_model} has no token for the night memory; write the "
            "folder again with `eegvlm_train language-model`, or give an enhancement module without a memory"
        )
    return prompt if memory else replace(prompt, night="")


def _check_pictures(name: str, part: EegVlmConfig, whole: EegVlmConfig, base: Path | None) -> None:
    """Raises ValueError where the part was trained on other pictures, is of another shape, or has another
    memory."""
    cure = "train both with the same preset and rows"
    if base is not None:
        cure = f"train it with --base {base}, or import the base with --enhancement and it"
    for field in ("render", "preprocessing"):
        ours, theirs = getattr(whole, field) or {}, getattr(part, field) or {}
        changed = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
        if changed:
            key = changed[0]
            raise ValueError(
                f"{name}: {field}.{key} {theirs.get(key)}; trained on other pictures, those of the whole "
                f"have {ours.get(key)}: {cure}"
            )
    if name == "tower" and part.patch_shape != whole.patch_shape:
        raise ValueError(f"{name}: patches of {part.patch_size}, the other part's are {whole.patch_size}")
    kind = "vision_config" if name == "tower" else "enhancement_config"
    if getattr(part, kind).to_dict() != getattr(whole, kind).to_dict():
        raise ValueError(f"{name}: its {kind} is not that of the whole: {cure}")
    for field in ("memory_size", "memory_members") if name == "enhancement" else ():
        ours, theirs = getattr(whole, field), getattr(part, field)
        if ours != theirs:
            raise ValueError(f"{name}: {field} {theirs}; the whole has {ours}: {cure}")
    sizes = [config.vision_config.hidden_size for config in (part, whole)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"{name}: features of {sizes[0]}; the tower has {sizes[1]}: {cure}")


def eyes_of(base: Path) -> EegVlmForConditionalGeneration:
    """The vision networks of a whole checkpoint, before the stand-in for a language model of `vision_preset`:
    what the vision steps resume with `--base`. Only their weights are read.
    """
    config = EegVlmConfig.from_pretrained(base)
    config.text_config = vision_preset("nano").text_config
    model = EegVlmForConditionalGeneration(config)
    weights: dict[str, Tensor] = {}
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(str(file), framework="pt") as tensors:
            weights |= {
                name: tensors.get_tensor(name).float()
                for name in tensors.keys()  # noqa: SIM118  (a handle, no mapping)
                if name.startswith(("vision_tower.", "enhancement."))
            }
    if not weights:
        raise ValueError(f"base: {base} has no safetensors with vision networks; give a whole checkpoint")
    model.load_state_dict(model.state_dict() | weights)
    return model


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train assemble", description=__doc__)
    parser.add_argument("out", type=Path, help="checkpoint to write")
    parser.add_argument("--enhancement", type=Path, required=True, help="checkpoint of train-enhancement")
    parser.add_argument("--tower", type=Path, required=True, help="checkpoint of train-tower")
    parser.add_argument("--language-model", type=Path, help="folder of `eegvlm_train language-model`")
    parser.add_argument("--preset", default="nano", help="size of a language model made anew")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    parts = Parts(args.enhancement, args.tower, args.language_model)
    inputs = [args.enhancement, args.tower, args.language_model]
    claim_folder(args.out, "assemble", inputs=inputs, overwrite=args.overwrite)
    model, processor = assemble(parts, LanguageSettings(preset=args.preset))
    set_untrained(model.config, {*untrained_parts(model.config), LANGUAGE})
    model.save_pretrained(args.out)
    processor.save_pretrained(args.out)
    print(args.out)
    return 0
