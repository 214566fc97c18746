"""What leaves this machine in words tells nothing of its file system."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["without_paths"]

_PATH: Final = re.compile(r"([a-z]+://\S+)|/(?:[^\s/:;,'\"()=]+/)+([^\s/:;,'\"()]*)")


def without_paths(text: str) -> str:
    """The text with the folders of every path left out: "/srv/nights/a.edf" is "…/a.edf". Addresses stay."""
    return _PATH.sub(lambda match: match[1] or f"…/{match[2]}", text)
