"""What is compared: stagers on the GPU and on the CPU, with the same graphs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eegvlm_rt.backends.cuda import HOST_PARTS, CudaBackend
from eegvlm_rt.backends.on_device import CudaOptions
from eegvlm_rt.devices.host import HostDevice
from eegvlm_rt.stager import Stager

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Subject"]


@dataclass(frozen=True)
class Subject:
    """One way to run the bundle: on "cuda", on "host" (the same code in host memory, for trying this
    command), or on "cpu" by the package's default backend; `texts` are decoded in the same runs. With
    `small_here`, head and memory stay on the CPU.
    """

    name: str
    where: str
    llm: str
    tower: str = "fp16"
    graphs: bool = False
    texts: int = 1
    small_here: bool = False

    def load(self, folder: Path, threads: int | None = None) -> tuple[Stager, float]:
        """The stager with its language model loaded, and the seconds this took."""
        options = CudaOptions(graphs=self.graphs, host=HOST_PARTS if self.small_here else ())
        begin = time.perf_counter()
        choice: dict[str, Any] = {}
        if self.where == "cuda":
            choice["backend"] = CudaBackend.here(0, options)
        elif self.where == "host":
            choice["backend"] = CudaBackend(HostDevice(), options)
        precision = {"tower": self.tower, "llm": self.llm}
        stager = Stager.load(
            folder, precision=precision, threads=threads, verify=True, text_batch=self.texts, **choice
        )
        return stager, time.perf_counter() - begin
