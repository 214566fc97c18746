"""The vision tower in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackendError
from .base import TowerOutput
from .pictures import check_pictures
from .session import check_names, make_session, static_dimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .ort_options import OrtOptions

__all__ = ["OnnxVisionTower"]

_OUTPUTS = ["stage_logits", "high_level", "visual_tokens"]


class OnnxVisionTower:
    """`pixel_values` (n, 3, H, W) -> `stage_logits` (n, 5), `high_level` (n, Dv), `visual_tokens` (n, V, D).

    Raises:
        BackendError: the graph cannot be loaded, or its inputs and outputs are others.
    """

    def __init__(
        self,
        graph: bytes,
        *,
        visual_tokens: int,
        hidden_size: int,
        threads: int = 1,
        data: Mapping[str, bytes] | None = None,
        ort_options: OrtOptions | None = None,
    ) -> None:
        self._session = make_session(graph, name="tower", threads=threads, data=data, ort_options=ort_options)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_names("tower", "inputs", inputs, ["pixel_values"])
        check_names("tower", "outputs", outputs, _OUTPUTS)
        static_dimension("tower", inputs[0], 1, 3)
        self.height = static_dimension("tower", inputs[0], 2)
        self.width = static_dimension("tower", inputs[0], 3)
        self._shapes = {"stage_logits": (5,), "visual_tokens": (visual_tokens, hidden_size)}

    def __call__(self, pixel_values: NDArray[np.float32]) -> TowerOutput:
        """One pass over n pictures. Raises InputError for another shape or dtype, BackendError where the
        run fails.
        """
        check_pictures(pixel_values, (3, self.height, self.width))
        try:
            arrays = self._session.run(_OUTPUTS, {"pixel_values": pixel_values})
        except Exception as error:
            raise BackendError("tower", str(error), "the pass over the picture failed") from error
        output = TowerOutput(*(np.asarray(array, dtype=np.float32) for array in arrays))
        self._check(output, len(pixel_values))
        return output

    def _check(self, output: TowerOutput, n: int) -> None:
        for name, tail in self._shapes.items():
            shape = getattr(output, name).shape
            if shape != (n, *tail):
                raise BackendError(f"tower.{name}", f"shape {shape}", f"the manifest says {(n, *tail)}")
