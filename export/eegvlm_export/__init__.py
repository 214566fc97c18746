"""From a trained EEG-VLM checkpoint to a quantized bundle, published only where it passes its gates.

`export_bundle` is the whole of it; `python -m eegvlm_export` is its command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .build import Exported, export_bundle
    from .gates import Gate, GateResult, GatesFailedError
    from .recipe import Recipe, load_recipe

__all__ = ["Exported", "Gate", "GateResult", "GatesFailedError", "Recipe", "export_bundle", "load_recipe"]

_HOME = {
    "Exported": "build",
    "Gate": "gates",
    "GateResult": "gates",
    "GatesFailedError": "gates",
    "Recipe": "recipe",
    "export_bundle": "build",
    "load_recipe": "recipe",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)
