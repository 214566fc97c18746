"""`bundle build-engines`: the plans of a bundle for this device, each built once and kept in a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..bundle.opening import Bundle
from ..errors import BackendError, BundleError
from ..rendering.renderer import RENDERER_VERSION
from .plan_builder import BuildOptions, build_plan
from .plan_key import PlanKey, graph_digest
from .profiles import language_shapes, shapes_digest, tower_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..bundle.manifest import Manifest
    from ..devices.device import DeviceFacts
    from .api import TensorRT
    from .plan_store import PlanStore, StoredPlan
    from .profiles import Shapes

__all__ = [
    "PREFERENCE",
    "EnginePlan",
    "build_engines",
    "engine_key",
    "precision_for",
    "shapes_of",
    "why_stale",
]

PREFERENCE: Final[Mapping[str, tuple[str, ...]]] = {
    "tower": ("fp16_half", "fp16", "int8", "fp32"),
    "llm": ("int4_half", "fp16_half", "int4", "fp16", "fp32"),
}
"""Precisions that TensorRT reads, the best first: half arithmetic, then single. `*_fused` graphs hold
operators of ONNX Runtime; TensorRT has no blocks of 8 bits, in which int8 language models are."""


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """One part after building: its record, whether it was there already, and what changed since the plan it
    replaces (empty where there was none).
    """

    record: StoredPlan
    reused: bool
    changed: tuple[str, ...] = ()


def precision_for(manifest: Manifest, component: str, choice: str | None = None) -> str:
    """The precision whose graph becomes the plan: `choice`, or the first of `PREFERENCE` that is held.

    Raises:
        BundleError: a precision that is not held or not for TensorRT.
    """
    part = manifest.components[component]
    precisions = (part.precision, *part.variants)
    usable = [name for name in PREFERENCE[component] if name in precisions]
    if choice is None and usable:
        return usable[0]
    if choice is None or choice not in usable:
        cure = f"for TensorRT this bundle holds {', '.join(usable) or 'none: export it again with one'}"
        raise BundleError(f"{component}.precision", choice or ", ".join(precisions), cure)
    return choice


def shapes_of(manifest: Manifest, component: str) -> Shapes:
    """The optimisation profiles of "tower" or "llm"."""
    if component == "tower":
        return tower_shapes(manifest)
    return language_shapes(manifest.lm, manifest.hidden_size, manifest.visual_tokens)


def engine_key(
    bundle: Bundle,
    component: str,
    precision: str,
    trt: TensorRT,
    device: DeviceFacts,
    options: BuildOptions | None = None,
) -> PlanKey:
    """What the plan of a part depends on, on this device."""
    return PlanKey(
        component=component,
        precision=precision,
        graph=graph_digest(bundle.component(component).at(precision)),
        shapes=shapes_digest(shapes_of(bundle.manifest, component)),
        builder=trt.name,
        options=(options or BuildOptions()).text,
        architecture=device.architecture,
        driver=device.driver,
        renderer=RENDERER_VERSION,
    )


def why_stale(store: PlanStore, key: PlanKey) -> tuple[str, ...]:
    """What changed since the newest plan of the same part that was built from the same graph, or else from
    any; empty where there was none.
    """
    older = store.older(key)
    same = [record for record in older if record.key.graph == key.graph]
    closest = (same or older)[:1]
    return tuple(key.differences(closest[0].key)) if closest else ()


def build_engines(
    bundle: Bundle,
    store: PlanStore,
    trt: TensorRT,
    device: DeviceFacts,
    *,
    precision: Mapping[str, str] | None = None,
    options: BuildOptions | None = None,
    components: tuple[str, ...] = ("tower", "llm"),
    again: bool = False,
    ahead: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> list[EnginePlan]:
    """Build what is missing of a verified bundle's plans; `again` builds even what is there.

    Graphs are copied, and checked as they are copied, to a folder of this process: the builder reads those
    bytes and no others. `ahead` builds for `device` although it is not here (TensorRT for RTX alone).

    Raises:
        BundleError: a bundle that was not verified, or a precision it does not hold. IntegrityError: a file
            changed since. BackendError: TensorRT refuses.
    """
    if not bundle.verified:
        raise BundleError("bundle", str(bundle.path), "open it with verify=True: a plan is native code")
    if ahead and not trt.builds_ahead:
        raise BackendError("architecture", device.architecture, f"{trt.name} builds for the GPU that is here")
    choices, how = precision or {}, options or BuildOptions()
    names = {part: precision_for(bundle.manifest, part, choices.get(part)) for part in components}
    plans = []
    for component, name in names.items():
        key = engine_key(bundle, component, name, trt, device, how)
        waiting = f"{key.place}: another process is building it, waiting"
        with store.lock(key, lambda text=waiting: progress(text)):  # type: ignore[misc]
            record = None if again else store.find(key)
            if record is not None:
                store.read(record)
                progress(f"{key.place}: there already, nothing changed")
                plans.append(EnginePlan(record, True))
                continue
            changed = why_stale(store, key)
            progress(f"{key.place}: building for {device.name}" + _because(changed))
            record = _build(bundle, key, store, trt, how, ahead)
            plans.append(EnginePlan(record, False, changed))
    return plans


def _because(changed: tuple[str, ...]) -> str:
    return f"; the older plan will not do: {'; '.join(changed)}" if changed else ""


def _build(
    bundle: Bundle, key: PlanKey, store: PlanStore, trt: TensorRT, options: BuildOptions, ahead: bool
) -> StoredPlan:
    entry = bundle.component(key.component).at(key.precision)
    with store.workspace(key) as place:
        graph = bundle.copy(entry, place)
        built = build_plan(
            trt,
            graph,
            shapes_of(bundle.manifest, key.component),
            key.architecture,
            options,
            part=key.component,
            timing_cache=store.timing_cache(trt.name, key.architecture),
            ahead=ahead,
        )
    store.keep_timing_cache(trt.name, key.architecture, built.timing_cache)
    return store.publish(key, built.plan, built.seconds)
