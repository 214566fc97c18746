"""Where bundles are looked for by name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from ..errors import BundleError
from .files import MANIFEST_NAME

__all__ = ["INSTALLED_MODELS", "MODELS_VARIABLE", "find_bundle"]

INSTALLED_MODELS: Final = Path(__file__).resolve().parents[1] / "models"
MODELS_VARIABLE: Final = "EEGVLM_RT_MODELS"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


def find_bundle(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of a bundle: a path to one, or a name.

    A name is looked for in `$EEGVLM_RT_MODELS`, then among the models installed with the package, then in
    `models/` of a source checkout, at last as a folder in the working directory: one that has the name of an
    installed model must be called "./name". A text with a path separator, or a `Path`, is a path.

    Raises:
        BundleError: nothing there; the message lists the places.
    """
    try:
        text = os.fsdecode(name_or_path)
    except TypeError:
        text = ""
    is_path = isinstance(name_or_path, os.PathLike) or "/" in text or os.sep in text
    if is_path:
        places = [Path(text)]
    elif _NAME.fullmatch(text):
        places = [*(folder / text for folder in _folders()), Path(text)]
    else:
        raise BundleError(
            "bundle", text or name_or_path, "give a bundle's name, such as nano, or the path of its folder"
        )
    for place in places:
        if (place / MANIFEST_NAME).is_file():
            return place
    looked = ", ".join(str(place if place.is_absolute() else Path.cwd() / place) for place in places)
    raise BundleError("bundle", text, f"no {MANIFEST_NAME} found in {looked}")


def folder_of_the_same_name(name_or_path: object) -> Path | None:
    """The bundle in the working directory that a name does not mean, since a model elsewhere has it."""
    if not isinstance(name_or_path, str) or not _NAME.fullmatch(name_or_path):
        return None
    here = Path(name_or_path)
    if not (here / MANIFEST_NAME).is_file() or find_bundle(name_or_path).samefile(here):
        return None
    return here


def _folders() -> list[Path]:
    variable = os.environ.get(MODELS_VARIABLE)
    folders = [Path(variable)] if variable else []
    checkout = INSTALLED_MODELS.parents[1]
    folders.append(INSTALLED_MODELS)
    if (checkout / "pyproject.toml").is_file():
        folders.append(checkout / "models")
    return folders
