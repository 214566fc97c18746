"""Opening a bundle: nothing is deserialised but the manifest until every size and digest is right."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import BundleError, IntegrityError
from .files import MANIFEST_NAME, BundleFile, locate, read_verified, verify_file
from .find import INSTALLED_MODELS
from .manifest import MAX_MANIFEST_BYTES, Component, Manifest, parse_manifest

__all__ = ["Bundle"]

MAX_BUNDLE_BYTES: Final = 1 << 38


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle folder. `digest` is the SHA-256 of its manifest, and so stands for every file
    listed there.
    """

    path: Path
    manifest: Manifest
    digest: str
    verified: bool

    @classmethod
    def open(cls, path: str | os.PathLike[str], verify: bool = True) -> Bundle:
        """Read the manifest of the folder `path` and, unless `verify` is False, check every file it lists.

        Path rules hold either way. Hard links are refused, as a file could be changed through its other name;
        a bundle inside the installed package is exempt, because installers link from their caches. Files in
        the folder that the manifest does not list are never opened; `unlisted` names them.

        Raises:
            BundleError: no folder, no manifest, or a manifest that breaks the schema.
            IntegrityError: a file is missing, linked, or of another size or digest than listed.
        """
        root = Path(path)
        if not root.is_dir():
            raise BundleError("bundle", str(root), "give a bundle folder")
        content = _manifest_bytes(root)
        manifest = parse_manifest(content)
        if sum(entry.bytes for entry in manifest.files()) > MAX_BUNDLE_BYTES:
            raise BundleError(
                "components", "sizes", f"all files together have at most {MAX_BUNDLE_BYTES} bytes"
            )
        bundle = cls(root, manifest, hashlib.sha256(content).hexdigest(), verify)
        if verify:
            bundle.verify()
        else:
            for entry in manifest.files():
                locate(root, entry.file, allow_hard_links=bundle._links_allowed)
        return bundle

    def verify(self) -> None:
        """Check place, size and digest of every listed file; raises IntegrityError."""
        for entry in self.manifest.files():
            verify_file(self.path, entry, allow_hard_links=self._links_allowed)

    def component(self, name: str) -> Component:
        """One component by name; raises BundleError where the bundle does not hold it."""
        components = self.manifest.components
        if name not in components:
            raise BundleError("component", name, "this bundle holds: " + ", ".join(components))
        return components[name]

    def read(self, entry: Component | BundleFile) -> bytes:
        """The bytes of a listed file; in a verified bundle they are checked again as they are read.

        Raises:
            IntegrityError: the file changed since the bundle was opened.
        """
        file = entry.file if isinstance(entry, Component) else entry
        return read_verified(self.path, file, verify=self.verified, allow_hard_links=self._links_allowed)

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Names of what lies in the folder without being listed, sorted; the manifest itself is left out."""
        listed = {MANIFEST_NAME, *(entry.file for entry in self.manifest.files())}
        found = []
        for folder, folders, names in os.walk(self.path):
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            found += [(Path(folder) / name).relative_to(self.path).as_posix() for name in [*names, *links]]
        return tuple(sorted(set(found) - listed))

    @property
    def _links_allowed(self) -> bool:
        return self.path.resolve().is_relative_to(INSTALLED_MODELS)


def _manifest_bytes(root: Path) -> bytes:
    links_allowed = root.resolve().is_relative_to(INSTALLED_MODELS)
    try:
        path = locate(root, MANIFEST_NAME, allow_hard_links=links_allowed)
    except IntegrityError as error:
        raise BundleError(MANIFEST_NAME, error.value, f"{root} is not a bundle folder") from error
    with path.open("rb") as handle:
        return handle.read(MAX_MANIFEST_BYTES + 1)
