"""The model that step 3 trains, put together from the checkpoints of the steps before it.

`python -m eegvlm_train assemble OUT --enhancement E --tower T --language-model L` writes it untrained: the
base that `eegvlm_train merge` joins with an adapter.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from eegvlm_rt.files import claim_folder
from eegvlm_rt.prompt import PromptSpec

from ..outputs import add_overwrite
from ..settings import LanguageSettings
from .configuration import EegVlmConfig
from .modeling import EegVlmForConditionalGeneration
from .presets import preset
from .processing import EegVlmProcessor
from .tokenizer import build_tokenizer, model_vocabulary

__all__ = ["PROMPT_FILE", "Parts", "assemble", "main"]

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
    seen = {
        name: EegVlmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        for name, folder in (("enhancement", parts.enhancement), ("tower", parts.tower))
        if folder is not None
    }
    if parts.base is not None:
        model = EegVlmForConditionalGeneration.from_pretrained(parts.base, dtype=dtype)
        processor = EegVlmProcessor.from_pretrained(parts.base)
    else:
        if len(seen) < 2:
            raise ValueError("parts: give --vision, or --enhancement and --tower, or --base")
        model, processor = _new(seen["tower"].config, parts.language_model, settings, dtype)
    for name, source in seen.items():
        _check_pictures(name, source.config, model.config)
        attribute = "vision_tower" if name == "tower" else name
        setattr(model, attribute, getattr(source, attribute))
    if "enhancement" in seen and model.config.memory_size:
        model.memory = seen["enhancement"].memory
    parts_in_single = [model.vision_tower, model.enhancement, model.projector]
    if model.config.memory_size:
        parts_in_single += [model.memory, model.memory_token]
    for module in parts_in_single:
        module.float()
    if settings.visual_tokens is not None:
        model.config.visual_tokens = settings.visual_tokens
    return model, processor


def _new(
    eyes: EegVlmConfig, language_model: Path | None, settings: LanguageSettings, dtype: torch.dtype
) -> tuple[EegVlmForConditionalGeneration, EegVlmProcessor]:
    """A model with the eyes of a configuration, before a given language model or one made anew."""
    given = None
    if language_model is None:
        prompt = PromptSpec(night=NIGHT_TOKEN if eyes.memory_size else "")
        tokenizer = build_tokenizer(prompt)
        text = preset(settings.preset, model_vocabulary(tokenizer)).text_config
    else:
        tokenizer = Tokenizer.from_file(str(language_model / "tokenizer.json"))
        prompt = PromptSpec.from_dict(json.loads((language_model / PROMPT_FILE).read_text(encoding="utf-8")))
        given = LlamaForCausalLM.from_pretrained(language_model, dtype=dtype)
        text = given.config
    config = EegVlmConfig(
        vision_config=eyes.vision_config,
        enhancement_config=eyes.enhancement_config,
        text_config=text,
        vision_feature_layer=eyes.vision_feature_layer,
        num_stages=eyes.num_stages,
        visual_tokens=eyes.visual_tokens,
        patch_shape=eyes.patch_shape,
        memory_size=eyes.memory_size,
        memory_members=eyes.memory_members,
        image_token_id=prompt.token_id(tokenizer, prompt.image),
        render=eyes.render,
        preprocessing=eyes.preprocessing,
        preset_name=settings.preset,
    )
    model = EegVlmForConditionalGeneration(config)
    if given is not None:
        model.language_model = given
    return model, EegVlmProcessor.for_config(config, tokenizer, prompt)


def _check_pictures(name: str, part: EegVlmConfig, whole: EegVlmConfig) -> None:
    """Raises ValueError where the part was trained on other pictures, or is of another shape."""
    if part.render != whole.render or part.preprocessing != whole.preprocessing:
        raise ValueError(f"{name}: trained on other pictures; train both networks with the same rows")
    if name == "tower" and part.patch_shape != whole.patch_shape:
        raise ValueError(f"{name}: patches of {part.patch_size}, the other part's are {whole.patch_size}")
    kind = "vision_config" if name == "tower" else "enhancement_config"
    if getattr(part, kind).to_dict() != getattr(whole, kind).to_dict():
        raise ValueError(f"{name}: its {kind} is not the other part's; train both with the same preset")


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
    model.save_pretrained(args.out)
    processor.save_pretrained(args.out)
    print(args.out)
    return 0
