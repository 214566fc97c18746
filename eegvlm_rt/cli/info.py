"""eegvlm-rt info: versions, how the renderer was compiled, and the bundle in use."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from .. import __version__
from ..bundle.find import find_bundle
from ..bundle.opening import Bundle
from ..errors import BundleError
from ..rendering.renderer import RENDERER_VERSION, build_config
from .console import note, out, plain
from .defaults import configuration_path

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]

_PACKAGES = ("numpy", "scipy", "onnxruntime", "tokenizers", "edfio", "rich", "matplotlib", "mne")


def run(args: argparse.Namespace) -> int:
    """Print what a report of a problem needs; a bundle that is missing is said, not raised."""
    facts = _facts(args.bundle)
    console = out()
    if args.json:
        console.file.write(json.dumps(facts, indent=2) + "\n")
        return 0
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name, Text(plain(shown)))
    console.print(table)
    note(console)
    return 0


def _facts(bundle: str) -> dict[str, Any]:
    return {
        "eegvlm-rt": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "packages": {name: number for name in _PACKAGES if (number := _version(name))},
        "execution providers": ", ".join(_providers()),
        "renderer": {"version": RENDERER_VERSION, **build_config()},
        "bundle": _bundle(bundle),
        "defaults": str(configuration_path() or "none"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _providers() -> list[str]:
    import onnxruntime

    return [str(name) for name in onnxruntime.get_available_providers()]


def _bundle(name: str) -> dict[str, str] | str:
    try:
        bundle = Bundle.open(find_bundle(name), verify=False)
    except BundleError as error:
        return f"not usable: {error}"
    return {"id": bundle.manifest.model_id, "path": str(bundle.path), "manifest": bundle.digest}
