"""Plans inside a bundle: for a fleet of equal devices, built on one and listed in a manifest.

The component `engines` is an index of keys; the plans are its files. Their digests stand in the manifest, so
that a signature over it covers them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..bundle.opening import Bundle
from ..bundle.writing import ComponentSource, write_bundle
from ..errors import BundleError
from ..files.strict_json import json_text, load_object
from .plan_key import PlanKey

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from .plan_store import PlanStore, StoredPlan

__all__ = ["COMPONENT", "shipped_plan", "write_with_engines"]

COMPONENT: Final = "engines"
_INDEX: Final = "engines.json"
_FORMAT: Final = {"format": "eegvlm-rt engines", "version": 1}
_MAX_INDEX_BYTES: Final = 1 << 20


def shipped_plan(bundle: Bundle, key: PlanKey) -> bytes | None:
    """The bytes of a plan that the manifest lists and that does what `key` asks for; None for none.

    Raises:
        BundleError: an index that is none. IntegrityError: a plan is not what the manifest lists.
    """
    component = bundle.manifest.components.get(COMPONENT)
    if component is None:
        return None
    listed = {entry.file: entry for entry in component.file.data}
    for built_from, file in _index(bundle.read(component.file)):
        if built_from.serves(key):
            if file not in listed:
                raise BundleError(f"{COMPONENT}.file", file, f"the manifest lists {', '.join(listed)}")
            return bundle.read(listed[file])
    return None


def _index(content: bytes) -> list[tuple[PlanKey, str]]:
    fields = load_object(content, COMPONENT, _MAX_INDEX_BYTES)
    plans: Any = fields.get("plans")
    if {name: fields.get(name) for name in _FORMAT} != _FORMAT or not isinstance(plans, list):
        raise BundleError(COMPONENT, sorted(fields), "give an index of plans, version 1")
    entries = []
    for plan in plans:
        if not isinstance(plan, dict) or set(plan) != {"key", "file"} or not isinstance(plan["key"], dict):
            raise BundleError(f"{COMPONENT}.plans", plan, "give key and file of every plan")
        entries.append((PlanKey.from_dict(plan["key"]), str(plan["file"])))
    return entries


def write_with_engines(
    bundle: Bundle,
    destination: str | os.PathLike[str],
    store: PlanStore,
    records: Iterable[StoredPlan],
    *,
    overwrite: bool = False,
) -> Bundle:
    """A copy of a verified bundle that lists these plans too; sign it afterwards.

    Raises:
        BundleError: a bundle that was not verified, or a destination that exists. IntegrityError: a file of
            the bundle or a plan changed.
    """
    if not bundle.verified:
        raise BundleError("bundle", str(bundle.path), "open it with verify=True: a plan is native code")
    with tempfile.TemporaryDirectory(prefix="eegvlm-engines-") as folder:
        place = Path(folder)
        sources = {
            name: ComponentSource(
                bundle.copy(part.file, place),
                part.precision,
                file=part.file.file,
                variants={
                    other: (bundle.copy(entry, place), entry.file) for other, entry in part.variants.items()
                },
                data=tuple(place / entry.file for entry in part.file.data),
            )
            for name, part in bundle.manifest.components.items()
            if name != COMPONENT
        }
        plans = []
        for record in records:
            path = place / record.file
            path.write_bytes(store.read(record))
            plans.append((record, path))
        listed = [{"key": record.key.to_dict(), "file": record.file} for record, _ in plans]
        index = place / _INDEX
        index.write_text(json_text(_FORMAT | {"plans": listed}, COMPONENT), encoding="utf-8")
        sources[COMPONENT] = ComponentSource(index, "none", data=tuple(path for _, path in plans))
        fields = bundle.manifest.to_dict()
        del fields["schema_version"], fields["components"]
        return write_bundle(destination, components=sources, overwrite=overwrite, **fields)
