from typing import Any

from numpy.typing import NDArray

def render(
    x: NDArray[Any],
    out: NDArray[Any],
    *,
    output: str,
    width: int,
    height: int,
    rows: int,
    line_width: float,
    uv_range: float,
    gain: float,
    offset: float,
    scale: tuple[float, float, float],
    bias: tuple[float, float, float],
    threads: int,
) -> None: ...
def use_instruction_set(name: str) -> None: ...
def build_config() -> dict[str, str | int]: ...
