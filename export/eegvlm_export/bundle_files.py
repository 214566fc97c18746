"""The files of a bundle, made from a checkpoint in a work folder."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig

from eegvlm_rt.backends.loading import FUSED, HALF
from eegvlm_rt.bundle import ComponentSource

from .graphs.language import language_skeleton, weight_slots
from .graphs.onnx_files import INLINE_BYTES, data_path, save
from .graphs.tower import export_head, export_memory, export_tower
from .quantize.blockwise import Bits, store_half
from .quantize.calibrate import calibrator
from .quantize.fill import FUSED_OPERATORS, ExternalData, Packed, fill
from .quantize.four_bits import CALIBRATED
from .quantize.packing import PackedWeights
from .quantize.tower_int8 import quantize_static8
from .recipe import Recipe
from .weights.checkpoint import Checkpoint
from .weights.reader import LanguageWeights

__all__ = ["embedding_table", "make_components", "write_language"]

Float32 = NDArray[np.float32]
_BITS: dict[str, Bits] = {"int4": 4, "int8": 8}


def make_components(
    checkpoint: Checkpoint,
    recipe: Recipe,
    folder: Path,
    calibration: Callable[[], Iterable[Float32]],
    *,
    work: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, ComponentSource], dict[str, float]]:
    """Write head, memory, tower, language model and embedding table below `folder`, at every precision of
    `recipe`.

    `calibration` gives batches of `pixel_values`, and is called only where an int8 tower is asked for.
    Quantised weights are kept in `work`, where an interrupted export is gone on with. Returns the components,
    and the share of energy that each 4- and 8-bit weight of the language model lost.
    """
    grey = checkpoint.processor.render if recipe.grey else None
    towers = {}
    single = [name for name in recipe.tower_precisions if not name.endswith(HALF)]
    if single:
        for name, graph in _copies(export_tower(checkpoint.model, grey=grey), single):
            towers[name] = _write(_tower_at(graph, name, calibration), folder / _tower_file(name, recipe))
    for name in set(recipe.tower_precisions) - set(single):
        half = export_tower(checkpoint.model, grey=grey, half=True)
        towers[name] = _write(half, folder / _tower_file(name, recipe))
    config, weights = checkpoint.config.text_config, checkpoint.language
    packed = PackedWeights(
        work or folder / "weights",
        checkpoint.digest,
        config,
        weights,
        method=recipe.method,
        block=recipe.block_size,
        head=recipe.head,
        calibrated=calibrator(checkpoint, recipe) if recipe.method in CALIBRATED else None,
        progress=progress,
    )
    models = {}
    for name in recipe.llm_precisions:
        progress(f"language model {name}")
        path = folder / f"llm.{name}.onnx"
        models[name] = path, write_language(config, weights, packed, name, path, head=recipe.head)
    table = embedding_table(weights, half=not recipe.llm.startswith("fp32"))
    embed = folder / "embed_tokens.npy"
    np.save(embed, table, allow_pickle=False)
    # The head and the memory are small, and every stage of a night hangs on them: single precision.
    alone = {"head": _write(export_head(checkpoint.model, grey=grey), folder / "head.onnx")}
    if checkpoint.config.memory_size:
        alone["memory"] = _write(export_memory(checkpoint.model), folder / "memory.onnx")
    components = {
        "tower": _component(towers, recipe.tower),
        **{name: _component({"fp32": written}, "fp32") for name, written in alone.items()},
        "llm": _component(models, recipe.llm),
        "embed_tokens": ComponentSource(embed, "fp16" if table.dtype == np.float16 else "fp32"),
        "tokenizer": ComponentSource(checkpoint.tokenizer_path, "none", file="tokenizer.json"),
    }
    return components, packed.errors


def write_language(
    config: LlamaConfig,
    weights: LanguageWeights,
    packed: PackedWeights,
    precision: str,
    path: Path,
    *,
    head: str = "fp16",
    inline_bytes: int = INLINE_BYTES,
) -> tuple[Path, ...]:
    """Write one graph of the language model, holding one weight at a time where it is larger than
    `inline_bytes`; returns its files of external weights.
    """
    fused, typed = precision.endswith(FUSED), precision.removesuffix(FUSED).endswith(HALF)
    kind = precision.removesuffix(FUSED).removesuffix(HALF)
    graph = language_skeleton(config, "fused" if fused else "standard", half=typed)
    source = packed.at(_BITS[kind]) if kind in _BITS else None
    if typed and source is not None:
        source = _but_head(source, weights)
    half = kind == "fp16" or (kind in _BITS and head != "fp32")
    count = sum(math.prod(slot.shape) for slot in weight_slots(config))
    size = count * {"fp32": 4.0, "fp16": 2.0, "int8": 1.125, "int4": 0.625}[kind]
    if size <= inline_bytes:
        fill(graph, config, weights, packed=source, half=half, typed=typed)
    else:
        with ExternalData(data_path(path)) as data:
            fill(graph, config, weights, packed=source, half=half, data=data, typed=typed)
    return save(graph, path, allowed=FUSED_OPERATORS if fused else frozenset())


def _but_head(packed: Packed, weights: LanguageWeights) -> Packed:
    """The last product as it is: TensorRT takes blocks of 4 bits, but none of 8."""
    return lambda slot: slot.read(weights) if slot.name == "head.weight" else packed(slot)


def embedding_table(weights: LanguageWeights, *, half: bool) -> NDArray[np.floating]:
    """The embedding table (vocabulary, D), in half precision where that is asked for and holds it."""
    table = weights.tensor("model.embed_tokens.weight").detach()
    fits = half and float(table.abs().max()) <= np.finfo(np.float16).max
    return np.ascontiguousarray(table.to(torch.float16 if fits else torch.float32).numpy())


Written = tuple[Path, tuple[Path, ...]]


def _copies(model: onnx.ModelProto, names: Sequence[str]) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The graph once for every name; the last gets the graph itself: large ones fit few times."""
    for name in names[:-1]:
        yield name, copy.deepcopy(model)
    yield names[-1], model


def _tower_file(precision: str, recipe: Recipe) -> str:
    plain = next((name for name in recipe.tower_precisions if name != "int8"), None)
    return "tower.onnx" if precision == plain else f"tower.{precision}.onnx"


def _write(model: onnx.ModelProto, path: Path) -> Written:
    return path, save(model, path)


def _component(written: dict[str, Written], default: str) -> ComponentSource:
    path, data = written[default]
    others = {name: entry for name, entry in written.items() if name != default}
    split = [name for name, (_, parts) in others.items() if parts]
    if split:
        raise ValueError(
            f"variants: {', '.join(split)}; weights beyond 1.5 GB go into a file of their own, "
            "which only the default precision may have"
        )
    return ComponentSource(
        path, default, variants={n: (p, p.name) for n, (p, _) in others.items()}, data=data
    )


def _tower_at(
    tower: onnx.ModelProto, precision: str, calibration: Callable[[], Iterable[Float32]]
) -> onnx.ModelProto:
    if precision == "int8":
        tower = quantize_static8(tower, calibration())
    if precision != "fp32":
        store_half(tower)
    return tower
