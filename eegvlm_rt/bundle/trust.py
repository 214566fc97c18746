"""Which bundles a device trusts: those whose manifest is signed, with Ed25519, by a key it knows.

The manifest lists the SHA-256 of every file, so that a signature over it covers the bundle.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import BundleError, SignatureError
from ..extras import install_command
from ..files.strict_json import json_text, load_object
from .files import SIGNATURE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = [
    "KEYS_VARIABLE",
    "REQUIRE_VARIABLE",
    "PublicKey",
    "TrustPolicy",
    "read_keys",
    "read_signature",
    "signature_text",
    "signed_message",
]

KEYS_VARIABLE: Final = "EEGVLM_RT_TRUSTED_KEYS"
REQUIRE_VARIABLE: Final = "EEGVLM_RT_REQUIRE_SIGNATURE"
MAX_SIGNATURE_BYTES: Final = 4096
MAX_KEYS_BYTES: Final = 1 << 16

_DOMAIN: Final = b"eegvlm-rt bundle manifest, version 1\0"
_FORMAT: Final = {"format": "eegvlm-rt signature", "version": 1, "algorithm": "ed25519"}
_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key: its 32 bytes, and what its owner calls it."""

    raw: bytes
    label: str = ""

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise BundleError("key", f"{len(self.raw)} bytes", "an Ed25519 public key has 32")

    @property
    def key_id(self) -> str:
        """First 16 hexadecimal digits of the key's SHA-256."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def line(self) -> str:
        """The key as a trusted-keys file holds it."""
        return f"ed25519 {base64.b64encode(self.raw).decode()} {self.label}".rstrip()


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """`keys` whose signatures count; with `require_signature` a bundle without one of them is refused.

    Without it an unsigned bundle is opened, but a signature that is there must still be good.
    """

    keys: tuple[PublicKey, ...] = ()
    require_signature: bool = False

    @classmethod
    def from_environment(cls) -> TrustPolicy:
        """`$EEGVLM_RT_TRUSTED_KEYS`, a file of keys, and `$EEGVLM_RT_REQUIRE_SIGNATURE`, by default 1 where
        keys are named and 0 where not.

        Raises:
            BundleError: a file that cannot be read, or a value that is neither yes nor no.
        """
        place = os.environ.get(KEYS_VARIABLE)
        text = os.environ.get(REQUIRE_VARIABLE, "1" if place else "0").strip().lower()
        if text not in _YES | _NO:
            raise BundleError(REQUIRE_VARIABLE, text, "give 1 or 0")
        return cls(read_keys(place) if place else (), text in _YES)

    def check(self, manifest: bytes, signature: bytes | None) -> PublicKey | None:
        """The key that signed these manifest bytes; None for an unsigned bundle, or where no key is trusted
        and no signature required.

        Raises:
            SignatureError: no signature where one is required, one by an unknown key, over another manifest,
                or wrong.
        """
        if signature is None:
            if self.require_signature:
                raise SignatureError(
                    SIGNATURE_NAME, "missing", "this device opens signed bundles only: fetch the signed one"
                )
            return None
        if not self.keys and not self.require_signature:
            return None
        fields = read_signature(signature)
        key = next((key for key in self.keys if key.key_id == fields["key_id"]), None)
        if key is None:
            key_names = ", ".join(key.key_id for key in self.keys) or "none"
            raise SignatureError(
                f"{SIGNATURE_NAME}.key_id",
                fields["key_id"],
                f"not a key this device trusts; it trusts {key_names}",
            )
        digest = hashlib.sha256(manifest).hexdigest()
        if fields["manifest_sha256"] != digest:
            raise SignatureError(
                f"{SIGNATURE_NAME}.manifest_sha256", fields["manifest_sha256"], f"this manifest has {digest}"
            )
        if not _good(key, fields["signature"], signed_message(manifest)):
            raise SignatureError(SIGNATURE_NAME, "wrong", "the signature does not fit key and manifest")
        return key


def signed_message(manifest: bytes) -> bytes:
    """What is signed: a text that no other protocol signs, then the manifest's SHA-256."""
    return _DOMAIN + hashlib.sha256(manifest).digest()


def signature_text(key: PublicKey, manifest: bytes, signature: bytes) -> str:
    """The content of a signature file."""
    fields = _FORMAT | {
        "key_id": key.key_id,
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "signature": base64.b64encode(signature).decode(),
    }
    return json_text(fields, SIGNATURE_NAME)


def read_signature(content: bytes) -> Mapping[str, Any]:
    """Fields of a signature file, `signature` as its 64 bytes. Raises SignatureError."""
    cure = "sign the bundle again: eegvlm-rt bundle sign"
    try:
        fields = load_object(content, SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
    except BundleError as error:
        raise SignatureError(SIGNATURE_NAME, error.value, cure) from error
    texts = {"key_id", "manifest_sha256", "signature"}
    if set(fields) != {*_FORMAT, *texts} or not all(isinstance(fields[name], str) for name in texts):
        raise SignatureError(SIGNATURE_NAME, sorted(fields), cure)
    if any(fields[name] != value or type(fields[name]) is not type(value) for name, value in _FORMAT.items()):
        raise SignatureError(
            SIGNATURE_NAME, [fields[name] for name in _FORMAT], "only Ed25519, version 1, is known"
        )
    try:
        raw = base64.b64decode(fields["signature"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError(f"{SIGNATURE_NAME}.signature", fields["signature"], cure) from error
    return fields | {"signature": raw}


def read_keys(path: str | os.PathLike[str]) -> tuple[PublicKey, ...]:
    """Keys of a file with one `ed25519 BASE64 LABEL` a line; empty lines and those with `#` do not count.

    Raises:
        BundleError: no file, another line, a key twice, or no key at all.
    """
    try:
        with Path(path).open("rb") as handle:
            content = handle.read(MAX_KEYS_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text, or not the name of a file"
        raise BundleError("trusted keys", os.fspath(path), f"cannot be read: {why}") from error
    if len(content) > MAX_KEYS_BYTES:
        raise BundleError("trusted keys", os.fspath(path), f"give at most {MAX_KEYS_BYTES} bytes")
    keys = [_key(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not keys or len({key.raw for key in keys}) != len(keys):
        raise BundleError("trusted keys", os.fspath(path), "give at least one key, and each key once")
    return tuple(keys)


def ed25519() -> ModuleType:
    """The Ed25519 of the package cryptography; raises BundleError where that is missing."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519 as module
    except ImportError as error:
        raise BundleError("cryptography", "missing", install_command("sign")) from error
    return module


def _key(line: str) -> PublicKey:
    parts = line.split(maxsplit=2)
    try:
        raw = base64.b64decode(parts[1], validate=True) if parts[0] == "ed25519" else b""
    except (IndexError, binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise BundleError("trusted keys", line, "give lines 'ed25519 BASE64 LABEL'")
    return PublicKey(raw, parts[2].strip() if len(parts) > 2 else "")


def _good(key: PublicKey, signature: bytes, message: bytes) -> bool:
    module = ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        module.Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True
