"""`python -m eegvlm_export import LLAVA -o CHECKPOINT`: LLaVA-1.5 in any layout as a checkpoint of EEG-VLM.

What was read is held against what is used: a field of the configuration that changes the arithmetic and a
tensor that has no place are refused by name. Weights pass one by one from the files read to the shards
written: memory stays near one shard. The folder appears whole or not at all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from eegvlm_train.model import EegVlmConfig, preset
from eegvlm_train.model.initialization import fan_in_initialize
from eegvlm_train.model.modeling import VisualEnhancementModule
from eegvlm_train.model.processing import EegVlmProcessor
from eegvlm_train.model.untrained import ENHANCEMENT, LANGUAGE, set_untrained, untrained_parts
from eegvlm_train.outputs import add_overwrite
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig

from eegvlm_rt.bundle.publishing import publish_folder, staging_folder
from eegvlm_rt.errors import CheckpointError, EegVlmError
from eegvlm_rt.files import check_outputs, claim_folder

from .adapters import Adapter
from .config_fields import read_json
from .layouts import enhancement_name
from .llava_config import LlavaShape, read_clip, read_llava
from .llava_tokens import ImportedTokens, import_tokens
from .shards import SHARD_BYTES, TensorFiles, write_shards
from .weight_sources import EMBEDDING, GROWING, HEAD, WeightSources

__all__ = ["Imported", "import_checkpoint", "main"]

Config = TypeVar("Config")

_CONFIG: Final = "config.json"
_SEED: Final = 0
_STEP: Final = 64


@dataclass(frozen=True, slots=True)
class Imported:
    """A checkpoint that was written: `untrained` are weights that nothing gave, drawn at random; `notes` say
    what was left out or taken for granted."""

    path: Path
    untrained: tuple[str, ...]
    notes: tuple[str, ...]


def import_checkpoint(
    source: str | Path,
    out: str | Path,
    *,
    clip: str | Path | None = None,
    enhancement: str | Path | None = None,
    adapter: str | Path | None = None,
    ignored: Iterable[str] = (),
    shard_bytes: int = SHARD_BYTES,
    overwrite: bool = False,
) -> Imported:
    """Write the checkpoint folder `out`, which must be new or empty; with `overwrite` a folder that is there
    is swapped for the new one, and removed after. It is never one of those that are read.

    `source` is LLaVA-1.5 as its authors or as transformers write it, with `tokenizer.json`; `clip` a CLIP
    model where `source` has no vision tower; `enhancement` a ConvNeXt or ResNet, or a checkpoint with a
    module that was trained here, whose pictures and memory come with it; `adapter` a LoRA folder trained on
    `source`. `ignored` names fields of their configurations that change nothing. Tokens that the prompt needs
    and the tokenizer lacks get the mean of all embeddings.

    Raises CheckpointError naming what is missing, of another model, or would be forgotten; OutputError where
    `out` is what is read.
    """
    folder, target = Path(source), Path(out)
    check_outputs([target / _CONFIG], inputs=[folder, clip, enhancement, adapter], overwrite=True)
    _check_target(target, overwrite)
    apart = {"clip": clip, "enhancement": enhancement, "adapter": adapter}
    paths = {name: Path(path) for name, path in apart.items() if path is not None}
    lora = Adapter(paths["adapter"], ignored) if adapter is not None else None
    shape = _shape(folder, paths, frozenset(ignored))
    module = _module(paths["enhancement"]) if enhancement is not None else _Module(preset("paper"))
    memory = bool(module.config.memory_size)
    tokens = import_tokens(folder, shape.special, paths.get("adapter"), night=memory)
    sources = WeightSources(TensorFiles(folder), lora)
    if clip is not None:
        sources.add_tower(paths["clip"])
    if enhancement is not None and module.trained:
        sources.add_enhancement(paths["enhancement"])
    elif enhancement is not None:
        sources.add(TensorFiles(paths["enhancement"]), enhancement_name)
    if shape.tied:
        sources.tie()
    rows = sources.rows()
    _check_rows(rows, int(shape.text["vocab_size"]), lora)
    config = _config(shape, module, tokens, rows)
    drawn, shapes = sources.check(config)
    random = any(name.startswith("enhancement.") for name in drawn)
    set_untrained(config, [LANGUAGE, *untrained_parts(module.config), *([ENHANCEMENT] if random else [])])
    processor = EegVlmProcessor.for_config(config, tokens.tokenizer, tokens.prompt)
    notes = [*shape.notes, *tokens.notes, *sources.notes]
    try:
        processor.check_length(config)
    except ValueError as error:
        notes.append(f"it cannot be trained: {error}")
    _write(target, config, processor, _finished(sources, config, tokens, drawn, shapes), shard_bytes)
    return Imported(target, tuple(drawn), tuple(notes))


def _check_target(target: Path, overwrite: bool) -> None:
    """Raises CheckpointError where something is there that must not be replaced."""
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    if target.is_symlink() or not target.is_dir():
        raise CheckpointError("--out", str(target), "no folder: give a new folder")
    if not overwrite:
        raise CheckpointError(
            "--out", str(target), "it is there already: give a new folder, or add --overwrite"
        )


def _check_rows(rows: int, described: int, lora: Adapter | None) -> None:
    """Tables have the rows that the configuration says, or those of an adapter that brings its tokenizer."""
    if rows == described:
        return
    if lora is None or lora.whole(EMBEDDING) is None:
        raise CheckpointError("vocab_size", described, f"the embedding has {rows} rows: say {rows}")
    if not (lora.folder / "tokenizer.json").is_file():
        raise CheckpointError(
            "adapter",
            f"{rows} rows",
            f"the base has {described}: put the tokenizer.json with the new tokens beside it",
        )


def _shape(folder: Path, paths: Mapping[str, Path], ignored: frozenset[str]) -> LlavaShape:
    """What the configurations of all parts together say. LLaVA saves the model's own beside an adapter."""
    shape = read_llava(read_json(folder / "config.json"), ignored)
    beside = paths["adapter"] / "config.json" if "adapter" in paths else None
    if beside is not None and beside.is_file():
        own = read_json(beside)
        if own.get("model_type") == EegVlmConfig.model_type:
            cure = "it was trained here: join it to its base with python -m eegvlm_train merge"
            raise CheckpointError("adapter: config.json: model_type", own["model_type"], cure)
        adapted = read_llava(own, ignored)
        for field, value in shape.text.items():
            if adapted.text[field] != value and field != "vocab_size":
                raise CheckpointError(
                    f"adapter: config.json: {field}",
                    adapted.text[field],
                    f"the base says {value}: give its own base",
                )
        shape = adapted
    if "clip" in paths:
        return shape.with_tower(read_clip(read_json(paths["clip"] / "config.json"), ignored))
    return shape


