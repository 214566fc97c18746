"""The render benchmark: the reference is exact, times are taken in turn, every figure is there. How fast
anything is, is not asked here."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks._exact import exact_columns, psnr_db, signal_uv
from benchmarks._pairs import ratios, times_us
from benchmarks._render_peers import Matplotlib, OpenCV, best_normalizer, memset
from benchmarks.render import GOALS, RATES_HZ, ROWS, SIZES, Goal, exactness, main
from eegvlm_rt.rendering.renderer import RenderSpec, render

if TYPE_CHECKING:
    from pathlib import Path

SMALL = RenderSpec(width=60, height=80, rows=1, uv_range=40.0)


def ink(spec: RenderSpec, x: np.ndarray, *columns: int) -> np.ndarray:
    return 1.0 - exact_columns(x, spec, np.array(columns)) / 255.0


@pytest.mark.parametrize("line_width", [0.5, 1.0, 3.7])
def test_a_flat_line_covers_its_width(line_width: float) -> None:
    spec = RenderSpec(width=60, height=80, rows=1, uv_range=40.0, line_width=line_width)
    found = ink(spec, np.full(600, 7.3), 20, 40)
    np.testing.assert_allclose(found.sum(axis=0), line_width, rtol=1e-9)
    assert (found[:30] == 0).all()


def test_a_slope_covers_its_width_across_it() -> None:
    spec = RenderSpec(width=60, height=60, rows=1, uv_range=30.0)
    found = ink(spec, np.linspace(30.0, -30.0, 60, endpoint=False), 25, 35)
    np.testing.assert_allclose(found.sum(axis=0), np.sqrt(2.0), rtol=1e-6)


def test_a_dot_is_a_disc() -> None:
    spec = RenderSpec(width=9, height=9, rows=1, uv_range=10.0, line_width=8.0)
    x = np.array([0.0])
    assert ink(spec, x, *range(9)).sum() == pytest.approx(np.pi * 16.0, rel=1e-4)


def test_a_trace_beyond_the_range_is_held_with_its_whole_stroke() -> None:
    found = ink(SMALL, np.full(600, 1e3), 30)
    np.testing.assert_allclose(found[:2, 0], [1.0, 0.0])


def test_rows_share_the_pixels_between_them() -> None:
    spec = RenderSpec(width=30, height=15, rows=2, uv_range=10.0)
    found = ink(spec, np.full(600, -1e3), 15)
    np.testing.assert_allclose(found[[6, 7, 13, 14], 0], [0.5, 0.5, 0.0, 1.0])


def test_more_cuts_change_next_to_nothing() -> None:
    x, columns = signal_uv(256), np.arange(0, 60, 7)
    once, twice = (exact_columns(x, SMALL, columns, cuts) for cuts in (509, 1021))
    assert psnr_db(once, twice + 1e-9) > 60.0


def test_the_pictures_of_the_kernel_are_as_exact_as_promised() -> None:
    # As wide as the narrowest picture that is measured: the reference costs by the samples in a pixel.
    grid = exactness(((224, 48),), RATES_HZ, ROWS)
    assert len(grid) == len(RATES_HZ) * len(ROWS)
    assert min(case["psnr_db"] for case in grid) >= GOALS["psnr"].must


def test_the_grid_has_at_least_forty_pictures() -> None:
    assert len(SIZES) * len(RATES_HZ) * len(ROWS) >= 40


@pytest.mark.parametrize("rows", [1, 3])
def test_peers_draw_the_same_trace(rows: int) -> None:
    spec = RenderSpec(width=120, height=90, rows=rows)
    x = (60.0 * np.sin(np.arange(900) / 40.0)).astype(np.float32)
    ours = render(x, spec)[..., 0].astype(float)
    matplotlib, opencv = Matplotlib(x, spec), OpenCV(x, spec)
    for picture in (matplotlib.u8()[..., 0], opencv.draw(), opencv.u8()[..., 2]):
        assert picture.shape == (90, 120)
        assert np.corrcoef(picture.ravel(), ours.ravel())[0, 1] > 0.85


def test_the_normalization_of_the_peer_is_ours() -> None:
    spec = RenderSpec(width=40, height=30)
    gray = np.arange(1200, dtype=np.uint8).reshape(30, 40)
    out = np.empty((3, 30, 40), np.float32)
    way, normalize = best_normalizer(gray, spec, out)
    normalize()
    assert way
    expected = (gray / 255.0 - np.reshape(spec.mean, (3, 1, 1))) / np.reshape(spec.std, (3, 1, 1))
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_waiting_is_no_processor_time() -> None:
    taken = times_us({"idle": lambda: time.sleep(4e-3), "busy": lambda: sum(range(20_000))}, 0.05)
    assert ratios(taken, "idle", "busy")["ratio"] < ratios(taken, "idle", "busy", clock="wall")["ratio"]


def test_memset_clears_all_bytes() -> None:
    out = np.ones((3, 4), np.float32)
    memset(out)()
    assert not out.any()


def test_functions_are_timed_in_turn_and_compared_by_round() -> None:
    taken = times_us({"short": lambda: time.sleep(1e-3), "long": lambda: time.sleep(4e-3)}, 0.05)
    assert len(taken["short"].wall) == len(taken["long"].thread) >= 7
    found = ratios(taken, "long", "short", clock="wall")
    assert found["half_between"][0] <= found["ratio"] <= found["half_between"][1]
    assert found["long_us"]["p50"] > found["short_us"]["p50"] > 1000


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (Goal("faster", True, 10, 15), 15, "aim"),
        (Goal("faster", True, 10, 15), 12, "must"),
        (Goal("faster", True, 10, 15), 9.9, "missed"),
        (Goal("slower", False, 2, 1.4), 1.4, "aim"),
        (Goal("slower", False, 2, 1.4), 1.5, "must"),
        (Goal("slower", False, 2, 1.4), 2.1, "missed"),
    ],
)
def test_a_verdict_says_which_bound_is_kept(goal: Goal, value: float, verdict: str) -> None:
    assert goal.verdict(value) == verdict


def test_every_goal_has_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import benchmarks.render as benchmark

    # The grid itself is not asked about here, only that all of it is in the figures.
    monkeypatch.setattr(benchmark, "SIZES", ((120, 30),))
    monkeypatch.setattr(benchmark, "RATES_HZ", (50, 100))
    monkeypatch.setattr(benchmark, "NIGHT", 16)
    path = tmp_path / "deep" / "render.json"
    assert main(["--seconds", "0.01", "--json", str(path)]) == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    assert {name.partition("_")[0] for name in found["compared"]} == set(GOALS)
    for name, compared in found["compared"].items():
        assert compared["verdict"] in ("aim", "must", "missed")
        times = [value for key, value in compared.items() if key.endswith("_us")]
        assert len(times) == (0 if name == "psnr" else 2)
        for value in times:
            assert 0 < value["p50"] <= value["p95"] <= value["p99"]
    assert found["environment"]["packages"]["opencv-python-headless"]
    assert found["kernel"]["instruction_set"]
    assert "PSNR of 10 pictures" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "601"])
def test_a_time_out_of_range_is_an_error_of_use(seconds: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--seconds", seconds])
    assert caught.value.code == 2
