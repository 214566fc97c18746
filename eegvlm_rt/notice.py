"""What every report of the project says."""

from __future__ import annotations

from typing import Final

__all__ = ["NOTICE"]

NOTICE: Final = "Not a medical device. Research software: not for diagnosis or treatment."
