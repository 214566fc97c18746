"""Signal quality hour by hour."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..hypnogram.night_rows import flag_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["quality_by_hour"]

HOUR = 120


def quality_by_hour(table: NDArray[Any], clock: Callable[[int], str]) -> list[dict[str, object]]:
    """One row per hour of `Night.table()`: scored epochs, amplitude, what else became of epochs, flags."""
    rows = []
    for first in range(0, len(table), HOUR):
        part = table[first : first + HOUR]
        outcomes = Counter(str(name) or "no record" for name in part["outcome"])
        scored = int((part["stage"] >= 0).sum())
        flags = Counter(name for bits in part["flags"] for name in flag_names(int(bits)))
        amplitude = part["amplitude_uv"][np.isfinite(part["amplitude_uv"])]
        others = [(name, count) for name, count in outcomes.most_common() if name not in ("scored", "")]
        rows.append(
            {
                "from": clock(first),
                "to": clock(first + len(part)),
                "epochs": len(part),
                "scored": scored,
                "percent": round(100 * scored / len(part)),
                "amplitude": f"{np.median(amplitude):.0f}" if amplitude.size else "-",
                "missing": f"{100 * float(np.nanmean(part['missing_share'])):.1f}"
                if np.isfinite(part["missing_share"]).any()
                else "-",
                "others": ", ".join(f"{name} {count}" for name, count in others) or "none",
                "flags": ", ".join(f"{name} {count}" for name, count in flags.most_common(4)) or "none",
            }
        )
    return rows
