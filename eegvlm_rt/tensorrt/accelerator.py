"""TensorRT at work: the package, the GPU and the plans, and a bundle's models on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BackendError, BundleError
from .build import engine_key, precision_for, why_stale
from .models import open_language_model, open_tower
from .plan_store import PlanStore
from .shipped_plans import shipped_plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..backends.on_device.language import DeviceLanguageModel
    from ..backends.on_device.tower import DeviceVisionTower
    from ..bundle.opening import Bundle
    from ..devices.device import Device
    from .api import TensorRT

__all__ = ["Accelerator"]


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A GPU with TensorRT, and the store of plans that were built for it."""

    trt: TensorRT
    device: Device
    store: PlanStore

    @classmethod
    def here(cls, store: PlanStore | None = None, *, index: int = 0) -> Accelerator:
        """GPU number `index` of this device; raises BackendError without one, or without TensorRT or
        cuda-python."""
        from ..devices.cuda import CudaDevice
        from .api import TensorRT

        return cls(TensorRT.load(), CudaDevice(index), store or PlanStore())

    def tower(self, bundle: Bundle, precision: str | None = None) -> DeviceVisionTower:
        """The tower of a bundle; raises as `plan` does."""
        manifest = bundle.manifest
        return open_tower(
            self.plan(bundle, "tower", precision),
            self.trt,
            self.device,
            visual_tokens=manifest.visual_tokens,
            hidden_size=manifest.hidden_size,
        )

    def head(self, bundle: Bundle) -> None:
        """No plan: the stage head is small, and ONNX Runtime runs it on the CPU."""

    def memory(self, bundle: Bundle, features: int) -> None:
        """No plan, as for the head."""

    def language_model(
        self, bundle: Bundle, embed_tokens: NDArray[np.floating], precision: str | None = None
    ) -> DeviceLanguageModel:
        """The language model of a bundle with its embedding table; raises as `plan` does."""
        plan = self.plan(bundle, "llm", precision)
        return open_language_model(plan, embed_tokens, self.trt, self.device, bundle.manifest.lm)

    def plan(self, bundle: Bundle, component: str, precision: str | None = None) -> bytes:
        """The bytes of a part's plan: one that the bundle's manifest lists, or one built on this device.

        Raises:
            BundleError: a bundle that was not verified, or a precision it does not hold. IntegrityError: a
                plan that is not what was published. BackendError: no plan for this GPU, TensorRT, driver and
                renderer; the message says what changed since there was one.
        """
        if not bundle.verified:
            raise BundleError("bundle", str(bundle.path), "open it with verify=True: a plan is native code")
        name = precision_for(bundle.manifest, component, precision)
        key = engine_key(bundle, component, name, self.trt, self.device.facts)
        shipped = shipped_plan(bundle, key)
        if shipped is not None:
            return shipped
        record = self.store.usable(key)
        if record is None:
            changed = why_stale(self.store, key)
            raise BackendError(
                f"{key.place}.engine",
                "; ".join(changed) or f"none was built for {self.device.facts.name}",
                f"build it on this device: eegvlm-rt bundle build-engines {bundle.path}",
            )
        return self.store.read(record)
