"""Making keys and signatures, on the machine that publishes bundles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BundleError
from ..files import write_file
from .files import SIGNATURE_NAME
from .trust import PublicKey, ed25519, signature_text, signed_message

if TYPE_CHECKING:
    from .opening import Bundle

__all__ = ["make_key", "sign_bundle"]


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
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise BundleError("key", str(place), f"cannot be made: {error.strerror}") from error
    write_file(place.with_name(f"{place.name}.pub"), f"{public.line}\n".encode())
    return public


def sign_bundle(bundle: Bundle, key: str | os.PathLike[str], label: str = "") -> PublicKey:
    """Sign the manifest of a verified bundle with the private key in the file `key`; gives its public key.

    Raises:
        BundleError: the bundle was not verified as it was opened, its manifest has changed since, or the key
            is no Ed25519 private key.
    """
    if not bundle.verified:
        raise BundleError(
            "bundle", str(bundle.path), "open it with verify=True: a signature vouches for every file"
        )
    private = _private_key(key)
    manifest = bundle.manifest_bytes()
    public = PublicKey(private.public_key().public_bytes_raw(), label)
    content = signature_text(public, manifest, private.sign(signed_message(manifest)))
    write_file(bundle.path / SIGNATURE_NAME, content.encode())
    return public


def _private_key(path: str | os.PathLike[str]) -> Any:
    kinds = ed25519()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    cure = "give the file that eegvlm-rt bundle keygen wrote"
    try:
        key = load_pem_private_key(Path(path).read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BundleError("key", os.fspath(path), f"{cure}: {error}") from error
    if not isinstance(key, kinds.Ed25519PrivateKey):
        raise BundleError("key", type(key).__name__, cure)
    return key
