from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SCALING: float

class Plan:
    """What pictures of one look have in common. Raises ValueError naming the argument."""

    def __init__(
        self,
        *,
        width: int,
        height: int,
        rows: int,
        channels: int,
        line_width: float,
        uv_range: Sequence[float],
        scale: tuple[float, float, float],
        bias: tuple[float, float, float],
        ticks: int,
        scale_lines: Sequence[float],
        mark_gray: int,
        cuts: int,
    ) -> None: ...
    def background(self) -> NDArray[np.uint8] | None:
        """What lies behind the trace, (height, width); None where that is white."""

    def render(
        self,
        x: NDArray[Any],
        out: NDArray[Any],
        mask: NDArray[np.bool_] | None,
        output: str,
        gain: Sequence[float],
        offset: Sequence[float],
        threads: int,
    ) -> None:
        """Draws x, (pictures, channels, samples), without the interpreter's lock."""

    def render_one(self, x: object, out: object, output: object, gain: object, offset: object) -> bool:
        """Draws x, (samples,) or (channels, samples), if all of it is as most have it; otherwise False, and
        nothing is drawn."""

class Sweep:
    """One picture of x, (1, channels, samples), that is drawn again where samples have changed."""

    def __init__(
        self,
        plan: Plan,
        x: NDArray[Any],
        out: NDArray[Any],
        mask: NDArray[np.bool_],
        output: str,
        gain: Sequence[float],
        offset: Sequence[float],
    ) -> None: ...
    def redraw(self, begin: int, end: int) -> None:
        """After samples or mask [begin, end) have changed."""

def use_instruction_set(name: str) -> None: ...
def build_config() -> dict[str, str | int]: ...
