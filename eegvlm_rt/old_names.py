"""Names of modules before version 0.2: they work for one release, warn, and say the new name."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MODULES", "install", "renamed"]

MODULES: Final = {
    "eegvlm_rt.answers": "eegvlm_rt.pipeline.answers",
    "eegvlm_rt.engine": "eegvlm_rt.pipeline",
    "eegvlm_rt.epoch": "eegvlm_rt.signal.quality",
    "eegvlm_rt.evidence": "eegvlm_rt.findings",
    "eegvlm_rt.grid": "eegvlm_rt.signal.epochs",
    "eegvlm_rt.load_options": "eegvlm_rt.pipeline.load_options",
    "eegvlm_rt.night_export": "eegvlm_rt.night.export",
    "eegvlm_rt.night_files": "eegvlm_rt.night.files",
    "eegvlm_rt.night_info": "eegvlm_rt.night.info",
    "eegvlm_rt.night_inputs": "eegvlm_rt.night.inputs",
    "eegvlm_rt.night_rows": "eegvlm_rt.hypnogram.night_rows",
    "eegvlm_rt.palette": "eegvlm_rt.hypnogram.palette",
    "eegvlm_rt.prediction_json": "eegvlm_rt.night.prediction_json",
    "eegvlm_rt.preprocess": "eegvlm_rt.signal.conditioning",
    "eegvlm_rt.render": "eegvlm_rt.rendering",
    "eegvlm_rt.render_buffers": "eegvlm_rt.rendering.pool",
    "eegvlm_rt.render_cuda": "eegvlm_rt.rendering.cuda",
    "eegvlm_rt.render_spec": "eegvlm_rt.rendering.spec",
    "eegvlm_rt.render_sweep": "eegvlm_rt.rendering.sweep",
    "eegvlm_rt.scoring": "eegvlm_rt.calibration",
    "eegvlm_rt.seal": "eegvlm_rt.files.seal",
    "eegvlm_rt.seen_epoch": "eegvlm_rt.pipeline.seen_epoch",
    "eegvlm_rt.side_by_side": "eegvlm_rt.pipeline.side_by_side",
    "eegvlm_rt.stream_options": "eegvlm_rt.streaming.options",
    "eegvlm_rt.strict_json": "eegvlm_rt.files.strict_json",
}


def renamed(module: str, old: dict[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` for names that went: {"EngineStore": "PlanStore"}."""

    def find(name: str) -> Any:
        if name not in old:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now called {old[name]}", DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], old[name])

    return find


class _OldModule(ModuleType):
    """Has the names of the new module. `eegvlm_rt.render` is a function too, so this can be called."""

    def __init__(self, name: str, target: ModuleType) -> None:
        super().__init__(name, target.__doc__)
        self.__dict__["_target"] = target
        self.__dict__["__all__"] = target.__all__

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_target"], name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **options)


class _OldNames(MetaPathFinder, Loader):
    """Asked after all other finders, so it costs nothing where the name is a module."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MODULES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MODULES[spec.name]
        frame, depth = sys._getframe(1), 2
        # The warning belongs to the line that imports, not to the import machinery.
        while frame.f_back is not None and "importlib" in frame.f_code.co_filename:
            frame, depth = frame.f_back, depth + 1
        warnings.warn(f"{spec.name} is now called {new}", DeprecationWarning, stacklevel=depth)
        return _OldModule(spec.name, import_module(new))

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run."""


def install() -> None:
    """Let `import` know the old names."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())
