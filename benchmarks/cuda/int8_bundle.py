"""A bundle with its vision tower once more, in 8 bits, as the exporter makes it.

    python -m benchmarks.cuda.int8_bundle BUNDLE FILE

writes the tower alone, for machines that lack what quantising takes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from eegvlm_export.graphs.onnx_files import initializers
from onnx import TensorProto, numpy_helper

from eegvlm_rt.bundle import Bundle, find_bundle
from eegvlm_rt.pipeline.specs import EPOCH_SAMPLES, Specs
from eegvlm_rt.rendering.renderer import render_batch
from eegvlm_rt.simulator import simulate_night

from .half_bundle import with_variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["int8_tower", "with_int8_tower"]

_BATCH, _BATCHES = 8, 4


def with_int8_tower(bundle: Bundle, destination: Path, tower: Path | None = None) -> Bundle:
    """A copy of `bundle` with the variant "int8" of its tower: `tower`, or one that is made here."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tower.int8.onnx"
        path.write_bytes(int8_tower(bundle) if tower is None else tower.read_bytes())
        return with_variant(bundle, destination, "tower", "int8", path)


def int8_tower(bundle: Bundle) -> bytes:
    """The tower in 8 bits, its scales from pictures of simulated epochs."""
    # ONNX Runtime's quantizer is not there on every machine that has a GPU.
    from eegvlm_export.quantize.tower_int8 import quantize_static8

    graph = onnx.load_from_string(bundle.read(bundle.component("tower").at(None)))
    _widen(graph)
    return bytes(quantize_static8(graph, _pictures(bundle)).SerializeToString(deterministic=True))


def _pictures(bundle: Bundle) -> Iterator[NDArray[np.float32]]:
    spec = Specs.of(bundle.manifest).render
    epochs = simulate_night(11, hours=8.0).samples_uv.reshape(-1, EPOCH_SAMPLES)
    chosen = epochs[np.linspace(0, len(epochs) - 1, _BATCH * _BATCHES).astype(int)]
    for first in range(0, len(chosen), _BATCH):
        yield render_batch(chosen[first : first + _BATCH], spec, output="f32").copy()


def _widen(graph: onnx.ModelProto) -> None:
    """Weights in single precision in place of halves behind casts."""
    constants = initializers(graph)
    for node in list(graph.graph.node):
        half = constants.get(node.input[0]) if node.op_type == "Cast" else None
        if half is not None and half.data_type == TensorProto.FLOAT16:
            wide = numpy_helper.to_array(half).astype(np.float32)
            graph.graph.initializer.append(numpy_helper.from_array(wide, node.output[0]))
            graph.graph.initializer.remove(half)
            graph.graph.node.remove(node)


def main() -> int:
    """Write the tower."""
    name, path = sys.argv[1:]
    Path(path).write_bytes(int8_tower(Bundle.open(find_bundle(name))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
