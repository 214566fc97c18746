"""What the enhancement module reads of many epochs, once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.imaging import Normalize, render_spec
from ..data.loading import Loader, PictureBatches, moved, sweep_batches
from ..data.nightset import NightSet
from ..model.modeling import EegVlmForConditionalGeneration

__all__ = ["read_epochs"]

_BATCH = 512


@torch.no_grad()
def read_epochs(
    model: EegVlmForConditionalGeneration,
    nights: NightSet,
    *,
    workers: int,
    gain: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Pooled features (n, F) and stage logits (n, 5) of every epoch, on the device the model is on; `gain`
    (n,) of every epoch, where there is one."""
    device = next(model.parameters()).device
    spec = render_spec(model.config.render)
    normalize = Normalize(spec).to(device)
    features, logits = [], []
    every = np.arange(len(nights))
    for raw in Loader(workers, (0,))(PictureBatches(nights, spec, gain), sweep_batches(every, _BATCH)):
        look = model.enhancement(normalize(moved(raw, device).grey))
        features.append(look.pooled.half().cpu().numpy())
        logits.append(look.stage_logits.float().cpu().numpy())
    return np.concatenate(features), np.concatenate(logits)
