"""Mutual TLS: who has no certificate of the right authority is told nothing."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.rt.service.running import configuration, night_file, serving, until

if TYPE_CHECKING:
    from pathlib import Path

Key = ec.EllipticCurvePrivateKey


def certificate(
    folder: Path, name: str, authority: tuple[x509.Certificate, Key] | None
) -> tuple[x509.Certificate, Key]:
    """Write NAME.pem and NAME.key; without an authority, one of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    made = builder.sign(key if authority is None else authority[1], hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.key"
    path.touch(mode=0o600)
    path.write_bytes(private)
    return made, key


def test_only_clients_of_the_authority_are_answered(tmp_path: Path) -> None:
    authority = certificate(tmp_path, "authority", None)
    certificate(tmp_path, "server", authority)
    certificate(tmp_path, "nurse", authority)
    certificate(tmp_path, "stranger", certificate(tmp_path, "elsewhere", None))
    text = configuration(tmp_path / "data").replace(
        'loopback_role = "operate"',
        f'host = "0.0.0.0"\ncertificate = "{tmp_path}/server.pem"\nkey = "{tmp_path}/server.key"\n'
        f'client_ca = "{tmp_path}/authority.pem"',
    )
    text += f'[[beds]]\nid = "one"\nsource = "edf:{night_file(tmp_path, hours=0.05)}@5x"\n'

    def client(name: str | None) -> httpx.Client:
        context = ssl.create_default_context(cafile=tmp_path / "authority.pem")
        if name is not None:
            context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        return httpx.Client(verify=context, base_url=running.url.replace("http:", "https:"))

    with serving(tmp_path, text) as running:
        with client("nurse") as nurse:
            until(lambda: nurse.get("/api/state").status_code == 200, running)
            assert nurse.get("/api/role").json() == {"role": "view"}
            assert nurse.post("/api/model/retry", json={}).status_code == 403
        for name in (None, "stranger"):
            with client(name) as other, pytest.raises(httpx.TransportError):
                other.get("/healthz")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{running.url}/healthz")
