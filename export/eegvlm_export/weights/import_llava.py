"""`python -m eegvlm_export import LLAVA -o CHECKPOINT`: LLaVA-1.5 in any layout as a checkpoint of EEG-VLM.

Weights pass one by one from the files read to the shards written: memory stays near one shard.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from eegvlm_train.model import EegVlmConfig, preset
from eegvlm_train.model.initialization import fan_in_initialize
from eegvlm_train.model.modeling import VisualEnhancementModule
from eegvlm_train.model.processing import EegVlmProcessor
from tokenizers import AddedToken, Tokenizer
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig

from eegvlm_rt.prompt import PromptSpec

from .adapters import Adapter
from .layouts import clip_name, enhancement_name, llava_name
from .shards import SHARD_BYTES, TensorFiles, write_shards

__all__ = ["import_checkpoint", "main"]

_EMBEDDING: Final = ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight")
_SEED: Final = 0


def import_checkpoint(
    source: str | Path,
    out: str | Path,
    *,
    clip: str | Path | None = None,
    enhancement: str | Path | None = None,
    adapter: str | Path | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> list[str]:
    """Write the checkpoint folder `out`; returns the names of weights that nothing gave, drawn at random.

    `source` is LLaVA-1.5 as its authors or as transformers write it, with `tokenizer.json`; `clip` a CLIP
    model where `source` has no vision tower; `enhancement` a ConvNeXt or ResNet; `adapter` a LoRA folder
    trained on `source`. Tokens that the prompt needs and the tokenizer lacks get the mean of all
    embeddings.

    Raises FileNotFoundError for what is missing, ValueError for weights of another model.
    """
    folder, target = Path(source), Path(out)
    fields = _config_of(folder)
    backbone = _config_of(Path(enhancement)) if enhancement is not None else None
    vision = _vision_config(fields, Path(clip) if clip is not None else None)
    tokenizer, tokens = _tokenizer(folder)
    config = _config(fields, vision, backbone, tokenizer, tokens)
    lora = Adapter(Path(adapter)) if adapter is not None else None
    drawn: list[str] = []
    weights = _weights(folder, clip, enhancement, lora, config, drawn)
    write_shards(weights, target, shard_bytes=shard_bytes)
    if lora is not None and lora.unused:
        raise ValueError(f"adapter: {', '.join(lora.unused[:4])}; no weight of the base has this name")
    config.save_pretrained(target)
    EegVlmProcessor.for_config(config, tokenizer).save_pretrained(target)
    return drawn


def _config_of(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"checkpoint: {folder} has no config.json")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _vision_config(fields: dict[str, Any], clip: Path | None) -> dict[str, Any]:
    if clip is not None:
        own = _config_of(clip)
        return dict(own.get("vision_config", own))
    return dict(fields.get("vision_config") or preset("paper").vision_config.to_dict())


def _tokenizer(folder: Path) -> tuple[Tokenizer, list[str]]:
    """The tokenizer with every token that the prompt needs, and those that it lacked."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"checkpoint: {folder} has no tokenizer.json; write it with "
            "transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    tokenizer, prompt = Tokenizer.from_file(str(file)), PromptSpec()
    special = [token for token in prompt.special_tokens if tokenizer.token_to_id(token) is None]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    coded = [tuple(tokenizer.encode(a, add_special_tokens=False).ids) for a in prompt.stage_answers]
    answers = [
        answer
        for answer, ids in zip(prompt.stage_answers, coded, strict=True)
        if len(ids) != 1 or coded.count(ids) > 1
    ]
    tokenizer.add_tokens([AddedToken(answer, normalized=False) for answer in answers])
    return tokenizer, special + answers


