"""`python -m eegvlm_export rehearse`: write and run the 4-bit graph of a large random language model.

Shows what the export of such a model takes on this machine, in memory and time, before there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, Final, cast

import numpy as np
import onnxruntime as ort
import torch
from eegvlm_train.model import PRESETS, preset
from eegvlm_train.outputs import add_overwrite
from transformers import LlamaConfig

from eegvlm_rt.backends.loading import FUSED, HALF
from eegvlm_rt.bundle import LanguageModelShape
from eegvlm_rt.files import check_outputs, write_file
from eegvlm_rt.tensorrt import BuildOptions, TensorRT
from eegvlm_rt.tensorrt.plan_builder import build_plan
from eegvlm_rt.tensorrt.profiles import language_shapes

from ..bundle_files import write_language
from ..graphs.language import cache_names, head_dim, kv_heads, weight_slots
from ..quantize.four_bits import METHODS, Method
from ..quantize.packing import PackedWeights
from ..weights.reader import JoinedWeights

__all__ = ["LLAVA_7B", "RandomWeights", "main", "rehearse"]

LLAVA_7B: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "vocab_size": 32064,
}
"""The language model of LLaVA-1.5-7B (Liu et al. 2023): Vicuna-7B, a Llama 2."""

_PRECISIONS: Final = ("int4_fused", "int4", "int4_half", "int4_half_fused")
_VISUAL_TOKENS: Final = 1152
"""Twice the 576 patches of LLaVA-1.5's tower."""

_PACKAGES: Final = ("torch", "transformers", "onnx", "onnxruntime", "numpy")