@dataclass(frozen=True, slots=True)
class _Module:
    """An enhancement module with the pictures it reads; `trained` here, or a network that begins."""

    config: EegVlmConfig
    trained: bool = False


def _module(folder: Path) -> _Module:
    """The module in a checkpoint of `train-enhancement` or `train-memory`, or around a network of
    transformers, which reads the pictures of the paper."""
    fields = read_json(folder / "config.json")
    if fields.get("model_type") == EegVlmConfig.model_type:
        return _Module(EegVlmConfig.from_pretrained(folder), trained=True)
    config = preset("paper")
    config.enhancement_config = _built(EegVlmConfig, enhancement_config=fields).enhancement_config
    return _Module(config)


def _config(shape: LlavaShape, eyes: _Module, tokens: ImportedTokens, rows: int) -> EegVlmConfig:
    module = eyes.config
    if shape.vision is None:
        raise CheckpointError(
            "checkpoint", "no vision_tower", "give --clip, the CLIP that it was trained with"
        )
    if eyes.trained:
        _check_width(module, int(shape.vision["hidden_size"]))
    places = tokens.tokenizer.get_vocab(with_added_tokens=True).values()
    needed = max(places) + 1
    text = dict(shape.text) | {"tie_word_embeddings": False}
    text["vocab_size"] = rows if needed <= rows else -(-needed // _STEP) * _STEP
    prompt = tokens.prompt
    for name, token in (("bos", prompt.bos), ("eos", prompt.eos), ("pad", prompt.pad)):
        text[f"{name}_token_id"] = prompt.token_id(tokens.tokenizer, token)
    return _built(
        EegVlmConfig,
        vision_config=_built(CLIPVisionConfig, **shape.vision),
        enhancement_config=module.enhancement_config,
        text_config=_built(LlamaConfig, **text),
        vision_feature_layer=shape.feature_layer,
        memory_size=module.memory_size,
        memory_members=module.memory_members,
        image_token_id=prompt.token_id(tokens.tokenizer, prompt.image),
        render=_picture(module, int(shape.vision["image_size"])),
        preprocessing=module.preprocessing,
        preset_name="paper",
    )


def _check_width(module: EegVlmConfig, tower: int) -> None:
    """Raises CheckpointError where features of a trained module have no room in those of the tower."""
    width = int(module.vision_config.hidden_size)
    if width > tower:
        raise CheckpointError(
            "--enhancement", f"features of {width}", f"the tower's have {tower}: train one with --base"
        )


def _picture(module: EegVlmConfig, size: int) -> dict[str, Any]:
    """The picture that the module reads, as large as the tower's. A network of transformers reads any size, a
    trace reader the one that it was trained on.
    """
    render = dict(module.render or {})
    if module.high_level_steps > 1 and (render["width"], render["height"]) != (size, size):
        raise CheckpointError(
            "--enhancement",
            f"reads pictures of {render['width']} x {render['height']}",
            f"the tower sees {size} x {size}: train one with --base",
        )
    return render | {"width": size, "height": size}


def _built(kind: Callable[..., Config], **fields: Any) -> Config:
    """A configuration; what its own class refuses is told as everything else."""
    try:
        return kind(**fields)
    except (ValueError, TypeError) as error:
        field, _, cure = str(error).partition(":")
        raise CheckpointError(f"config: {field}", cure.strip(), "give a LLaVA-1.5") from error


def _finished(
    sources: WeightSources,
    config: EegVlmConfig,
    tokens: ImportedTokens,
    drawn: Sequence[str],
    shapes: Mapping[str, tuple[int, ...]],
) -> Iterator[tuple[str, Tensor]]:
    """Every weight of the network: tables with rows for all tokens, grown ones with zeros, and what is
    drawn."""
    for name, weight in sources.tensors():
        if name in (EMBEDDING, HEAD):
            weight = _with_tokens(weight, config.text_config.vocab_size, tokens.added.values())
        elif name in GROWING:
            weight = _grown(weight, shapes[name])
        yield name, weight
    fresh = _fresh(config, shapes) if drawn else {}
    for name in drawn:
        yield name, fresh[name]


def _grown(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """The weight in the corner of zeros."""
    whole = torch.zeros(*shape, dtype=weight.dtype)
    whole[tuple(slice(size) for size in weight.shape)] = weight
    return whole


def _with_tokens(table: Tensor, rows: int, added: Iterable[int]) -> Tensor:
    """The table with `rows` rows. New tokens have the mean of all, also where a row for padding was."""
    mean = table.float().mean(0).to(table.dtype)
    full = torch.cat([table, mean.expand(rows - len(table), -1)])
    full[list(added)] = mean
    return full


def _fresh(config: EegVlmConfig, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The enhancement module, and the product that makes the memory's token, as training would start them."""
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        size = config.vision_config.hidden_size
        module = VisualEnhancementModule(config.enhancement_config, size, config.num_stages)
        fan_in_initialize(module)
        fresh = {f"enhancement.{name}": weight for name, weight in module.state_dict().items()}
        if config.memory_size:
            outputs, inputs = shapes["memory_token.weight"]
            token = torch.nn.Linear(inputs, outputs)
            fresh |= {f"memory_token.{name}": weight for name, weight in token.state_dict().items()}
    return fresh


def _write(
    target: Path,
    config: EegVlmConfig,
    processor: EegVlmProcessor,
    weights: Iterator[tuple[str, Tensor]],
    shard_bytes: int,
) -> None:
    """Write beside the target and swap: a refusal in between leaves everything as it was."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with staging_folder(target) as staging:
        write_shards(weights, staging, shard_bytes=shard_bytes)
        config.save_pretrained(staging)
        processor.save_pretrained(staging)
        claim_folder(staging, "import", overwrite=True)
        publish_folder(staging, target)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one import; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eegvlm_export import", description=__doc__)
    parser.add_argument("source", type=Path, help="folder of LLaVA-1.5")
    parser.add_argument("-o", "--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--clip", type=Path, help="CLIP, where the folder has no vision tower")
    parser.add_argument(
        "--enhancement",
        type=Path,
        help="ConvNeXt or ResNet, or a checkpoint of train-enhancement or train-memory",
    )
    parser.add_argument("--adapter", type=Path, help="LoRA adapter to merge")
    parser.add_argument(
        "--ignore-field",
        action="append",
        default=[],
        metavar="NAME",
        help="a field of a configuration that is known to change no arithmetic",
    )
    add_overwrite(parser)
    args = parser.parse_args(argv)
    try:
        imported = import_checkpoint(
            args.source,
            args.out,
            clip=args.clip,
            enhancement=args.enhancement,
            adapter=args.adapter,
            ignored=args.ignore_field,
            overwrite=args.overwrite,
        )
    except (EegVlmError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for note in imported.notes:
        print(note, file=sys.stderr)
    drawn = f"{len(imported.untrained)} weights of the enhancement module are drawn at random, " * bool(
        imported.untrained
    )
    print(f"untrained: {drawn}the language model knows no sleep; train before exporting", file=sys.stderr)
    print(imported.path)
    return 0
