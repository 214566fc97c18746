"""Bundles: a trained model as one folder, verified before anything in it is loaded.

    bundle = Bundle.open(find_bundle("nano"))
    bundle.manifest.model_id, bundle.digest
    bundle.read(bundle.component("tokenizer"))

A folder holds `manifest.json` and the files it lists, nothing else. The manifest gives size and SHA-256 of
every file; paths are relative and stay inside the folder. `write_bundle` is the one way to make a folder, and
publishes it whole.
"""

from __future__ import annotations

from .files import BundleFile
from .find import find_bundle
from .manifest import SCHEMA_VERSION, Component, LanguageModelShape, Manifest, parse_manifest
from .opening import Bundle
from .writing import ComponentSource, write_bundle

__all__ = [
    "SCHEMA_VERSION",
    "Bundle",
    "BundleFile",
    "Component",
    "ComponentSource",
    "LanguageModelShape",
    "Manifest",
    "find_bundle",
    "parse_manifest",
    "write_bundle",
]
