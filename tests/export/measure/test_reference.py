"""The checkpoint as a reference in 4 bits, for machines that cannot hold it in single precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from eegvlm_export.weights.checkpoint import Checkpoint
from eegvlm_export.weights.reference import reference_language_model


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_nf4_keeps_towers_and_head_and_gives_nearly_the_same_logits(checkpoint: Path) -> None:
    exact, small = (Checkpoint.load(checkpoint, reference) for reference in ("fp32", "nf4"))  # type: ignore[arg-type]
    kinds = {name: type(module).__name__ for name, module in small.model.named_modules()}
    assert kinds["language_model.model.layers.0.mlp.up_proj"] == "Linear4bit"
    assert kinds["language_model.lm_head"] == kinds["projector.linear_1"] == "Linear"
    lms = [reference_language_model(one) for one in (exact, small)]
    a, b = (lm.step(lm.embed([1, 9, 30, 200, 17]))[0] for lm in lms)
    assert 0 < float(torch.from_numpy(a - b).norm()) < 0.5 * float(torch.from_numpy(a).norm())
