"""Microseconds of each operator of a decoder layer on a GPU, by the number of rows it reads.

    python -m benchmarks.gpu_llm.products [--size 7b] [--rows 1 2 4 6 7 8 16 32 64] [--json FILE]

Each is a graph of several copies of one operator (`operations.py`), recorded as a CUDA graph up to 32 rows
and replayed one behind the other: what an operator takes inside a recorded step. Products of 4-bit weights
are run by the kernels that ONNX Runtime takes by itself and by those of `CudaOptions.half_products`. Their
bytes over their time, beside the rate of a copy, say how far each is from the memory's limit. `--on host
--size tiny` runs every step without a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime as ort

from eegvlm_rt.backends.on_device import CudaOptions, OrtGraph
from eegvlm_rt.devices import DeviceBuffer, Stream
from eegvlm_rt.devices.host import HostDevice
from eegvlm_rt.hardware import probe

from .._common import command_line, environment
from .._record import Record, shortfalls
from ..paper_size import ceilings, device_facts
from .graphs import SIZES
from .operations import PAST_TOKENS, Operation, operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eegvlm_rt.devices import Device

__all__ = ["main"]

ROWS: Final = (1, 2, 4, 6, 7, 8, 16, 32, 64)
RECORDED_ROWS: Final = 32
SPELLS: Final = 5
SPELL_S: Final = 0.03


class Runs:
    """An operation on a device, to be run with any number of rows up to `largest`."""

    def __init__(
        self, operation: Operation, device: Device, largest: int, config: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.operation, self.device, self.stream = operation, device, Stream(device)
        names = [*operation.inputs, *([] if not operation.host else ["last", *operation.host])]
        self.graph = OrtGraph(
            operation.graph,
            device,
            self.stream,
            part=operation.name,
            inputs=names,
            outputs=list(operation.outputs),
            options=CudaOptions(
                half_products=operation.half_products,
                attention=operation.attention,
                session_config=config,
                free_sessions=True,
            ),
            record=device.kind == "cuda",
        )
        self.last = DeviceBuffer(device, 4)
        self.places: dict[str, DeviceBuffer] = {}
        self.waste = DeviceBuffer(device, max(_bytes(shape, largest) for shape in operation.outputs.values()))
        with self.stream.settled() as stream:
            for name, shape in operation.inputs.items():
                if name not in operation.same or operation.same[name] == name:
                    self.places[name] = DeviceBuffer(device, _bytes(shape, largest))
                    self.places[name].clear(stream)

    def us(self, rows: int) -> dict[str, float]:
        """Microseconds of one copy: the median of some spells, and the least."""
        operation = self.operation
        binding = self.graph.session.io_binding()
        shapes = {
            name: tuple(rows if n == "rows" else int(n) for n in shape)
            for name, shape in (operation.inputs | operation.outputs).items()
        }
        places = {name: self._place(name).address for name in shapes}
        if operation.host:
            shapes["last"], places["last"] = (1,), self.last.address
            with self.stream.settled() as stream:
                self.last.upload(np.array([PAST_TOKENS + rows - 1], np.int32), stream)
            for name, number in operation.host.items():
                binding.bind_cpu_input(name, np.array(number, np.int32))
        self.graph.bind(binding, shapes, places)
        recorded = self.device.kind == "cuda" and rows <= RECORDED_ROWS
        run = partial(self.graph.run, binding, rows if recorded else None)
        for _ in range(3):
            self._spell(run, 1)
        count = max(1, int(SPELL_S / max(1e-6, self._spell(run, 2))))
        spells = [1e6 * self._spell(run, count) / operation.copies for _ in range(SPELLS)]
        return {"p50": float(np.median(spells)), "least": min(spells)}

    def _place(self, name: str) -> DeviceBuffer:
        return self.places.get(self.operation.same.get(name, name), self.waste)

    def _spell(self, run: Any, count: int) -> float:
        with self.stream.settled():
            begin = time.perf_counter()
            for _ in range(count):
                run()
        return (time.perf_counter() - begin) / count


def _bytes(shape: tuple[int | str, ...], rows: int) -> int:
    return 2 * int(np.prod([rows if n == "rows" else int(n) for n in shape]))


def measured(
    operation: Operation, device: Device, rows: Sequence[int], config: tuple[tuple[str, str], ...] = ()
) -> dict[str, Any]:
    """The times of an operation, and the share of its bytes per second where it reads many."""
    begin = time.perf_counter()
    runs = Runs(operation, device, max((*rows, *operation.rows)), config)
    figures: dict[str, Any] = {
        "copies": operation.copies,
        "bytes": operation.bytes,
        "load_s": time.perf_counter() - begin,
        "us": {},
    }
    for n in operation.rows or rows:
        figures["us"][str(n)] = runs.us(n)
    if operation.bytes:
        first = next(iter(figures["us"].values()))
        figures["gb_per_s"] = operation.bytes / first["p50"] / 1e3
    return figures


def table(results: dict[str, Any]) -> list[str]:
    """The figures in short lines."""
    lines = [f"copy {results.get('ceilings', {}).get('gb_per_s', 0):.0f} GB/s"]
    for name, row in results["operations"].items():
        times = " ".join(f"{rows}:{us['p50']:.1f}" for rows, us in row["us"].items())
        rate = f", {row['gb_per_s']:.0f} GB/s" if "gb_per_s" in row else ""
        lines.append(f"{name}: {times} us{rate} (loaded in {row['load_s']:.1f} s)")
    return lines + shortfalls(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0 where every part was measured, 1 where one failed or was left out."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_llm.products",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=tuple(SIZES), default="7b")
    parser.add_argument("--on", choices=("cuda", "host"), default="cuda")
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS), help="rows that a product reads")
    parser.add_argument("--only", nargs="+", default=[], help="operations whose name begins so")
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="entries of ONNX Runtime's configuration"
    )
    parser.add_argument("--max-seconds", type=float, default=200.0, help="leave out what would start later")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the figures go")
    options = parser.parse_args(arguments)
    entries = [entry.partition("=") for entry in options.config]
    if not all(key and sign for key, sign, _ in entries):
        parser.error("--config: give KEY=VALUE")
    config = tuple((key, value) for key, _, value in entries)
    about = {
        "benchmark": "gpu_llm.products",
        "environment": environment(),
        "onnxruntime": {"package": probe().onnxruntime, "version": ort.__version__},
        "command": command_line("gpu_llm.products", arguments),
        "operations": {},
    }
    record = Record(options.json, options.max_seconds, about)
    device: Device = HostDevice()
    record.part(record.results, "device", device_facts)
    if options.on == "cuda":
        from eegvlm_rt.backends.on_device.ort_graph import check_cuda_provider
        from eegvlm_rt.devices.cuda import CudaDevice

        check_cuda_provider()
        device = CudaDevice(0, extra="cuda")
        record.part(record.results, "ceilings", ceilings)
    for operation in operations(options.size):
        if options.only and not operation.name.startswith(tuple(options.only)):
            continue
        run = partial(measured, operation, device, options.rows, config)
        record.part(record.results["operations"], operation.name, run)
    print("\n".join(table(record.results)))
    return 0 if record.whole else 1


if __name__ == "__main__":
    sys.exit(main())
