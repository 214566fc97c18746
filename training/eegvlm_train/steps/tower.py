"""Step 2: the CLIP tower learns to perceive.

`python -m eegvlm_train train-tower DATA OUT`: from its patches the band powers and amplitude of the seconds
under them, from their mean the measured findings and the stage, through heads that are not exported. It needs
nothing of step 1, so both may run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

from .vision import run_vision

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    return run_vision("train-tower", __doc__, ("tower",), argv)
