"""Sleep staging from one EEG channel by a vision-language model, with reasons that can be checked.

Names are loaded on first use, so that importing the package stays fast. Not a medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import old_names
from .lazy import lazy_names

if TYPE_CHECKING:
    from .errors import EegVlmError
    from .findings import Findings, measure
    from .night.night import Night
    from .prediction import StagePrediction
    from .rationale import Rationale
    from .rendering import RenderSpec, render, render_batch
    from .stager import Stager, StreamOptions, predict_epoch
    from .stages import STAGES, Stage

__version__ = "0.2.0"

__all__ = [
    "STAGES",
    "EegVlmError",
    "Findings",
    "Night",
    "Rationale",
    "RenderSpec",
    "Stage",
    "StagePrediction",
    "Stager",
    "StreamOptions",
    "__version__",
    "measure",
    "predict_epoch",
    "render",
    "render_batch",
]

_HOME = {
    "STAGES": "stages",
    "EegVlmError": "errors",
    "Findings": "findings",
    "Night": "night",
    "Rationale": "rationale",
    "RenderSpec": "rendering",
    "Stage": "stages",
    "StagePrediction": "prediction",
    "Stager": "stager",
    "StreamOptions": "streaming.options",
    "measure": "findings",
    "predict_epoch": "stager",
    "render": "rendering",
    "render_batch": "rendering",
}


__getattr__, __dir__ = lazy_names(__name__, _HOME)


old_names.install()