class RandomWeights(JoinedWeights):
    """Normal weights of deviation 0.02, the same for the same name; nothing is kept."""

    def __init__(self, config: LlamaConfig) -> None:
        self._shapes: dict[str, tuple[int, ...]] = {}
        for slot in weight_slots(config):
            widths = self._widths(config, slot.parts, slot.shape[-1])
            for name, width in zip(slot.parts, widths, strict=True):
                self._shapes[name] = (width, slot.shape[0]) if slot.is_matrix else (width,)

    @staticmethod
    def _widths(config: LlamaConfig, parts: tuple[str, ...], total: int) -> list[int]:
        if len(parts) != 3:
            return [total // len(parts)] * len(parts)
        grouped = kv_heads(config) * head_dim(config)
        return [total - 2 * grouped, grouped, grouped]

    def tensor(self, name: str) -> torch.Tensor:
        shape = self._shapes[name]
        if len(shape) == 1:
            return torch.ones(shape) if name.endswith("norm.weight") else torch.zeros(shape)
        generator = torch.Generator().manual_seed(len(name) * 7919 + sum(name.encode()))
        return torch.randn(shape, generator=generator).mul_(0.02)


def rehearse(
    config: LlamaConfig,
    folder: Path,
    *,
    precision: str,
    method: str,
    block: int,
    tokens: int,
    plan_for: str | None = None,
) -> dict[str, Any]:
    """Quantise layer by layer into `folder`, open the graph in ONNX Runtime from there and decode; with
    `plan_for`, a compute capability, also build its TensorRT plan.
    """
    start = perf_counter()
    weights = RandomWeights(config)
    packed = PackedWeights(
        folder / "weights",
        "random",
        config,
        weights,
        method=cast("Method", method),
        block=block,
        head="int8",
    )
    graph = folder / "llm.onnx"
    write_language(config, weights, packed, precision, graph, head="int8")
    written = perf_counter() - start
    export_mb = _peak_mb()
    parameters = sum(math.prod(slot.shape) for slot in weight_slots(config))
    figures = {
        "parameters": parameters,
        "layers": config.num_hidden_layers,
        "largest_weight_mb": 4e-6 * max(math.prod(slot.shape) for slot in weight_slots(config)),
        "graph_mb": sum(file.stat().st_size for file in folder.glob("llm.onnx*")) / 1e6,
        "export_s": written,
        "export_peak_mb": export_mb,
    }
    figures |= _decode(config, graph, precision, tokens)
    return figures if plan_for is None else figures | _plan(config, graph, plan_for)


def _plan(config: LlamaConfig, graph: Path, architecture: str) -> dict[str, Any]:
    """Build the TensorRT plan of the graph as a device would, for a GPU that need not be here."""
    shape = LanguageModelShape(
        config.num_hidden_layers, kv_heads(config), head_dim(config), config.vocab_size
    )
    shapes = language_shapes(shape, config.hidden_size, _VISUAL_TOKENS)
    trt = TensorRT.load("tensorrt_rtx")
    built = build_plan(trt, graph, shapes, architecture, BuildOptions(), part="llm", ahead=True)
    return {
        "plan_builder": f"{trt.name} for {architecture}",
        "plan_mb": len(built.plan) / 1e6,
        "plan_s": built.seconds,
        "plan_peak_mb": _peak_mb(),
    }


def _decode(config: LlamaConfig, graph: Path, precision: str, tokens: int) -> dict[str, Any]:
    start = perf_counter()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "4")
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    loaded = perf_counter() - start
    fused, half = precision.endswith(FUSED), precision.removesuffix(FUSED).endswith(HALF)
    names = cache_names("past_key_values", config.num_hidden_layers)
    outputs = ["logits", *cache_names("present", config.num_hidden_layers)]
    shape = (1, kv_heads(config), tokens if fused else 0, head_dim(config))
    cache = [np.zeros(shape, np.float16 if half else np.float32) for _ in names]
    rng, start = np.random.default_rng(0), perf_counter()
    for i in range(tokens):
        embeds = rng.standard_normal((1, 1, config.hidden_size)).astype(np.float32) * np.float32(0.02)
        place = (
            {"last_position": np.array([i], np.int32), "total_tokens": np.array(i + 1, np.int32)}
            if fused
            else {"position_ids": np.array([[i]])}
        )
        feeds = {"inputs_embeds": embeds, **place, **dict(zip(names, cache, strict=True))}
        logits, *cache = session.run(outputs, feeds)
        if not np.isfinite(logits).all():
            raise ValueError(f"logits: not finite at token {i}")
    seconds = perf_counter() - start
    return {"load_s": loaded, "tokens": tokens, "tokens_a_second": tokens / seconds, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    """Largest resident size of this process so far in MB (10^6 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _surroundings() -> dict[str, Any]:
    return {
        "os": platform.platform(),
        "cpus": os.cpu_count(),
        "load_average": list(os.getloadavg()),
        "packages": {
            name: version(name) for name in ("torch", "transformers", "onnx", "onnxruntime", "numpy")
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; prints the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m eegvlm_export rehearse", description=__doc__)
    parser.add_argument("--shape", default="llava-7b", choices=["llava-7b", *PRESETS])
    parser.add_argument("--layers", type=int, help="fewer layers than the shape has")
    parser.add_argument("--precision", default="int4_fused", choices=_PRECISIONS)
    parser.add_argument("--method", default="rtn", choices=[m for m in METHODS if m not in ("gptq", "awq")])
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument(
        "--plan-for",
        metavar="X.Y",
        help="also build the TensorRT plan for this compute capability; needs tensorrt-rtx, no GPU",
    )
    parser.add_argument("--folder", type=Path, help="keep the files here; a temporary folder by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    if args.json is not None:
        check_outputs([args.json], overwrite=args.overwrite)
    config = LlamaConfig(**LLAVA_7B) if args.shape == "llava-7b" else preset(args.shape).text_config
    if args.layers is not None:
        config.num_hidden_layers = args.layers
    options = {"plan_for": args.plan_for} if args.plan_for else {}
    options |= {
        "precision": args.precision,
        "method": args.method,
        "block": args.block,
        "tokens": args.tokens,
    }
    with tempfile.TemporaryDirectory(prefix="eegvlm-rehearse-") as temporary:
        figures = (
            {"shape": args.shape} | options | rehearse(config, args.folder or Path(temporary), **options)
        )
    text = json.dumps({"benchmark": "rehearse", "environment": _surroundings()} | figures, indent=2)
    print(text)
    if args.json is not None:
        write_file(args.json, f"{text}\n".encode(), overwrite=args.overwrite)
    return 0
