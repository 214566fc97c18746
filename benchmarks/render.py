"""The renderer beside its peers: ratios measured in turn in one process, and how exact its pictures are.

    python -m benchmarks.render [--seconds 3] [--json FILE]

Needs the [bench] extra (matplotlib, OpenCV). One channel of 3,000 samples at 336x336 unless it says
otherwise, from Python, into `out=` that is used again and aligned to 64 bytes. Peers draw the same trace in
the same rows, on one thread. Ratios are of processor time where one thread draws, and of the wall clock where
two do; percentiles are by the wall clock, with all that else goes on. Compare the ratios of one run.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from eegvlm_rt.extras import install_command
from eegvlm_rt.rendering.pool import PicturePool, aligned_pictures
from eegvlm_rt.rendering.renderer import RENDERER_VERSION, RenderSpec, build_config, render
from eegvlm_rt.rendering.spec import dtype_of
from eegvlm_rt.rendering.sweep import Sweep

from ._common import environment, write_json
from ._exact import CUTS, exact_columns, psnr_db, signal_uv
from ._pairs import ratios, times_us
from ._render_peers import Matplotlib, OpenCV, best_normalizer, memset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["GOALS", "Goal", "exactness", "main", "measure"]

SPEC: Final = RenderSpec()
ONE_ROW: Final = replace(SPEC, rows=1)
WIDE: Final = RenderSpec(width=896, height=448, rows=1, channels=8)
RATE_HZ: Final = 100
NIGHT: Final = 960
RING: Final = 64

SIZES: Final = ((224, 224), (336, 336), (448, 224), (896, 448))
RATES_HZ: Final = (50, 100, 128, 200, 256, 500, 512, 1000)
ROWS: Final = (1, 2, 3, 4, 6)
ROWS_TIMED: Final = (1, 6)
LINE_WIDTHS: Final = (1.0, 2.0)
CUTS_DRAWN: Final = (8, 4, 2)
FEWER: Final = 4
COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on one ratio. `at_least`: whether it bounds from below. `must` and `aim`: what it is."""

    name: str
    at_least: bool
    must: float
    aim: float

    def verdict(self, value: float) -> str:
        """ "aim", "must" or "missed"."""
        for word, bound in (("aim", self.aim), ("must", self.must)):
            if value >= bound if self.at_least else value <= bound:
                return word
        return "missed"


GOALS: Final = {
    "matplotlib": Goal("matplotlib set_data / u8", True, 100.0, 170.0),
    "opencv": Goal("OpenCV LINE_AA to BGR / u8", True, 10.0, 15.0),
    "normalized": Goal("OpenCV, best normalization / f32", True, 8.0, 15.0),
    "memset": Goal("f32 / memset", False, 2.0, 1.4),
    "threads": Goal("960 epochs: one thread / two", True, 1.7, 1.95),
    "wide": Goal("896x448, 8 channels: f32 / memset", False, 4.0, 2.5),
    "psnr": Goal("least PSNR of the grid, dB", True, 38.0, 44.0),
    "sweep": Goal("one second redrawn / whole", False, 0.3, 0.15),
}


def _drawer(x: NDArray[Any], spec: RenderSpec, output: Any) -> tuple[Callable[[], object], NDArray[Any]]:
    out = aligned_pictures(spec.shape(output), dtype_of(output))
    return lambda: render(x, spec, output=output, out=out), out


def _against_peers(spec: RenderSpec, seconds: float) -> dict[str, Any]:
    """u8 against matplotlib and OpenCV, f32 against OpenCV with numpy and against memset, all in turn."""
    x = signal_uv(RATE_HZ).astype(np.float32)
    u8, _ = _drawer(x, spec, "u8")
    f32, floats = _drawer(x, spec, "f32")
    matplotlib, opencv = Matplotlib(x, spec), OpenCV(x, spec)
    planes = np.empty_like(floats)
    way, normalize = best_normalizer(opencv.draw(), spec, planes)

    def opencv_normalized() -> None:
        opencv.draw()
        normalize()

    times = times_us(
        {
            "u8": u8,
            "f32": f32,
            "matplotlib": matplotlib.u8,
            "opencv": opencv.u8,
            "opencv_normalized": opencv_normalized,
            "memset": memset(planes),
        },
        seconds,
    )
    return {
        "matplotlib": ratios(times, "matplotlib", "u8"),
        "opencv": ratios(times, "opencv", "u8"),
        "normalized": {**ratios(times, "opencv_normalized", "f32"), "normalization": way},
        "memset": ratios(times, "f32", "memset"),
    }


