"""The compiled renderer, or an error that says how to get it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import KernelMissingError

if TYPE_CHECKING:
    from .. import _kernel as kernel
else:
    try:
        from .. import _kernel as kernel
    except ImportError as error:
        folder = Path(__file__).parents[1]
        if (folder.parent / "pyproject.toml").is_file():
            # Python looks into the current folder first: in a clone the source hides an installed wheel.
            cure = "this is the source folder: run pip install -e . in it, or start Python in another folder"
        else:
            cure = "install the wheel for this Python and this processor, or pip install -e . in a clone"
        raise KernelMissingError("eegvlm_rt._kernel", f"{error}", cure) from error

__all__ = ["kernel"]
