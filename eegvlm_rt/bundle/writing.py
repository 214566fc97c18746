"""Making a bundle: staged beside its destination, checked, made durable, then published in one step."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BundleError
from ..files.strict_json import json_text, plain_values
from .files import MANIFEST_NAME, BundleFile, check_relative, digest_file
from .manifest import Component, LanguageModelShape, Manifest, parse_manifest
from .opening import Bundle
from .publishing import publish_folder, staging_folder
from .trust import TrustPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ComponentSource", "write_bundle"]


@dataclass(frozen=True, slots=True)
class ComponentSource:
    """A component to be copied into a bundle.

    `path` is the file to copy, `file` its name in the bundle (by default its own), `precision` of the main
    file, `variants` maps other precisions to (path, name in the bundle), `data` are external weight files of
    the main file; an ONNX graph names them, so they keep their names.
    """

    path: Path
    precision: str
    file: str | None = None
    variants: Mapping[str, tuple[Path, str]] = field(default_factory=dict)
    data: tuple[Path, ...] = ()


def write_bundle(
    destination: str | os.PathLike[str],
    *,
    model_id: str,
    render: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    prompt: Mapping[str, Any],
    stage_tokens: Mapping[str, int],
    visual_tokens: int,
    hidden_size: int,
    lm: LanguageModelShape | Mapping[str, int],
    components: Mapping[str, ComponentSource],
    parity: Mapping[str, Any] | None = None,
    accuracy: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    scoring: Mapping[str, Any] | None = None,
    draft: Sequence[str] = (),
    overwrite: bool = False,
) -> Bundle:
    """Copy the components into a new bundle folder and publish it at `destination`.

    The folder appears whole or not at all: files are copied to a staging folder beside the destination,
    verified as a reader would, synchronised to disk, and put there in one step. With `overwrite` an older
    bundle is swapped for the new one (see `publishing`) and removed after. A model card is the component
    `card` (`README.md`). `scoring` is made of plain values. `draft` says why the bundle is a draft; its
    `model_id` then ends in "-draft".

    Raises:
        BundleError: the destination exists (without `overwrite`) or is no bundle, or a field breaks the
            schema.
        IntegrityError: what was copied is not what was read.
    """
    target = Path(destination).absolute()
    check_destination(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    with staging_folder(target) as staging:
        copied = {name: _copy(name, source, staging) for name, source in components.items()}
        manifest = Manifest(
            model_id=model_id,
            render=render,
            preprocessing=preprocessing,
            prompt=prompt,
            stage_tokens=stage_tokens,
            visual_tokens=visual_tokens,
            hidden_size=hidden_size,
            lm=lm if isinstance(lm, LanguageModelShape) else LanguageModelShape(**lm),
            components=copied,
            parity=parity or {},
            accuracy=accuracy or {},
            provenance=provenance or {},
            scoring=plain_values(scoring or {}, "scoring"),
            draft=tuple(draft),
        )
        _write_manifest(staging, manifest)
        bundle = Bundle.open(staging, trust=TrustPolicy())
        if bundle.unlisted:
            raise BundleError("bundle", bundle.unlisted, "every file of a bundle is listed")
        publish_folder(staging, target)
    return Bundle(target, bundle.manifest, bundle.digest, True)


def check_destination(target: Path, *, overwrite: bool) -> None:
    """Refuse a destination that exists, unless it is a bundle folder to overwrite; raises BundleError."""
    if os.path.lexists(target):
        if not overwrite:
            raise BundleError(
                "destination",
                str(target),
                "exists; write elsewhere, or add --overwrite (in Python overwrite=True)",
            )
        if target.is_symlink() or not (target / MANIFEST_NAME).is_file():
            raise BundleError(
                "destination", str(target), "exists and is no bundle folder; remove it yourself"
            )


def manifest_text(manifest: Manifest) -> str:
    """The JSON of a manifest, as it is written; raises BundleError for values JSON cannot hold."""
    return json_text(manifest.to_dict(), "manifest")


def _write_manifest(staging: Path, manifest: Manifest) -> None:
    content = manifest_text(manifest).encode("utf-8")
    parse_manifest(content)
    (staging / MANIFEST_NAME).write_bytes(content)


def _copy(name: str, source: ComponentSource, staging: Path) -> Component:
    data = tuple(_copy_file(path, path.name, staging) for path in source.data)
    main = _copy_file(source.path, source.file or source.path.name, staging)
    variants = {
        precision: _copy_file(path, file, staging) for precision, (path, file) in source.variants.items()
    }
    return Component(name, BundleFile(main.file, main.bytes, main.sha256, data), source.precision, variants)


def _copy_file(path: Path, name: str, staging: Path) -> BundleFile:
    target = staging / check_relative(name)
    if target.exists():
        raise BundleError("components", name, "give every file a name of its own")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, target)
    except OSError as error:
        raise BundleError("components", str(path), f"cannot be copied: {error.strerror}") from error
    target.chmod(0o644)
    size, digest = digest_file(target)
    return BundleFile(name, size, digest)
