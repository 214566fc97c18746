"""Sleep staging from one EEG channel by a vision-language model, with reasons that can be checked.

Names are loaded on first use, so that importing the package stays fast. Not a medical device.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import EegVlmError
    from .evidence import Findings, measure
    from .night import Night
    from .prediction import StagePrediction
    from .rationale import Rationale
    from .render import RenderSpec, render, render_batch
    from .stager import Stager, StreamOptions, predict_epoch
    from .stages import STAGES, Stage

__version__ = "0.1.0"

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
    "Findings": "evidence",
    "Night": "night",
    "Rationale": "rationale",
    "RenderSpec": "render",
    "Stage": "stages",
    "StagePrediction": "prediction",
    "Stager": "stager",
    "StreamOptions": "stream_options",
    "measure": "evidence",
    "predict_epoch": "stager",
    "render": "render",
    "render_batch": "render",
}


class _Package(ModuleType):
    """Keeps `eegvlm_rt.render` the function, whichever of function and submodule is asked for first."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "render" and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