def _config(
    fields: dict[str, Any],
    vision: dict[str, Any],
    backbone: dict[str, Any] | None,
    tokenizer: Tokenizer,
    added: list[str],
) -> EegVlmConfig:
    paper = preset("paper")
    text = dict(fields.get("text_config") or fields)
    text["model_type"] = "llama"
    known = set(LlamaConfig().to_dict())
    language = LlamaConfig(**{name: value for name, value in text.items() if name in known})
    rows = max(language.vocab_size, tokenizer.get_vocab_size())
    language.vocab_size = -(-rows // 64) * 64 if added else rows
    layer = fields.get("vision_feature_layer", fields.get("mm_vision_select_layer", -2))
    image_size = int(vision.get("image_size", 336))
    return EegVlmConfig(
        vision_config=CLIPVisionConfig(
            **{k: v for k, v in vision.items() if k in CLIPVisionConfig().to_dict()}
        ),
        enhancement_config=backbone if backbone is not None else paper.enhancement_config,
        text_config=language,
        vision_feature_layer=int(layer),
        image_token_id=tokenizer.token_to_id(PromptSpec().image),
        render=(paper.render or {}) | {"width": image_size, "height": image_size},
        preprocessing=paper.preprocessing,
        preset_name="paper",
    )


def _weights(
    folder: Path,
    clip: str | Path | None,
    enhancement: str | Path | None,
    lora: Adapter | None,
    config: EegVlmConfig,
    drawn: list[str],
) -> Iterator[tuple[str, Tensor]]:
    given: set[str] = set()
    files = TensorFiles(folder)
    seen = set(files)
    for source in files:
        weight = files.tensor(source)
        weight = weight if lora is None else lora.apply(source, weight)
        name = llava_name(source)
        if name is not None and not (clip is not None and name.startswith("vision_tower.")):
            given.add(name)
            yield name, _rows(weight, config.text_config.vocab_size) if name in _EMBEDDING else weight
    for source, weight in lora.extra(seen) if lora is not None else ():
        name = llava_name(source)
        if name is not None and name not in given:
            given.add(name)
            yield name, weight
    for path, rename in ((clip, clip_name), (enhancement, enhancement_name)):
        for source, weight in _all(Path(path)) if path is not None else ():
            name = rename(source)
            if name is not None:
                given.add(name)
                yield name, weight
    for name, weight in _fresh(config).items():
        if name not in given:
            drawn.append(name)
            given.add(name)
            yield name, weight
    parts = {name.partition(".")[0] for name in given}
    missing = {"vision_tower", "projector", "language_model"} - parts
    if missing:
        cure = "give --clip" if "vision_tower" in missing else "give a whole LLaVA-1.5"
        raise FileNotFoundError(f"checkpoint: no weights of {', '.join(sorted(missing))}; {cure}")


def _all(folder: Path) -> Iterator[tuple[str, Tensor]]:
    files = TensorFiles(folder)
    for name in files:
        yield name, files.tensor(name)


def _rows(table: Tensor, rows: int) -> Tensor:
    missing = rows - len(table)
    mean = table.float().mean(0, keepdim=True).to(table.dtype)
    return torch.cat([table, mean.expand(missing, -1)]) if missing > 0 else table


def _fresh(config: EegVlmConfig) -> dict[str, Tensor]:
    """The enhancement module as training would start it."""
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        size = config.vision_config.hidden_size
        module = VisualEnhancementModule(config.enhancement_config, size, config.num_stages)
        fan_in_initialize(module)
    return {f"enhancement.{name}": weight for name, weight in module.state_dict().items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one import; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eegvlm_export import", description=__doc__)
    parser.add_argument("source", type=Path, help="folder of LLaVA-1.5")
    parser.add_argument("-o", "--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--clip", type=Path, help="CLIP, where the folder has no vision tower")
    parser.add_argument("--enhancement", type=Path, help="ConvNeXt or ResNet for the enhancement module")
    parser.add_argument("--adapter", type=Path, help="LoRA adapter to merge")
    args = parser.parse_args(argv)
    try:
        drawn = import_checkpoint(
            args.source, args.out, clip=args.clip, enhancement=args.enhancement, adapter=args.adapter
        )
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if drawn:
        print(
            f"{len(drawn)} weights of the enhancement module are untrained: train before exporting",
            file=sys.stderr,
        )
    print(args.out)
    return 0
