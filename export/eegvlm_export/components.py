"""The files of a bundle, made from a checkpoint in a work folder."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from eegvlm_rt.bundle import ComponentSource

from .blockwise import Bits, quantize_matmuls, store_half
from .checkpoint import Checkpoint
from .graph import save
from .language import export_language
from .recipe import Recipe
from .static8 import quantize_static8
from .tower import export_tower

__all__ = ["make_components"]

Float32 = NDArray[np.float32]
_BITS: dict[str, Bits] = {"int4": 4, "int8": 8}


def make_components(
    checkpoint: Checkpoint, recipe: Recipe, folder: Path, calibration: Callable[[], Iterable[Float32]]
) -> dict[str, ComponentSource]:
    """Write tower, language model and embedding table below `folder`, at every precision of `recipe`.

    `calibration` gives batches of `pixel_values`, and is called only where an int8 tower is asked for.
    """
    towers = {
        name: _write(_tower_at(tower, name, calibration), folder / _tower_file(name, recipe))
        for name, tower in _copies(export_tower(checkpoint.model), recipe.tower_precisions)
    }
    models = {
        name: _write(_language_at(language, name, recipe), folder / f"llm.{name}.onnx")
        for name, language in _copies(export_language(checkpoint.model.language_model), recipe.llm_precisions)
    }
    table = _embeddings(checkpoint.model.language_model, half=recipe.llm != "fp32")
    embed = folder / "embed_tokens.npy"
    np.save(embed, table, allow_pickle=False)
    return {
        "tower": _component(towers, recipe.tower),
        "llm": _component(models, recipe.llm),
        "embed_tokens": ComponentSource(embed, "fp16" if table.dtype == np.float16 else "fp32"),
        "tokenizer": ComponentSource(checkpoint.tokenizer_path, "none", file="tokenizer.json"),
    }


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


def _language_at(language: onnx.ModelProto, precision: str, recipe: Recipe) -> onnx.ModelProto:
    if precision in _BITS:
        quantize_matmuls(language, bits=_BITS[precision], block=recipe.block_size, keep=frozenset({"logits"}))
        if recipe.head == "int8":
            quantize_matmuls(language, bits=8, block=recipe.block_size)
    if precision == "fp16" or (precision in _BITS and recipe.head != "fp32"):
        store_half(language)
    return language


def _embeddings(model: LlamaForCausalLM, *, half: bool) -> NDArray[np.floating]:
    table = model.get_input_embeddings().weight.detach().numpy()
    fits = half and np.abs(table).max() <= np.finfo(np.float16).max
    return np.ascontiguousarray(table.astype(np.float16 if fits else np.float32))
