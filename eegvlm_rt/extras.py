"""How the optional parts of the package are installed, for messages."""

from __future__ import annotations

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """The command that adds an optional part ("viz", "lsl" ...) to a clone, or to an installed wheel.

    No package index has eegvlm-rt, so `pip install 'eegvlm-rt[viz]'` would find nothing.
    """
    return f"pip install -e '.[{extra}]' in the source folder, or pip install 'WHEEL[{extra}]'"
