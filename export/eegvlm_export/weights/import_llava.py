"""`python -m eegvlm_export import LLAVA -o CHECKPOINT`: LLaVA-1.5 in any layout as a checkpoint of EEG-VLM.

What was read is held against what is used: a field of the configuration that changes the arithmetic and a
tensor that has no place are refused by name. Weights pass one by one from the files read to the shards
written: memory stays near one shard. The folder appears whole or not at all.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from eegvlm_train.model import EegVlmConfig, preset
from eegvlm_train.model.initialization import fan_in_initialize
from eegvlm_train.model.modeling import VisualEnhancementModule
from eegvlm_train.model.processing import EegVlmProcessor
from eegvlm_train.outputs import add_overwrite
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig

from eegvlm_rt.errors import CheckpointError, EegVlmError
from eegvlm_rt.files import claim_folder

from .adapters import Adapter
from .config_fields import read_json
from .layouts import enhancement_name
from .llava_config import LlavaShape, read_clip, read_llava
from .llava_tokens import ImportedTokens, import_tokens
from .shards import SHARD_BYTES, TensorFiles, write_shards
from .weight_sources import EMBEDDING, HEAD, WeightSources

__all__ = ["Imported", "import_checkpoint", "main"]

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
) -> Imported:
    """Write the checkpoint folder `out`, which must be new or empty.

    `source` is LLaVA-1.5 as its authors or as transformers write it, with `tokenizer.json`; `clip` a CLIP
    model where `source` has no vision tower; `enhancement` a ConvNeXt or ResNet; `adapter` a LoRA folder
    trained on `source`. `ignored` names fields of their configurations that change nothing. Tokens that the
    prompt needs and the tokenizer lacks get the mean of all embeddings.

    Raises CheckpointError naming what is missing, of another model, or would be forgotten.
    """
    folder, target = Path(source), Path(out)
    _check_target(target)
    apart = {"clip": clip, "enhancement": enhancement, "adapter": adapter}
    paths = {name: Path(path) for name, path in apart.items() if path is not None}
    lora = Adapter(paths["adapter"], ignored) if adapter is not None else None
    shape = _shape(folder, paths, frozenset(ignored))
    tokens = import_tokens(folder, shape.special, paths.get("adapter"))
    sources = WeightSources(TensorFiles(folder), lora)
    if clip is not None:
        sources.add_tower(paths["clip"])
    if enhancement is not None:
        sources.add(TensorFiles(paths["enhancement"]), enhancement_name)
    if shape.tied:
        sources.tie()
    rows = sources.rows()
    _check_rows(rows, int(shape.text["vocab_size"]), lora)
    config = _config(shape, paths.get("enhancement"), tokens, rows)
    drawn = sources.check(config)
    processor = EegVlmProcessor.for_config(config, tokens.tokenizer, tokens.prompt)
    _write(target, config, processor, _finished(sources, config, tokens, drawn), shard_bytes)
    return Imported(target, tuple(drawn), (*shape.notes, *tokens.notes, *sources.notes))


def _check_target(target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise CheckpointError(
            "--out", str(target), "it is there already: give a new folder, or remove it yourself"
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
        adapted = read_llava(read_json(beside), ignored)
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


def _config(shape: LlavaShape, enhancement: Path | None, tokens: ImportedTokens, rows: int) -> EegVlmConfig:
    if shape.vision is None:
        raise CheckpointError(
            "checkpoint", "no vision_tower", "give --clip, the CLIP that it was trained with"
        )
    paper = preset("paper")
    places = tokens.tokenizer.get_vocab(with_added_tokens=True).values()
    needed = max(places) + 1
    text = dict(shape.text) | {"tie_word_embeddings": False}
    text["vocab_size"] = rows if needed <= rows else -(-needed // _STEP) * _STEP
    prompt = tokens.prompt
    for name, token in (("bos", prompt.bos), ("eos", prompt.eos), ("pad", prompt.pad)):
        text[f"{name}_token_id"] = prompt.token_id(tokens.tokenizer, token)
    size = int(shape.vision["image_size"])
    try:
        return EegVlmConfig(
            vision_config=CLIPVisionConfig(**shape.vision),
            enhancement_config=read_json(enhancement / "config.json")
            if enhancement
            else paper.enhancement_config,
            text_config=LlamaConfig(**text),
            vision_feature_layer=shape.feature_layer,
            image_token_id=prompt.token_id(tokens.tokenizer, prompt.image),
            render=(paper.render or {}) | {"width": size, "height": size},
            preprocessing=paper.preprocessing,
            preset_name="paper",
        )
    except CheckpointError:
        raise
    except (ValueError, TypeError) as error:
        field, _, cure = str(error).partition(":")
        raise CheckpointError(f"config: {field}", cure.strip(), "give a LLaVA-1.5") from error


def _finished(
    sources: WeightSources, config: EegVlmConfig, tokens: ImportedTokens, drawn: Sequence[str]
) -> Iterator[tuple[str, Tensor]]:
    """Every weight of the network: tables with rows for all tokens, and what is drawn."""
    for name, weight in sources.tensors():
        if name in (EMBEDDING, HEAD):
            weight = _with_tokens(weight, config.text_config.vocab_size, tokens.added.values())
        yield name, weight
    fresh = _fresh(config) if drawn else {}
    for name in drawn:
        yield name, fresh[name]


def _with_tokens(table: Tensor, rows: int, added: Iterable[int]) -> Tensor:
    """The table with `rows` rows. New tokens have the mean of all, also where a row for padding was."""
    mean = table.float().mean(0).to(table.dtype)
    full = torch.cat([table, mean.expand(rows - len(table), -1)])
    full[list(added)] = mean
    return full


def _fresh(config: EegVlmConfig) -> dict[str, Tensor]:
    """The enhancement module as training would start it."""
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        size = config.vision_config.hidden_size
        module = VisualEnhancementModule(config.enhancement_config, size, config.num_stages)
        fan_in_initialize(module)
    return {f"enhancement.{name}": weight for name, weight in module.state_dict().items()}


def _write(
    target: Path,
    config: EegVlmConfig,
    processor: EegVlmProcessor,
    weights: Iterator[tuple[str, Tensor]],
    shard_bytes: int,
) -> None:
    """Write beside the target and rename: a refusal in between leaves nothing behind."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        write_shards(weights, staging, shard_bytes=shard_bytes)
        config.save_pretrained(staging)
        processor.save_pretrained(staging)
        staging.chmod(0o755)
        staging.replace(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def main(argv: Sequence[str] | None = None) -> int:
    """Run one import; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eegvlm_export import", description=__doc__)
    parser.add_argument("source", type=Path, help="folder of LLaVA-1.5")
    parser.add_argument("-o", "--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--clip", type=Path, help="CLIP, where the folder has no vision tower")
    parser.add_argument("--enhancement", type=Path, help="ConvNeXt or ResNet for the enhancement module")
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
        inputs = [args.source, args.clip, args.enhancement, args.adapter]
        claim_folder(args.out, "import", inputs=inputs, overwrite=args.overwrite)
        imported = import_checkpoint(
            args.source,
            args.out,
            clip=args.clip,
            enhancement=args.enhancement,
            adapter=args.adapter,
            ignored=args.ignore_field,
        )
    except (EegVlmError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for note in imported.notes:
        print(note, file=sys.stderr)
    if imported.untrained:
        print(
            f"{len(imported.untrained)} weights of the enhancement module are untrained: "
            "train before exporting",
            file=sys.stderr,
        )
    print(imported.path)
    return 0
