"""Yes or no for each part of a device, with the reason and the cure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ..extras import install_command
from ..tensorrt.plan_key import graph_digests
from .memory import memory_need

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bundle.manifest import Manifest
    from ..hardware import Facts
    from ..tensorrt.plan_store import StoredPlan

__all__ = ["Check", "examine"]

_MIN_ONNXRUNTIME: Final = (1, 20)
_SPARE_DISK_BYTES: Final = 500_000_000
_MIN_TENSORRT: Final = 10
_GB: Final = 1e9


@dataclass(frozen=True, slots=True)
class Check:
    """One part: whether it will do, why, and what helps where it will not. Only `required` ones refuse."""

    part: str
    ok: bool
    reason: str
    cure: str = ""
    required: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return asdict(self)


def examine(
    facts: Facts, manifest: Manifest | None = None, plans: Sequence[StoredPlan] = ()
) -> tuple[Check, ...]:
    """What the device has, held against what the runtime and, where given, a bundle ask for; `plans` are
    those in its store.
    """
    checks = [_onnxruntime(facts), _disk(facts), _gpu(facts), _cuda(facts), _tensorrt(facts)]
    if manifest is not None:
        checks = [_memory(facts, manifest), *checks, _engines(facts, manifest, plans)]
    return (*checks, _power(facts))


def _memory(facts: Facts, manifest: Manifest) -> Check:
    need = memory_need(manifest)
    parts = ", ".join(
        f"{name} {size / _GB:.2f} GB"
        for name, size in (
            ("weights", need.weights),
            ("keys and values", need.kv),
            ("workspace", need.workspace),
        )
    )
    reason = f"needs about {need.total / _GB:.2f} GB ({parts}); {facts.memory_free / _GB:.2f} GB are free"
    cure = "free memory (stop the desktop, other services), or take a smaller bundle or a larger board"
    return Check("memory", need.total <= facts.memory_free, reason, cure)


def _onnxruntime(facts: Facts) -> Check:
    version = facts.packages.get("onnxruntime") or facts.packages.get("onnxruntime-gpu")
    numbers = tuple(int(part) for part in (version or "0").split(".")[:2] if part.isdigit())
    minimum = ".".join(map(str, _MIN_ONNXRUNTIME))
    return Check(
        "onnxruntime",
        numbers >= _MIN_ONNXRUNTIME,
        f"{version or 'missing'}; {minimum} or newer is needed",
        f"pip install 'onnxruntime>={minimum}'",
    )


def _disk(facts: Facts) -> Check:
    reason = f"{facts.disk_free / _GB:.1f} GB are free, {_SPARE_DISK_BYTES / _GB:.1f} GB are kept for a night"
    return Check("disk", facts.disk_free >= _SPARE_DISK_BYTES, reason, "free disk space")


def _gpu(facts: Facts) -> Check:
    if facts.compute_capability is None:
        return Check(
            "GPU", False, "none found", "none is needed: ONNX Runtime runs on the CPU", required=False
        )
    return Check("GPU", True, f"{facts.gpu}, compute capability {facts.compute_capability}", required=False)


def _cuda(facts: Facts) -> Check:
    """Whether ONNX Runtime with CUDA is here, and not covered by the one without, whose import name is the
    same."""
    names = ("onnxruntime-gpu", "cuda-python")
    reason = ", ".join(f"{name} {facts.packages.get(name, 'missing')}" for name in names)
    if any(name not in facts.packages for name in names):
        cure = f"for --backend cuda: {install_command('cuda')}; then pip install --force-reinstall --no-deps"
        return Check("CUDA", False, reason, f"{cure} onnxruntime-gpu", required=False)
    cure = "for --backend cuda: pip install --force-reinstall --no-deps onnxruntime-gpu"
    reason += f"; {facts.onnxruntime or 'onnxruntime'} is the one that is loaded"
    if facts.onnxruntime == names[0]:
        reason += "; --backend cuda runs all networks on the GPU, cuda+cpu head and night memory on the CPU"
    return Check("CUDA", facts.onnxruntime == names[0], reason, cure, required=False)


def _tensorrt(facts: Facts) -> Check:
    versions = {name: facts.packages.get(name) for name in ("tensorrt", "cuda-python")}
    reason = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    major = int((versions["tensorrt"] or "0").partition(".")[0])
    cure = "for --backend tensorrt: TensorRT 10 or newer (apt install nvidia-jetpack) and cuda-python"
    return Check("TensorRT", all(versions.values()) and major >= _MIN_TENSORRT, reason, cure, required=False)


def _engines(facts: Facts, manifest: Manifest, plans: Sequence[StoredPlan]) -> Check:
    """Whether the tower and the language model have a plan here for this GPU and TensorRT."""
    graphs = {part: graph_digests(manifest, part) for part in ("tower", "llm")}
    builder = f"tensorrt {facts.packages.get('tensorrt')}"
    notes = []
    for part, digests in graphs.items():
        mine = [plan.key for plan in plans if plan.key.component == part and plan.key.graph in digests]
        fit = [k for k in mine if (k.architecture, k.builder) == (facts.compute_capability, builder)]
        notes.append(f"{part} {fit[0].precision if fit else 'for another device' if mine else 'not built'}")
    good = not any(text.endswith(("device", "built")) for text in notes)
    cure = "for --backend tensorrt: eegvlm-rt bundle build-engines"
    return Check("plans", good, ", ".join(notes), cure, required=False)


def _power(facts: Facts) -> Check:
    mode = facts.power_mode
    if mode is None:
        return Check("power mode", True, "this board has none to choose", required=False)
    cure = "sudo nvpmodel -m 0 lifts the limit on clocks"
    return Check("power mode", mode.upper().startswith("MAXN"), mode, cure, required=False)
