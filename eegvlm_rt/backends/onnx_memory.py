"""The night memory's network in ONNX Runtime, one epoch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackendError
from .base import MemoryOutput
from .session import check_names, make_session, static_dimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .ort_options import OrtOptions

__all__ = ["OnnxMemory"]

_INPUTS = ["high_level", "stage_logits", "present", "state"]
_OUTPUTS = ["night_logits", "night_token", "next_state"]


class OnnxMemory:
    """What was read of one epoch and the state before -> `night_logits` (5,), `night_token` (D,), the next
    state (S,).

    Raises:
        BackendError: the graph cannot be loaded, or its inputs and outputs are others.
    """

    def __init__(
        self,
        graph: bytes,
        *,
        features: int,
        hidden_size: int,
        data: Mapping[str, bytes] | None = None,
        ort_options: OrtOptions | None = None,
    ) -> None:
        self._session = make_session(graph, name="memory", threads=1, data=data, ort_options=ort_options)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_names("memory", "inputs", inputs, _INPUTS)
        check_names("memory", "outputs", outputs, _OUTPUTS)
        static_dimension("memory", inputs[0], 1, features)
        static_dimension("memory", inputs[1], 1, 5)
        static_dimension("memory", outputs[1], 1, hidden_size)
        self.state_size = static_dimension("memory", inputs[3], 1)
        static_dimension("memory", outputs[2], 1, self.state_size)
        self._absent = (np.zeros((1, features), np.float32), np.zeros((1, 5), np.float32))
        self._is_present = (np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32))

    def __call__(
        self,
        high_level: NDArray[np.float32] | None,
        stage_logits: NDArray[np.float32] | None,
        state: NDArray[np.float32],
    ) -> MemoryOutput:
        """One epoch: `high_level` (F,) and `stage_logits` (5,) of the head, None where the epoch had no
        usable signal. Raises BackendError where the run fails.
        """
        present = high_level is not None and stage_logits is not None
        inputs = (high_level[None], stage_logits[None]) if present else self._absent  # type: ignore[index]
        values = (*inputs, self._is_present[present], state[None])
        try:
            outputs = self._session.run(_OUTPUTS, dict(zip(_INPUTS, values, strict=True)))
        except Exception as error:
            raise BackendError("memory", str(error), "the step of the night memory failed") from error
        return MemoryOutput(*(np.asarray(array[0], dtype=np.float32) for array in outputs))
