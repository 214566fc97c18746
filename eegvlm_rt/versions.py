"""Which version this is: of the package, of the bundles that it reads, of the pictures that it draws.

The number of the package stands in `eegvlm_rt/__init__.py` alone; the build reads it there.
"""

from __future__ import annotations

import argparse
from typing import Any

from . import __version__

__all__ = ["RENDERER_VERSION", "VersionOption", "version_text"]

RENDERER_VERSION = "3"
"""Changes whenever the same samples and the same RenderSpec give another picture."""


def version_text(program: str) -> str:
    """What `--version` prints, in one line; no compiled renderer is needed for it."""
    from .bundle.migration import FIELDS

    schemas = f"bundle schemas {min(FIELDS)} to {max(FIELDS)}"
    return f"{program} {__version__} ({schemas}, renderer {RENDERER_VERSION})"


class VersionOption(argparse.Action):
    """`--version`: one line about `parser.prog`, or about `const` where one is given."""

    def __init__(self, option_strings: list[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the versions and leave", **settings)

    def __call__(
        self, parser: argparse.ArgumentParser, _namespace: object, _values: object, _option: object = None
    ) -> None:
        print(version_text(self.const or parser.prog))
        parser.exit()