def _wide(seconds: float) -> dict[str, Any]:
    x = np.stack([signal_uv(RATE_HZ, seed=seed) for seed in range(WIDE.channels)]).astype(np.float32)
    f32, out = _drawer(x, WIDE, "f32")
    return ratios(times_us({"f32": f32, "memset": memset(np.empty_like(out))}, seconds), "f32", "memset")


def _night(seconds: float) -> dict[str, Any]:
    """960 epochs into the two buffers of a pool, on one thread and on two."""
    x = np.stack([signal_uv(RATE_HZ, seed=seed) for seed in range(8)]).astype(np.float32)
    night = np.tile(x, (NIGHT // len(x), 1))
    pool = PicturePool(SPEC, output="f32", batch=RING, buffers=2)

    def on(threads: int) -> Callable[[], object]:
        def draw() -> None:
            for _ in pool.render(night, threads=threads):
                pass

        return draw

    times = times_us({"one": on(1), "two": on(2)}, seconds)
    return {**ratios(times, "one", "two", clock="wall"), "epochs": NIGHT, "pictures_a_buffer": RING}


def _sweep(seconds: float) -> dict[str, Any]:
    """A second of new samples pushed, against the same picture drawn whole."""
    x = signal_uv(RATE_HZ).astype(np.float32)
    sweep = Sweep(SPEC, len(x), output="f32")
    sweep.push(x)
    chunks = itertools.cycle(np.split(x, len(x) // RATE_HZ))
    whole, _ = _drawer(x, SPEC, "f32")
    times = times_us({"second": lambda: sweep.push(next(chunks)), "whole": whole}, seconds)
    return ratios(times, "second", "whole")


def exactness(
    sizes: Sequence[tuple[int, int]], rates_hz: Sequence[int], rows: Sequence[int]
) -> list[dict[str, Any]]:
    """PSNR against exact coverage of 24 pixel columns for every size, sampling rate and number of rows."""
    results = []
    for (width, height), rate, folded in itertools.product(sizes, rates_hz, rows):
        spec = RenderSpec(width=width, height=height, rows=folded)
        x = signal_uv(rate)
        columns = np.sort(np.random.default_rng(width + rate).choice(width, COLUMNS, replace=False))
        picture = render(x, spec, output="gray")[:, columns]
        psnr = psnr_db(picture, exact_columns(x, spec, columns))
        results.append({"width": width, "height": height, "rate_hz": rate, "rows": folded, "psnr_db": psnr})
    return results


def frontier(
    seconds: float, sizes: Sequence[tuple[int, int]], rates_hz: Sequence[int]
) -> list[dict[str, Any]]:
    """For every line width, number of rows and of cuts: least and median PSNR over sizes and rates, and the
    processor time of one picture at 336x336 and 100 Hz, all numbers of cuts in turn."""
    results = []
    for line_width, rows in itertools.product(LINE_WIDTHS, ROWS_TIMED):
        look = RenderSpec(rows=rows, line_width=line_width)
        psnr: dict[int, list[float]] = {cuts: [] for cuts in CUTS_DRAWN}
        for (width, height), rate in itertools.product(sizes, rates_hz):
            spec = replace(look, width=width, height=height)
            x = signal_uv(rate)
            columns = np.sort(np.random.default_rng(width + rate).choice(width, COLUMNS, replace=False))
            exact = exact_columns(x, spec, columns)
            for cuts, values in psnr.items():
                picture = render(x, replace(spec, cuts=cuts), output="gray")[:, columns]
                values.append(psnr_db(picture, exact))
        x = signal_uv(RATE_HZ).astype(np.float32)
        outputs = ("u8", "f32")
        times_of = times_us(
            {f"{o}_{c}": _drawer(x, replace(look, cuts=c), o)[0] for c in CUTS_DRAWN for o in outputs},
            seconds,
        )
        for cuts, values in psnr.items():
            times = {
                f"{o}_us": float(np.median([t for turn in times_of[f"{o}_{cuts}"].thread for t in turn]))
                for o in outputs
            }
            row = {"line_width": line_width, "rows": rows, "cuts": cuts, "pictures": len(values)}
            results.append(
                {**row, "least_db": min(values), "median_db": float(np.median(values)), **times},
            )
    return results


def _exactness_of_peers(spec: RenderSpec) -> dict[str, float]:
    x = signal_uv(RATE_HZ)
    single = x.astype(np.float32)
    columns = np.arange(5, spec.width, 13)
    exact = exact_columns(x, spec, columns)
    pictures = {
        "this": render(single, spec, output="gray"),
        "matplotlib": Matplotlib(single, spec).u8()[..., 0],
        "opencv": OpenCV(single, spec).draw(),
    }
    return {name: psnr_db(picture[:, columns], exact) for name, picture in pictures.items()}


def measure(seconds: float) -> dict[str, Any]:
    """All figures as a JSON-able dictionary; `seconds`: how long each comparison goes on."""
    grid = exactness(SIZES, RATES_HZ, ROWS)
    compared: dict[str, Any] = {
        **{
            f"{name}_{spec.rows}" + (f"_cuts_{spec.cuts}" if spec.cuts != SPEC.cuts else ""): pair
            for spec in (ONE_ROW, SPEC, replace(ONE_ROW, cuts=FEWER), replace(SPEC, cuts=FEWER))
            for name, pair in _against_peers(spec, 2 * seconds).items()
        },
        "threads": _night(seconds),
        "wide": _wide(seconds),
        "sweep": _sweep(seconds),
        "psnr": {"ratio": min(case["psnr_db"] for case in grid), "pictures": len(grid)},
    }
    for name, pair in compared.items():
        goal = GOALS[name.partition("_")[0]]
        pair["goal"] = asdict(goal)
        pair["verdict"] = goal.verdict(pair["ratio"])
    facts = environment(1)
    facts["packages"] |= {name: version(name) for name in ("matplotlib", "opencv-python-headless")}
    return {
        "benchmark": "render",
        "environment": facts,
        "kernel": build_config(),
        "renderer_version": RENDERER_VERSION,
        "compared": compared,
        "frontier": frontier(seconds / 2, SIZES, RATES_HZ),
        "exactness": {
            "cuts_a_pixel": CUTS,
            "columns": COLUMNS,
            "pictures": grid,
            "peers_db": {str(spec.rows): _exactness_of_peers(spec) for spec in (ONE_ROW, SPEC)},
        },
    }


def _print(results: dict[str, Any], console: Console) -> None:
    machine, kernel = results["environment"], results["kernel"]
    console.print(
        f"{machine['cpu']}, {kernel['instruction_set']}, {kernel['compiler']}, Python {machine['python']}, "
        + ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    )
    if machine["load_average"]:
        console.print(f"load average {machine['load_average'][0]:.1f} on {machine['cpus_usable']} processors")
    table = Table("ratio", "rows", "measured", "half between", "must", "aim", "")
    times = Table("time in µs", "rows", "p50", "p95", "p99", "n")
    for column in (*table.columns[1:6], *times.columns[1:]):
        column.justify = "right"
    for name, pair in results["compared"].items():
        goal, rows = pair["goal"], name.partition("_")[2].replace("_", " ")
        sign = "≥" if goal["at_least"] else "≤"
        between = "-".join(f"{x:.3g}" for x in pair.get("half_between", ()))
        bounds = (f"{sign} {goal['must']:g}", f"{sign} {goal['aim']:g}")
        table.add_row(goal["name"], rows, f"{pair['ratio']:.3g}", between, *bounds, pair["verdict"])
        for what, t in pair.items():
            if what.endswith("_us"):
                numbers = (f"{t[key]:.0f}" for key in ("p50", "p95", "p99"))
                times.add_row(f"{name.partition('_')[0]}: {what[:-3]}", rows, *numbers, str(t["n"]))
    console.print(table)
    console.print(times)
    cheaper = Table("line width", "rows", "cuts", "least dB", "median dB", "u8 µs", "f32 µs")
    for f in results["frontier"]:
        exact = (f"{f[key]:.1f}" for key in ("least_db", "median_db", "u8_us", "f32_us"))
        cheaper.add_row(f"{f['line_width']:g}", str(f["rows"]), str(f["cuts"]), *exact)
    console.print(cheaper)
    grid = results["exactness"]["pictures"]
    least, middle = min(grid, key=lambda c: c["psnr_db"]), np.median([c["psnr_db"] for c in grid])
    console.print(
        f"PSNR of {len(grid)} pictures: median {middle:.1f} dB, least {least['psnr_db']:.1f} dB "
        f"({least['width']}x{least['height']}, {least['rate_hz']} Hz, rows {least['rows']})"
    )
    for rows, psnr in results["exactness"]["peers_db"].items():
        decibels = ", ".join(f"{name} {value:.1f} dB" for name, value in psnr.items())
        console.print(f"rows {rows} at 336x336 and {RATE_HZ} Hz: {decibels}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status, 2 where a peer is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each comparison goes on (3)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all figures here")
    options = parser.parse_args(arguments)
    if not 0 < options.seconds <= 600:
        parser.error(f"--seconds: {options.seconds}; give a number above 0, at most 600")
    try:
        results = measure(options.seconds)
    except ImportError as error:
        Console(stderr=True).print(f"{error.name}: not installed; {install_command('bench')}", markup=False)
        return 2
    _print(results, Console())
    if options.json is not None:
        write_json(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
