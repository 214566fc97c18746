"""LoRA beside the language model (Hu et al. 2022), plain or over 4-bit layers (QLoRA, Dettmers et al. 2023).

An adapter folder is peft's: `adapter_config.json` and `adapter_model.safetensors`, and LLaVA's
`non_lora_trainables.bin` with the weights that were trained, or given, whole. `python -m eegvlm_train merge
BASE ADAPTER OUT` puts one into the checkpoint it was trained on.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from eegvlm_rt.files import claim_folder

from ..outputs import add_overwrite
from ..settings import LanguageSettings
from .configuration import EegVlmConfig
from .modeling import EegVlmForConditionalGeneration
from .processing import EegVlmProcessor
from .untrained import LANGUAGE, set_untrained, untrained_parts

__all__ = ["add_adapters", "main", "merge", "merged_state", "quantize", "save_adapter"]

_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_PREFIX = "base_model.model."
_WHOLE = "non_lora_trainables.bin"
_ADAPTER = "adapter_model.safetensors"
_PAIR = re.compile(r"(?P<layer>.+)\.lora_(?P<part>[AB])\.default\.weight")


_BLOCK = 64
"""Weights that share a scale in NF4, as bitsandbytes packs them by default (Dettmers et al. 2023, 3)."""


def _check_widths(language_model: LlamaForCausalLM) -> None:
    """Raises ValueError for layers that bitsandbytes cannot pack for every device: those whose rows are no
    whole blocks, or come in no groups of 32."""
    layers = [m for layer in language_model.model.layers for m in layer.modules() if isinstance(m, nn.Linear)]
    shapes = {(m.in_features, m.out_features) for m in layers}
    wrong = [f"{rows} x {columns}" for rows, columns in sorted(shapes) if rows % _BLOCK or columns % 32]
    if wrong:
        raise ValueError(
            f"tuning: 'qlora' with layers of {', '.join(wrong)}; 4-bit weights come in blocks of {_BLOCK}: "
            f"use tuning=lora, or a language model whose widths are multiples of {_BLOCK}"
        )


def quantize(language_model: LlamaForCausalLM) -> None:
    """Replace every projection of the layers by NF4 with doubly quantised constants, computing in bfloat16;
    the rest goes to single precision. The weights are packed when the module is moved to its device.
    """
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    _check_widths(language_model)
    language_model.float()
    for layer in language_model.model.layers:
        for parent in (layer.self_attn, layer.mlp):
            for name, linear in list(parent.named_children()):
                if not isinstance(linear, nn.Linear):
                    continue
                packed = Linear4bit(
                    linear.in_features,
                    linear.out_features,
                    bias=linear.bias is not None,
                    compute_dtype=torch.bfloat16,
                    compress_statistics=True,
                    quant_type="nf4",
                    device="meta",
                )
                packed.weight = Params4bit(
                    linear.weight.data.to(torch.bfloat16),
                    requires_grad=False,
                    compress_statistics=True,
                    quant_type="nf4",
                    module=packed,
                )
                if linear.bias is not None:
                    packed.bias = nn.Parameter(linear.bias.data, requires_grad=False)
                setattr(parent, name, packed)


def add_adapters(model: EegVlmForConditionalGeneration, settings: LanguageSettings) -> None:
    """Freeze the language model but for its embeddings, whose new tokens must be learned, and set adapters
    beside every projection of its layers; with `tuning` "qlora" those projections are held in 4 bits.
    """
    from peft import inject_adapter_in_model

    language_model: Any = model.language_model
    if settings.tuning == "qlora":
        quantize(language_model)
        language_model.is_loaded_in_4bit = True
    language_model.requires_grad_(False)
    inject_adapter_in_model(lora_config(settings), language_model)
    for table in (language_model.get_input_embeddings(), language_model.get_output_embeddings()):
        table.requires_grad_(True)


def lora_config(settings: LanguageSettings) -> Any:
    """The settings as peft keeps them."""
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(_TARGETS),
        bias="none",
        task_type="CAUSAL_LM",
    )


def merged_state(model: EegVlmForConditionalGeneration, scale: float) -> dict[str, Tensor]:
    """The model's state with W + alpha / r * B A in place of W and its adapter; `scale` is alpha / r.

    Raises ValueError where W is held in 4 bits.
    """
    state = model.state_dict()
    merged: dict[str, Tensor] = {}
    for name, value in state.items():
        if ".lora_" in name:
            continue
        if ".base_layer." not in name:
            merged[name] = value
            continue
        layer, _, rest = name.partition(".base_layer.")
        if rest == "bias":
            merged[f"{layer}.bias"] = value
            continue
        if rest != "weight" or not value.is_floating_point():
            raise ValueError(f"{layer}: in 4 bits; merge its adapter into the checkpoint it was trained on")
        a, b = (state[f"{layer}.lora_{part}.default.weight"].float() for part in "AB")
        merged[f"{layer}.weight"] = (value.float() + scale * (b @ a)).to(value.dtype)
    return merged


def save_adapter(
    model: EegVlmForConditionalGeneration, settings: LanguageSettings, folder: Path, base: str = ""
) -> None:
    """Write the adapters of `add_adapters` in half precision, and whole all that is not the language model's
    layers."""
    folder.mkdir(parents=True, exist_ok=True)
    config = lora_config(settings)
    config.base_model_name_or_path = base
    config.inference_mode = True
    config.save_pretrained(str(folder))
    pairs, whole = {}, {}
    for name, value in model.state_dict().items():
        match = _PAIR.fullmatch(name)
        if match:
            key = f"{_PREFIX}{match['layer']}.lora_{match['part']}.weight"
            pairs[key] = value.detach().half().cpu().contiguous()
        elif not name.startswith("language_model.model.layers."):
            whole[name] = value.detach().half().cpu().clone()
    save_file(pairs, folder / _ADAPTER, metadata={"format": "pt"})
    torch.save(whole, folder / _WHOLE)
    model.config.save_pretrained(folder)


def merge(base: Path, adapter: Path, out: Path) -> None:
    """The checkpoint `base` with an adapter of `save_adapter` in it, written to `out` in its precision.

    Raises ValueError where the adapter holds weights that the base does not have.
    """
    from peft import PeftConfig

    config: Any = PeftConfig.from_pretrained(str(adapter))
    scale = config.lora_alpha / config.r
    model = EegVlmForConditionalGeneration.from_pretrained(base)
    state = model.state_dict()
    whole = torch.load(adapter / _WHOLE, weights_only=True)
    pairs = load_file(adapter / _ADAPTER)
    layers = {name.removeprefix(_PREFIX).partition(".lora_")[0] for name in pairs}
    unknown = sorted(({f"{layer}.weight" for layer in layers} | set(whole)) - set(state))
    if unknown:
        raise ValueError(f"adapter: {unknown[0]}; {base.name} has no such weight")
    for name, value in whole.items():
        state[name] = value.to(state[name].dtype)
    for layer in layers:
        a, b = (pairs[f"{_PREFIX}{layer}.lora_{part}.weight"].float() for part in "AB")
        weight = state[f"{layer}.weight"]
        state[f"{layer}.weight"] = (weight.float() + scale * (b @ a)).to(weight.dtype)
    model.load_state_dict(state)
    # An adapter says what its run left untrained; one that is older than that has trained the language model.
    left = set(untrained_parts(model.config)) - {LANGUAGE}
    if (adapter / "config.json").is_file():
        left = set(untrained_parts(EegVlmConfig.from_pretrained(adapter)))
    set_untrained(model.config, left)
    model.save_pretrained(out)
    EegVlmProcessor.from_pretrained(base).save_pretrained(out)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train merge", description=__doc__)
    parser.add_argument("base", type=Path, help="checkpoint that the adapter was trained on")
    parser.add_argument("adapter", type=Path, help="adapter folder, as train-language leaves it")
    parser.add_argument("out", type=Path, help="checkpoint to write")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    claim_folder(args.out, "merge", inputs=[args.base, args.adapter], overwrite=args.overwrite)
    merge(args.base, args.adapter, args.out)
    print(args.out)
    return 0
