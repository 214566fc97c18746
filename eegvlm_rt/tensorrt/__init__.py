"""TensorRT plans: built on the device from the graphs of a verified bundle, kept, and opened by digest.

store = EngineStore()
for plan in build_engines(Bundle.open(folder), store, TensorRT.load(), cuda.facts):
    print(plan.record.file, plan.reused, plan.changed)
"""

from __future__ import annotations

from .api import TensorRT
from .build import EnginePlan, build_engines, engine_key, precision_for, why_stale
from .plan_builder import BuildOptions
from .plan_key import DeviceFacts, EngineKey
from .plan_store import EngineStore, StoredPlan

__all__ = [
    "BuildOptions",
    "DeviceFacts",
    "EngineKey",
    "EnginePlan",
    "EngineStore",
    "StoredPlan",
    "TensorRT",
    "build_engines",
    "engine_key",
    "precision_for",
    "why_stale",
]
