"""TensorRT plans: built on the device from the graphs of a verified bundle, kept, and opened by digest.

store = PlanStore()
for plan in build_engines(Bundle.open(folder), store, TensorRT.load(), cuda.facts):
    print(plan.record.file, plan.reused, plan.changed)
"""

from __future__ import annotations

from ..devices.device import DeviceFacts
from ..old_names import renamed
from .api import TensorRT
from .build import EnginePlan, build_engines, engine_key, precision_for, why_stale
from .plan_builder import BuildOptions
from .plan_key import PlanKey
from .plan_store import PlanStore, StoredPlan

__all__ = [
    "BuildOptions",
    "DeviceFacts",
    "EnginePlan",
    "PlanKey",
    "PlanStore",
    "StoredPlan",
    "TensorRT",
    "build_engines",
    "engine_key",
    "precision_for",
    "why_stale",
]

__getattr__ = renamed(__name__, {"EngineKey": "PlanKey", "EngineStore": "PlanStore"})
