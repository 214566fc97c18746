"""Graphs of LLaVA-1.5's language models with random 4-bit weights, written by the exporter one weight at a
time.

    python -m benchmarks.gpu_llm.graphs SIZE PRECISION BLOCK FOLDER [SKELETONS]

writes one of them into FOLDER/PRECISION-BLOCK, and its facts when it is complete; SKELETONS is a folder of
the same graphs without weights (SIZE.PRECISION.onnx), where they were traced before. "int4_half_merged" is
"int4_half_fused" with each residual sum in one operator with the norm behind it.

    python -m benchmarks.gpu_llm.graphs SIZE PRECISION SKELETONS

writes a graph without weights for later.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from eegvlm_export.graphs.language import Attention, WeightSlot, language_skeleton
from eegvlm_export.graphs.onnx_files import data_path
from eegvlm_export.measure.rehearse import LLAVA_7B
from eegvlm_export.quantize.blockwise import BlockQuantized
from eegvlm_export.quantize.fill import ExternalData, fill
from transformers import LlamaConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FACTS", "GRAPH", "PRECISIONS", "SIZES", "config_of", "folder_of", "write"]

GRAPH: Final = "llm.onnx"
FACTS: Final = "facts.json"

PRECISIONS: Final[dict[str, Attention]] = {
    "int4_half_fused": "fused",
    "int4_half_merged": "merged",
    "int4_half": "standard",
}

SIZES: Final[dict[str, dict[str, Any]]] = {
    "7b": {},
    "13b": {
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
    },
    "tiny": {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 640,
    },
}
"""What differs from LLaVA-1.5-7B; "13b" is LLaVA-1.5-13B (Liu et al. 2023), "tiny" is for trying the
command."""


def config_of(size: str) -> LlamaConfig:
    """The language model of a size."""
    return LlamaConfig(**(LLAVA_7B | SIZES[size]))


def folder_of(folder: Path, precision: str, block: int) -> Path:
    """Where the graph of a precision lies."""
    return folder / f"{precision}-{block}"


def write(size: str, precision: str, block: int, path: Path, skeleton: Path | None = None) -> dict[str, Any]:
    """Write one graph with its weights beside it; returns its bytes and how long it took.

    Matrices of one shape hold the same numbers in every layer, which changes neither their size nor the time
    that a product takes; each lies in the file on its own.
    """
    config, begin = config_of(size), time.perf_counter()
    if skeleton is None:
        graph = language_skeleton(config, PRECISIONS[precision], half=True)
    else:
        graph = onnx.load(str(skeleton))
    traced = time.perf_counter()
    rng = np.random.default_rng(0)
    cache: dict[tuple[int, ...], BlockQuantized] = {}

    def packed(slot: WeightSlot) -> BlockQuantized | NDArray[np.float32]:
        if not slot.is_matrix:
            return np.ones(slot.shape, np.float32)
        if slot.name == "head.weight":
            return rng.standard_normal(slot.shape, dtype=np.float32) * np.float32(0.02)
        if slot.shape not in cache:
            rows, columns = slot.shape
            values = rng.integers(-8, 8, slot.shape, dtype=np.int8)
            # The integers' deviation is 4.6. Equal layers add up in one direction: at 0.02 the sum leaves
            # half precision in the 26th layer of the 7B model, so each adds less.
            size = np.float32(0.02 / 4.6 / np.sqrt(2 * config.num_hidden_layers))
            scales = rng.uniform(0.8, 1.2, (rows // block, columns)).astype(np.float32) * size
            cache[slot.shape] = BlockQuantized(values, scales, 0.0)
        return cache[slot.shape]

    with ExternalData(data_path(path)) as data:
        fill(graph, config, None, packed=packed, data=data, typed=True)  # type: ignore[arg-type]
    path.write_bytes(graph.SerializeToString())
    weights = data_path(path).stat().st_size
    return {
        "trace_s": traced - begin,
        "fill_s": time.perf_counter() - traced,
        "bytes": path.stat().st_size + weights,
        "weight_bytes": weights,
    }


def main() -> int:
    """Write the graph that the arguments name, and then its facts as JSON."""
    size, precision, *rest = sys.argv[1:]
    if len(rest) == 1:
        skeleton = language_skeleton(config_of(size), PRECISIONS[precision], half=True)
        path = Path(rest[0]) / f"{size}.{precision}.onnx"
        path.write_bytes(skeleton.SerializeToString(deterministic=True))
        return 0
    block, folder, *skeletons = rest
    place = folder_of(Path(folder), precision, int(block))
    place.mkdir(parents=True)
    traced = Path(skeletons[0]) / f"{size}.{precision}.onnx" if skeletons else None
    if traced is not None and not traced.is_file():
        traced = None
    facts = {"size": size, "precision": precision, "block": int(block)}
    facts |= write(size, precision, int(block), place / GRAPH, traced)
    temporary = place / f"{FACTS}.tmp"
    temporary.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    temporary.replace(place / FACTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
