"""The CUDA renderer beside the CPU's: the same bytes, and how long each takes to fill a tensor on the device.

    bash csrc/cuda/run_on_gpu.sh FOLDER                       builds both and runs this
    python -m benchmarks.render_cuda [--json FILE]            where both are built (EEGVLM_CUDA_LIBRARY)

Needs PyTorch with a CUDA device. Device times are between two events of one stream. The floor is what a
memset and a plain store of the same bytes take. What fails is reported, and the rest is measured all the
same.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from eegvlm_rt.rendering.cuda import render_batch_cuda
from eegvlm_rt.rendering.renderer import RenderSpec, render_batch

from ._common import environment, percentiles, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["main"]

BATCHES: Final = (1, 8, 64, 256, 960)
SAMPLES: Final = 3000
SIDE: Final = 336
SECONDS_A_CASE: Final = 1.0


def walk(count: int, samples: int, seed: int) -> NDArray[np.float32]:
    """Microvolts that wander about zero."""
    steps = np.random.default_rng(seed).normal(0.0, 9.0, (count, samples))
    level = np.zeros(count)
    traces = np.empty((count, samples), np.float32)
    for i in range(samples):
        level = 0.97 * level + steps[:, i]
        traces[:, i] = level
    return traces


def compare(torch: Any) -> dict[str, Any]:
    """Digest grid: how many pictures, and which of them differ in any byte from the CPU's."""
    checked, differing = 0, []
    base = walk(2, 15360, 7)
    for width, rows, channels, line, samples, gaps in itertools.product(
        (97, 336), (1, 6), (1, 2), (0.7, 1.0, 3.0), (1, 100, 3000, 15360), (0.0, 0.02, 0.35)
    ):
        spec = RenderSpec(width=width, rows=rows, channels=channels, line_width=line)
        x = np.repeat(base[:, None, :samples], channels, axis=1).copy()
        x[np.random.default_rng(1).random(x.shape) < gaps] = np.nan
        device_x = torch.from_numpy(x).cuda()
        kinds: tuple[tuple[Literal["u8", "f32"], Any], ...] = (("u8", torch.uint8), ("f32", torch.float32))
        for output, dtype in kinds:
            expected = render_batch(x, spec, output=output)
            out = torch.full(expected.shape, 77, dtype=dtype, device="cuda")
            render_batch_cuda(device_x, spec, out=out)
            checked += 1
            if out.cpu().numpy().tobytes() != expected.tobytes():
                differing.append(
                    f"{output} {width} rows {rows} x{channels} {line} px n {samples} gaps {gaps}"
                )
        half = torch.full((2, 3, spec.height, width), 77, dtype=torch.float16, device="cuda")
        gray = torch.full((2, spec.height, width), 77, dtype=torch.uint8, device="cuda")
        render_batch_cuda(device_x, spec, out=half)
        render_batch_cuda(device_x, spec, out=gray)
        checked += 2
        if half.cpu().numpy().tobytes() != expected.astype(np.float16).tobytes():
            differing.append(f"f16 {width} rows {rows} x{channels} {line} px n {samples} gaps {gaps}")
        if gray.cpu().numpy().tobytes() != render_batch(x, spec)[..., 0].tobytes():
            differing.append(f"gray {width} rows {rows} x{channels} {line} px n {samples} gaps {gaps}")
    return {"pictures": 2 * checked, "identical": not differing, "differing": differing[:20]}


def on_device(torch: Any, step: Callable[[], object]) -> list[float]:
    """Milliseconds between events around each call, for a second or 300 calls."""
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    times: list[float] = []
    until = time.perf_counter() + SECONDS_A_CASE
    while time.perf_counter() < until and len(times) < 300:
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        step()
        events[1].record()
        torch.cuda.synchronize()
        times.append(events[0].elapsed_time(events[1]))
    return times


def by_the_clock(torch: Any, step: Callable[[], object], most: int = 100) -> list[float]:
    """Milliseconds from call to finished, by the host's clock."""
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    times: list[float] = []
    until = time.perf_counter() + SECONDS_A_CASE
    while time.perf_counter() < until and len(times) < most:
        begin = time.perf_counter()
        step()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def measure(torch: Any, batch: int, dtype: str) -> dict[str, Any]:
    """One batch into one tensor: the CUDA renderer, the write floor, and the CPU's way there."""
    spec = RenderSpec(width=SIDE, height=SIDE)
    x = walk(batch, SAMPLES, 3)
    kind = {"f32": torch.float32, "f16": torch.float16, "u8": torch.uint8}[dtype]
    shape = (batch, SIDE, SIDE, 3) if dtype == "u8" else (batch, 3, SIDE, SIDE)
    out = torch.empty(shape, dtype=kind, device="cuda")
    device_x = torch.from_numpy(x).cuda()
    stream = torch.cuda.current_stream().cuda_stream

    def draw() -> None:
        render_batch_cuda(device_x, spec, out=out, stream=stream)

    figures: dict[str, Any] = {
        "batch": batch,
        "output": dtype,
        "bytes": out.numel() * out.element_size(),
        "cuda_ms": percentiles(on_device(torch, draw)),
        "cuda_with_launch_ms": percentiles(by_the_clock(torch, draw)),
        "memset_ms": percentiles(on_device(torch, out.zero_)),
        "store_ms": percentiles(on_device(torch, lambda: out.fill_(1))),
    }
    floor = min(figures["memset_ms"]["p50"], figures["store_ms"]["p50"])
    figures["cuda_over_floor"] = figures["cuda_ms"]["p50"] / floor
    figures["gb_per_s"] = figures["bytes"] / figures["cuda_ms"]["p50"] / 1e6
    if dtype == "f32":
        pinned = torch.empty(shape, dtype=kind, pin_memory=True)
        host = pinned.numpy()
        threads = min(batch, 16)

        def cpu() -> None:
            render_batch(x, spec, out=host, output="f32", threads=threads)
            out.copy_(pinned, non_blocking=True)

        figures["cpu_threads"] = threads
        figures["cpu_and_copy_ms"] = percentiles(by_the_clock(torch, cpu, most=20))
        figures["cpu_over_cuda"] = figures["cpu_and_copy_ms"]["p50"] / figures["cuda_with_launch_ms"]["p50"]
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = {"benchmark": "render_cuda", "environment": environment(), "failed": []}

    def part(name: str, run: Callable[[], object]) -> None:
        try:
            results[name] = run()
            print(f"{name}: {results[name]}", flush=True)
        except Exception as error:
            traceback.print_exc()
            results["failed"].append(f"{name}: {error}")
        if options.json:
            write_json(options.json, results)

    def device() -> dict[str, Any]:
        import torch

        properties = torch.cuda.get_device_properties(0)
        return {
            "name": properties.name,
            "processors": properties.multi_processor_count,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
        }

    part("device", device)
    if not results["failed"]:
        import torch

        part("bytes", lambda: compare(torch))
        for batch in BATCHES:
            part(f"f32_{batch}", partial(measure, torch, batch, "f32"))
        for dtype in ("f16", "u8"):
            part(f"{dtype}_960", partial(measure, torch, 960, dtype))
    same = results.get("bytes", {}).get("identical", False)
    return 0 if same and not results["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
