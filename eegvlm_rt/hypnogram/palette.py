"""The colors of the project: stages, ink, gaps; for pictures, reports and terminals.

The colors of the stages are told apart with every common color vision deficiency and in gray, which the
tests check with the simulation of Machado et al. 2009 (IEEE TVCG 15:1291). They begin with the palette of
Okabe & Ito (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

from typing import Final

from ..stages import Stage

__all__ = ["GRID", "INK", "MARKS", "MUTED", "STAGE_COLORS", "STAGE_ROWS", "TERMINAL_COLORS", "UNSCORED"]

STAGE_COLORS: Final[dict[Stage, str]] = {
    Stage.W: "#E69F00",
    Stage.R: "#CC3311",
    Stage.N1: "#9AD0F3",
    Stage.N2: "#3D8FCB",
    Stage.N3: "#0B3C6F",
}
"""For white paper and screens."""

TERMINAL_COLORS: Final[dict[Stage | None, str]] = {
    Stage.W: "#E69F00",
    Stage.R: "#E0533A",
    Stage.N1: "#9AD0F3",
    Stage.N2: "#4FA3DF",
    Stage.N3: "#5B7FD1",
    None: "dim",
}
"""The same hues, bright enough for text on black and dark enough on white; None is an epoch without a
stage.
"""

STAGE_ROWS: Final[tuple[Stage, ...]] = (Stage.W, Stage.R, Stage.N1, Stage.N2, Stage.N3)
"""Stages from the top of a hypnogram to its bottom."""

INK: Final = "#22303C"
MUTED: Final = "#5A6975"
GRID: Final = "#DDE3E8"
UNSCORED: Final = "#D5DADF"

MARKS: Final[dict[str, str]] = {"spindle": "#009E73", "K-complex": "#AA3377", "slow wave": "#B07D00"}
"""Events marked in a trace."""
