"""Opening a bundle: nothing is deserialised but the manifest until every size and digest is right."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import BundleError, IntegrityError
from .files import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    BundleFile,
    copy_verified,
    locate,
    open_file,
    read_verified,
    verify_file,
)
from .find import INSTALLED_MODELS
from .manifest import MAX_MANIFEST_BYTES, Component, Manifest, parse_manifest
from .references import check_references
from .trust import MAX_SIGNATURE_BYTES, PublicKey, TrustPolicy

__all__ = ["Bundle"]

MAX_BUNDLE_BYTES: Final = 1 << 38
_GRAPHS: Final = ("tower", "llm")


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle folder. `digest` is the SHA-256 of its manifest, and so stands for every file
    listed there; `signed_by` is the trusted key that signed it.
    """

    path: Path
    manifest: Manifest
    digest: str
    verified: bool
    signed_by: PublicKey | None = None

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], verify: bool = True, *, trust: TrustPolicy | None = None
    ) -> Bundle:
        """Read the manifest of the folder `path` and, unless `verify` is False, check every file it lists.

        `trust` says whose signature is asked for; None takes `TrustPolicy.from_environment()`. The signature
        is checked before the manifest is parsed, and whether or not `verify` is set.

        Path rules hold either way. Hard links are refused, as a file could be changed through its other name;
        a bundle inside the installed package is exempt, because installers link from their caches. Files in
        the folder that the manifest does not list are never opened; `unlisted` names them.

        Raises:
            BundleError: no folder, no manifest, or a manifest that breaks the schema.
            IntegrityError: a file is missing, linked, of another size or digest than listed, or a graph that
                refers to a file its entry does not list. SignatureError: not signed as `trust` asks.
        """
        root = Path(path)
        if not root.is_dir():
            raise BundleError("bundle", str(root), "give a bundle folder")
        content = _manifest_bytes(root)
        policy = TrustPolicy.from_environment() if trust is None else trust
        signed_by = policy.check(content, _signature_bytes(root))
        manifest = parse_manifest(content)
        if sum(entry.bytes for entry in manifest.files()) > MAX_BUNDLE_BYTES:
            raise BundleError(
                "components", "sizes", f"all files together have at most {MAX_BUNDLE_BYTES} bytes"
            )
        bundle = cls(root, manifest, hashlib.sha256(content).hexdigest(), verify, signed_by)
        if verify:
            bundle.verify()
        else:
            for entry in manifest.files():
                locate(root, entry.file, allow_hard_links=bundle.links_allowed)
        return bundle

    def verify(self) -> None:
        """Check place, size and digest of every file, and what graphs refer to; raises IntegrityError."""
        for entry in self.manifest.files():
            verify_file(self.path, entry, allow_hard_links=self.links_allowed)
        for name, component in self.manifest.components.items():
            for entry in (component.file, *component.variants.values()):
                if name in _GRAPHS or entry.file.endswith(".onnx"):
                    check_references(self.path, entry, allow_hard_links=self.links_allowed)

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
        return read_verified(self.path, file, verify=self.verified, allow_hard_links=self.links_allowed)

    def copy(self, file: BundleFile, folder: Path) -> Path:
        """Copy a listed file and those it refers to below `folder`, checked as they are copied; its path
        there. Raises IntegrityError where one is not what the manifest lists.
        """
        return copy_verified(self.path, file, folder, allow_hard_links=self.links_allowed)

    def manifest_bytes(self) -> bytes:
        """The manifest as it stands in the folder; raises IntegrityError where it changed since."""
        content = _manifest_bytes(self.path)
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise IntegrityError(MANIFEST_NAME, "changed", "open the bundle again")
        return content

    def signature_bytes(self) -> bytes | None:
        """The signature as it stands in the folder, None for an unsigned bundle."""
        return _signature_bytes(self.path)

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Names of what lies in the folder without being listed, sorted; manifest and signature left out."""
        listed = {MANIFEST_NAME, SIGNATURE_NAME, *(entry.file for entry in self.manifest.files())}
        strangers = []
        for folder, folders, names in os.walk(self.path):
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            strangers += [
                (Path(folder) / name).relative_to(self.path).as_posix() for name in [*names, *links]
            ]
        return tuple(sorted(set(strangers) - listed))

    @property
    def links_allowed(self) -> bool:
        """Whether files may have a second name: inside the installed package alone."""
        return self.path.resolve().is_relative_to(INSTALLED_MODELS)


def _manifest_bytes(root: Path) -> bytes:
    try:
        return _head(root, MANIFEST_NAME, MAX_MANIFEST_BYTES)
    except IntegrityError as error:
        raise BundleError(MANIFEST_NAME, error.value, f"{root} is not a bundle folder") from error


def _signature_bytes(root: Path) -> bytes | None:
    return (
        _head(root, SIGNATURE_NAME, MAX_SIGNATURE_BYTES) if os.path.lexists(root / SIGNATURE_NAME) else None
    )


def _head(root: Path, name: str, limit: int) -> bytes:
    links_allowed = root.resolve().is_relative_to(INSTALLED_MODELS)
    with open_file(root, name, allow_hard_links=links_allowed) as handle:
        return handle.read(limit + 1)
