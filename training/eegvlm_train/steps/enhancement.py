"""Step 1: the visual enhancement module learns to stage.

`python -m eegvlm_train train-enhancement DATA OUT`: its head learns the teacher's stages, its high-level
vector and its last feature map the measured findings and band powers, through heads that are not exported.
"""

from __future__ import annotations

from collections.abc import Sequence

from .vision import run_vision

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    return run_vision("train-enhancement", __doc__, ("enhancement",), argv)
