"""Pictures kept under tests/baselines/render, and how they are drawn.

`python -m tests.rt.rendering.render_baselines` draws them anew. Look at them before keeping them, and raise
RENDERER_VERSION: models trained on the old pictures do not know the new ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from eegvlm_rt.rendering.renderer import RenderSpec, render
from release.wheels.smoke import wander

FOLDER = Path(__file__).parents[2] / "baselines" / "render"


def with_gaps() -> np.ndarray:
    x = wander(900, 3).astype(np.float32)
    x[[100, 101, 450]] = np.nan
    x[200:290] = np.inf
    x[600:700:2] = np.nan
    return x


CASES: dict[str, tuple[np.ndarray, RenderSpec]] = {
    "six_rows": (wander(3000, 1), RenderSpec(width=160, height=120)),
    "one_row": (wander(3000, 1), RenderSpec(width=160, height=80, rows=1)),
    "gaps": (with_gaps(), RenderSpec(width=160, height=96, rows=3, line_width=1.5)),
    "two_channels": (
        np.stack([wander(900, 4), wander(900, 5)]),
        RenderSpec(width=160, height=100, rows=2, channels=2),
    ),
    "held_at_the_edge": (
        wander(900, 6),
        RenderSpec(width=160, height=60, rows=2, uv_range=40.0, line_width=3.0),
    ),
    "few_samples": (wander(40, 7), RenderSpec(width=97, height=61, rows=3, line_width=0.7)),
    "dense_samples": (wander(30000, 8), RenderSpec(width=97, height=61, rows=2)),
}


def draw(name: str) -> np.ndarray:
    samples, spec = CASES[name]
    return render(samples, spec)[..., 0]


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in CASES:
        Image.fromarray(draw(name)).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
