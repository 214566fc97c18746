"""eegvlm-rt bundle verify | inspect | keygen | sign | pack | unpack, and the way to build-engines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ..bundle.archive import pack_bundle, unpack_bundle
from ..bundle.find import find_bundle
from ..bundle.opening import Bundle
from ..bundle.signing import make_key, sign_bundle
from .console import note, out, plain
from .staging import trust_policy

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run one action; a bundle that is not what its manifest says raises IntegrityError."""
    if args.action == "build-engines":
        from .build_engines import build

        return build(args)
    console = out()
    if args.action in ("install", "rollback", "slots"):
        from .slots import run as run_slots

        return run_slots(args)
    if args.action not in ("verify", "inspect"):
        console.print(plain(_do(args)), soft_wrap=True)
        return 0
    verify = args.action == "verify"
    bundle = Bundle.open(find_bundle(args.bundle), verify=verify, trust=trust_policy(args.trusted_keys))
    if not verify and args.json:
        console.file.write(json.dumps(bundle.manifest.to_dict(), indent=2) + "\n")
        return 0
    _heading(console, bundle)
    console.print(_files(bundle))
    if verify:
        total = sum(entry.bytes for entry in bundle.manifest.files())
        console.print(
            f"Verified: place, size and SHA-256 of every listed file, {_size(total)} in all.", style="green"
        )
    else:
        _facts(console, bundle)
        console.print("Sizes and digests were not checked: eegvlm-rt bundle verify does.", style="dim")
    signed = (
        f"Signed by trusted key {bundle.signed_by.key_id}."
        if bundle.signed_by
        else "No signature was checked."
    )
    console.print(signed, style="dim")
    if bundle.unlisted:
        console.print("Not listed and never opened: " + plain(", ".join(bundle.unlisted)), style="yellow")
    note(console)
    return 0


def _do(args: argparse.Namespace) -> str:
    """Make a key, a signature, an archive or a folder; what was made, in a line."""
    if args.action == "keygen":
        key = make_key(args.key, args.label)
        return f"{args.key}: private, keep it off devices. {args.key}.pub: {key.line}"
    if args.action == "sign":
        bundle = Bundle.open(find_bundle(args.bundle))
        key = sign_bundle(bundle, args.key, overwrite=args.overwrite)
        return f"{bundle.path}: signed by key {key.key_id}, manifest {bundle.digest}"
    if args.action == "pack":
        bundle = Bundle.open(find_bundle(args.bundle))
        return f"{pack_bundle(bundle, args.archive, overwrite=args.overwrite)}: manifest {bundle.digest}"
    trust = trust_policy(args.trusted_keys)
    bundle = unpack_bundle(args.archive, args.folder, trust=trust, overwrite=args.overwrite)
    return f"{bundle.path}: verified, manifest {bundle.digest}"


def _heading(console: Console, bundle: Bundle) -> None:
    console.print(
        Text.assemble((bundle.manifest.model_id, "bold"), f"  {plain(str(bundle.path))}"), soft_wrap=True
    )
    console.print(f"manifest {bundle.digest}", soft_wrap=True)
    for reason in bundle.manifest.draft:
        console.print(Text(f"a draft: {plain(reason)}", style="bold yellow"), soft_wrap=True)
    console.print()


def _files(bundle: Bundle) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("component", "file", "precision"):
        table.add_column(name)
    table.add_column("size", justify="right")
    table.add_column("SHA-256")
    for name, component in bundle.manifest.components.items():
        files = [(component.precision, component.file), *component.variants.items()]
        for precision, entry in files:
            for part in (entry, *entry.data):
                table.add_row(name, part.file, precision, _size(part.bytes), part.sha256[:12] + "…")
    return table


def _facts(console: Console, bundle: Bundle) -> None:
    manifest = bundle.manifest
    lm = manifest.lm
    facts: list[tuple[str, Any]] = [
        (
            "language model",
            f"{lm.num_layers} layers, {lm.num_kv_heads} key-value heads of {lm.head_dim}, "
            f"{lm.vocab_size} tokens, width {manifest.hidden_size}",
        ),
        ("visual tokens", manifest.visual_tokens),
        *(("render", manifest.render), ("preprocessing", manifest.preprocessing)),
        *(("parity", manifest.parity), ("accuracy", manifest.accuracy), ("provenance", manifest.provenance)),
    ]
    console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value not in ({}, None):
            table.add_row(name, Text(_shown(value)))
    console.print(table)
    console.print()


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(
            f"{key}: {plain(json.dumps(item, ensure_ascii=False))}" for key, item in value.items()
        )
    return plain(str(value))


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"
