"""Bundles: a trained model as one folder, verified before anything in it is loaded.

    bundle = Bundle.open(find_bundle("nano"))
    bundle.manifest.model_id, bundle.digest
    bundle.read(bundle.component("tokenizer"))

A folder holds `manifest.json` and the files it lists, nothing else. The manifest gives size and SHA-256 of
every file; paths are relative and stay inside the folder. `write_bundle` is the one way to make a folder, and
publishes it whole; `pack_bundle` and `unpack_bundle` carry one as a single file. A bundle may be signed, and
a device may ask for it: `TrustPolicy`.
"""

from __future__ import annotations

from .archive import pack_bundle, unpack_bundle
from .draft import DRAFT_SUFFIX, draft_fields
from .files import BundleFile
from .find import find_bundle
from .manifest import SCHEMA_VERSION, Component, LanguageModelShape, Manifest, parse_manifest
from .opening import Bundle
from .schema import manifest_schema
from .signing import make_key, sign_bundle
from .trust import PublicKey, TrustPolicy, read_keys
from .writing import ComponentSource, write_bundle

__all__ = [
    "DRAFT_SUFFIX",
    "SCHEMA_VERSION",
    "Bundle",
    "BundleFile",
    "Component",
    "ComponentSource",
    "LanguageModelShape",
    "Manifest",
    "PublicKey",
    "TrustPolicy",
    "draft_fields",
    "find_bundle",
    "make_key",
    "manifest_schema",
    "pack_bundle",
    "parse_manifest",
    "read_keys",
    "sign_bundle",
    "unpack_bundle",
    "write_bundle",
]
