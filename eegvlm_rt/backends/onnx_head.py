"""The enhancement module alone in ONNX Runtime: the stage head, without CLIP and language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackendError
from .base import HeadOutput
from .pictures import check_pictures
from .session import check_names, make_session, static_dimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .ort_options import OrtOptions

__all__ = ["OnnxHead"]

_OUTPUTS = ["stage_logits", "high_level"]


class OnnxHead:
    """`pixel_values` (n, planes, H, W) -> `stage_logits` (n, 5), `high_level` (n, F).

    `planes` is 1 where the graph reads one plane of a gray picture, else 3. What an epoch gives does not
    depend on the epochs beside it.

    Raises:
        BackendError: the graph cannot be loaded, or its inputs and outputs are others.
    """

    def __init__(
        self,
        graph: bytes,
        *,
        threads: int = 1,
        data: Mapping[str, bytes] | None = None,
        ort_options: OrtOptions | None = None,
    ) -> None:
        self._session = make_session(graph, name="head", threads=threads, data=data, ort_options=ort_options)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_names("head", "inputs", inputs, ["pixel_values"])
        check_names("head", "outputs", outputs, _OUTPUTS)
        self.planes = static_dimension("head", inputs[0], 1)
        if self.planes not in (1, 3):
            raise BackendError("head.pixel_values", f"{self.planes} planes", "a picture has 1 or 3")
        self._size = (static_dimension("head", inputs[0], 2), static_dimension("head", inputs[0], 3))
        static_dimension("head", outputs[0], 1, 5)
        self.features = static_dimension("head", outputs[1], 1)

    def __call__(self, pixel_values: NDArray[np.float32]) -> HeadOutput:
        """One pass over n pictures. Raises InputError for another shape or dtype, BackendError where the
        run fails.
        """
        check_pictures(pixel_values, (self.planes, *self._size))
        try:
            outputs = self._session.run(_OUTPUTS, {"pixel_values": pixel_values})
        except Exception as error:
            raise BackendError("head", str(error), "the pass over the picture failed") from error
        return HeadOutput(*(np.asarray(array, dtype=np.float32) for array in outputs))
