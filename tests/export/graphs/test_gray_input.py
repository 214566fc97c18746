"""One plane for three: the same numbers, where the convolution has no padding."""

from __future__ import annotations

import numpy as np
import torch
from eegvlm_export.graphs.gray_input import fold_planes
from eegvlm_export.graphs.tower import TowerGraph
from eegvlm_train.model import EegVlmForConditionalGeneration
from torch import nn

from eegvlm_rt.rendering.renderer import RenderSpec, render_batch


def test_folded_towers_give_the_same_outputs(model: EegVlmForConditionalGeneration) -> None:
    spec = RenderSpec.from_dict(model.config.render or {})
    waves = np.random.default_rng(0).normal(0, 30, (3, 3000)).astype(np.float32)
    pictures = torch.from_numpy(render_batch(waves, spec, output="f32"))
    tower = TowerGraph(model).eval()
    folded = fold_planes(tower, spec)
    with torch.no_grad():
        for ours, theirs in zip(folded(pictures), tower(pictures), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    kept = [m for m in folded.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3]
    padded = [
        m for m in tower.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3 and m.padding != (0, 0)
    ]
    assert len(kept) == len(padded)
