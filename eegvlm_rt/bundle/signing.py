"""Making keys and signatures, on the machine that publishes bundles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import BundleError, SignatureError
from ..files.outputs import write_file
from .files import SIGNATURE_NAME
from .trust import PublicKey, ed25519, read_signature, signature_text, signed_message

if TYPE_CHECKING:
    from .opening import Bundle

__all__ = ["make_key", "sign_bundle"]


_KEPT: Final = (
    "is there already, and a key is never replaced: bundles that it signed could not be checked any more; "
    "name another file"
)


def make_key(path: str | os.PathLike[str], label: str = "") -> PublicKey:
    """Write a new private key to `path` (PEM, readable by its owner alone) and give its public key.

    The public key's `line` goes to `PATH.pub` too, and from there into the trusted-keys file of devices.

    Raises:
        BundleError: the file exists or cannot be written, or the package cryptography is missing.
    """
    from_module = ed25519()
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = from_module.Ed25519PrivateKey.generate()
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = PublicKey(private.public_key().public_bytes_raw(), " ".join(label.split()))
    place = Path(path)
    public_place = place.with_name(f"{place.name}.pub")
    if os.path.lexists(public_place):
        raise BundleError("key", str(public_place), _KEPT)
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
    except FileExistsError as error:
        raise BundleError("key", str(place), _KEPT) from error
    except OSError as error:
        raise BundleError("key", str(place), f"cannot be made: {error.strerror}") from error
    write_file(public_place, f"{public.line}\n".encode())
    return public


def sign_bundle(
    bundle: Bundle, key: str | os.PathLike[str], label: str = "", *, overwrite: bool = False
) -> PublicKey:
    """Sign the manifest of a verified bundle with the private key in the file `key`; gives its public key.

    Raises:
        BundleError: the bundle was not verified as it was opened, its manifest has changed since, it belongs
            to the installed package, another key has signed it already (unless `overwrite`), or the key is no
            Ed25519 private key.
    """
    if bundle.links_allowed:
        here = Path(bundle.path.name)
        cure = f"sign ./{here}, the folder here" if here.is_dir() else "copy the folder and sign the copy"
        cure = f"belongs to the installed package, whose files are not to be changed; {cure}"
        raise BundleError("bundle", str(bundle.path), cure)
    if not bundle.verified:
        raise BundleError(
            "bundle", str(bundle.path), "open it with verify=True: a signature vouches for every file"
        )
    private = _private_key(key)
    manifest = bundle.manifest_bytes()
    public = PublicKey(private.public_key().public_bytes_raw(), label)
    other = _signer(bundle)
    if other is not None and other != public.key_id and not overwrite:
        cure = f"is by key {other} already; add --overwrite (in Python overwrite=True) to replace it"
        raise BundleError(SIGNATURE_NAME, str(bundle.path), cure)
    content = signature_text(public, manifest, private.sign(signed_message(manifest)))
    write_file(bundle.path / SIGNATURE_NAME, content.encode(), overwrite=True)
    return public


def _signer(bundle: Bundle) -> str | None:
    """Key that has signed a bundle, None where none has, or none that can be read."""
    content = bundle.signature_bytes()
    try:
        return None if content is None else str(read_signature(content)["key_id"])
    except SignatureError:
        return None


def _private_key(path: str | os.PathLike[str]) -> Any:
    kinds = ed25519()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    cure = "give the file that eegvlm-rt bundle keygen wrote"
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not the name of a file"
        raise BundleError("key", os.fspath(path), f"cannot be read: {why}; {cure}") from error
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BundleError("key", os.fspath(path), f"is no private key without a password; {cure}") from error
    if not isinstance(key, kinds.Ed25519PrivateKey):
        raise BundleError("key", type(key).__name__, cure)
    return key
