"""Tiny LLaVA models as transformers and peft write them, with tokenizers like Llama's own."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from eegvlm_export.weights.import_llava import Imported, import_checkpoint
from eegvlm_train.model import EegVlmForConditionalGeneration
from eegvlm_train.model.tokenizer import build_tokenizer, corpus, model_vocabulary
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from eegvlm_rt.prompt import PromptSpec

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
ROWS = model_vocabulary(build_tokenizer())
Tensors = dict[str, torch.Tensor]


def random_llava(
    text: type[transformers.PretrainedConfig] = transformers.LlamaConfig,
    vision: type[transformers.PretrainedConfig] = transformers.CLIPVisionConfig,
    *,
    text_fields: dict[str, Any] | None = None,
    **fields: Any,
) -> transformers.LlavaForConditionalGeneration:
    """A LLaVA with weights large enough for every part of it to show in the logits."""
    torch.manual_seed(3)
    shape = {"vocab_size": ROWS, "tie_word_embeddings": False} | TEXT | (text_fields or {})
    config = transformers.LlavaConfig(
        vision_config=vision(**VISION),
        text_config=text(**shape),
        **{"image_token_id": 3, "vision_feature_layer": -2} | fields,
    )
    model = transformers.LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.tie_weights()
    return model


def save_llava(
    model: transformers.LlavaForConditionalGeneration,
    folder: Path,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    tokenizer: Tokenizer | None = None,
) -> Path:
    """What transformers writes, with a tokenizer; `change` edits config.json in place."""
    model.save_pretrained(folder)
    (tokenizer or build_tokenizer()).save(str(folder / "tokenizer.json"))
    file = folder / "config.json"
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields))
    return folder


def stored(folder: Path) -> Tensors:
    """Every tensor of the safetensors files in a folder."""
    found: Tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def imported(source: Path, *, out: Path | None = None, **options: Any) -> Imported:
    """`source` imported to `out`, or to a folder beside it, with a small enhancement network unless another
    is given.
    """
    if "enhancement" not in options:
        options["enhancement"] = source.with_name("convnext")
        if not options["enhancement"].exists():
            small_convnext().save_pretrained(options["enhancement"])
    return import_checkpoint(source, out or source.with_name(f"{source.name}-imported"), **options)


def small_convnext() -> transformers.ConvNextForImageClassification:
    """A ConvNeXt of a few thousand weights, with the classifier that such checkpoints have."""
    torch.manual_seed(5)
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    return transformers.ConvNextForImageClassification(config).eval()


def reloaded(source: Path) -> transformers.LlavaForConditionalGeneration:
    """`source` as transformers reads it."""
    return transformers.LlavaForConditionalGeneration.from_pretrained(source, dtype=torch.float32).eval()


def largest_difference(model: transformers.LlavaForConditionalGeneration, folder: Path) -> float:
    """Between `model` and the imported one: of the logits after 96 tokens, and of the visual tokens."""
    ours = EegVlmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    rows = model.config.text_config.vocab_size
    random = torch.Generator().manual_seed(1)
    ids = torch.randint(4, min(rows, ROWS) - 70, (1, 96), generator=random)
    size = model.config.vision_config.image_size
    picture = torch.randn(1, 3, size, size, generator=random)
    with torch.no_grad():
        theirs = model(input_ids=ids).logits
        logits = (ours.language_model(input_ids=ids).logits[..., :rows] - theirs).abs().max()
        shown = torch.cat(list(model.get_image_features(picture).pooler_output)).reshape(
            -1, TEXT["hidden_size"]
        )
        seen = ours.visual(picture).visual_tokens[0, : len(shown)]
        return float(torch.maximum(logits, (seen - shown).abs().max()))


def llama_tokenizer(kind: str = "normalizer") -> Tokenizer:
    """A BPE with byte fallback as Llama 1 and 2 have it: spaces are U+2581, one stands before every text.

    "normalizer" is what transformers converted until 4.40, "metaspace" what it converts today, "bytes" the
    byte-level BPE of Llama 3.
    """
    lines = [*corpus(PromptSpec()), "The patient slept well: slow waves, spindles and theta activity.\n"]
    # each digit is a token of its own, as in Llama: no stage is one token
    text = [*string.digits, *(words for line in lines for words in re.split(r"\d", line))] * 3
    if kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(vocab_size=480, special_tokens=special, initial_alphabet=alphabet)
        tokenizer.train_from_iterator(text, trainer)
        return tokenizer
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if kind == "normalizer":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    )
    tokenizer.train_from_iterator([words for line in text for words in line.split("\n")], trainer)
    # bytes are ordinary tokens in a tokenizer of Llama
    fields = json.loads(tokenizer.to_str())
    fields["added_tokens"] = [token for token in fields["added_tokens"] if token["content"] in special]
    return Tokenizer.from_str(json.dumps(fields))
