"""A bundle with its 4-bit language model once more, with fused attention in half precision, as GPUs run it.

Scales and integers are those of the bundle's own graph of standard operators; nothing is quantized again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from eegvlm_export.graphs.language import WeightSlot, language_skeleton
from eegvlm_export.graphs.onnx_files import initializers, save
from eegvlm_export.quantize.blockwise import BlockQuantized
from eegvlm_export.quantize.fill import FUSED_OPERATORS, fill
from onnx import numpy_helper
from transformers import LlamaConfig

from eegvlm_rt.bundle import Bundle, ComponentSource, write_bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PRECISION", "with_half_fused", "with_variant"]

PRECISION: Final = "int4_half_fused"
_POSITIONS: Final = 1024


def with_half_fused(bundle: Bundle, destination: Path, skeleton: Path | None = None) -> Bundle:
    """A copy of `bundle`, which holds "int4", with the variant "int4_half_fused" of its language model.

    `skeleton` is the graph without weights, where it was traced before. Raises ValueError for a bundle whose
    rotary positions are scaled.
    """
    graph = onnx.load_from_string(bundle.read(bundle.component("llm").at("int4")))
    source = initializers(graph)
    config = _config(bundle, source)
    model = language_skeleton(config, "fused", half=True) if skeleton is None else onnx.load(str(skeleton))

    def packed(slot: WeightSlot) -> BlockQuantized | NDArray[np.float32]:
        name = slot.name
        if f"{name}.int4" in source:
            values = numpy_helper.to_array(source[f"{name}.int4"]).astype(np.int8)
            return BlockQuantized(values, numpy_helper.to_array(source[f"{name}.scale"]), 0.0)
        whole = source.get(name, source.get(f"{name}.fp16"))
        assert whole is not None, name
        return np.asarray(numpy_helper.to_array(whole), dtype=np.float32)

    fill(model, config, None, packed=packed, typed=True)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"llm.{PRECISION}.onnx"
        save(model, path, allowed=FUSED_OPERATORS)
        return with_variant(bundle, destination, "llm", PRECISION, path)


def with_variant(bundle: Bundle, destination: Path, part: str, precision: str, graph: Path) -> Bundle:
    """A copy of `bundle` with one precision more of a part."""
    with tempfile.TemporaryDirectory() as folder:
        place, sources = Path(folder), {}
        for name, component in bundle.manifest.components.items():
            variants = {
                other: (bundle.copy(entry, place), entry.file) for other, entry in component.variants.items()
            }
            if name == part:
                variants[precision] = (graph, graph.name)
            file = component.file
            sources[name] = ComponentSource(
                bundle.copy(file, place), component.precision, file=file.file, variants=variants
            )
        fields = bundle.manifest.to_dict()
        del fields["schema_version"], fields["components"]
        return write_bundle(destination, components=sources, overwrite=True, **fields)


def _config(bundle: Bundle, source: dict[str, Any]) -> LlamaConfig:
    lm, hidden = bundle.manifest.lm, bundle.manifest.hidden_size
    base = 10_000.0
    expected = base ** -(np.arange(0, lm.head_dim, 2) / lm.head_dim)
    if not np.allclose(numpy_helper.to_array(source["rotary.inv_freq"]), expected, rtol=1e-5):
        raise ValueError("rotary.inv_freq: scaled positions; export the bundle with this precision instead")
    heads = (source["layers.0.qkv.weight.int4"].dims[1] - 2 * lm.num_kv_heads * lm.head_dim) // lm.head_dim
    return LlamaConfig(
        hidden_size=hidden,
        intermediate_size=source["layers.0.down.weight.int4"].dims[0],
        num_hidden_layers=lm.num_layers,
        num_attention_heads=heads,
        num_key_value_heads=lm.num_kv_heads,
        head_dim=lm.head_dim,
        vocab_size=lm.vocab_size,
        max_position_embeddings=_POSITIONS,
    )
