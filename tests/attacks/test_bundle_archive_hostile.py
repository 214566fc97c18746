"""Archives that are not what `pack` writes: refused, with nothing left behind and nothing written outside."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.bundle import Bundle, TrustPolicy, make_key, pack_bundle, sign_bundle, unpack_bundle
from eegvlm_rt.errors import BundleError, IntegrityError, SignatureError
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    place = tmp_path_factory.mktemp("archive")
    return pack_bundle(write_tiny_bundle(place / "tiny"), place / "tiny.tar").read_bytes()


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., None]:
    """Unpacking these bytes raises, and leaves the folder as it was."""

    def check(content: bytes, error: type[BundleError] = BundleError, match: str | None = None) -> None:
        (tmp_path / "a.tar").write_bytes(content)
        before = sorted(tmp_path.parent.rglob("*"))
        with pytest.raises(error, match=match):
            unpack_bundle(tmp_path / "a.tar", tmp_path / "out")
        assert sorted(tmp_path.parent.rglob("*")) == before

    return check


def rebuilt(
    content: bytes, change: Callable[[tarfile.TarInfo, bytes], list[tuple[tarfile.TarInfo, bytes]]]
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old.getmembers():
            handle = old.extractfile(member)
            assert handle is not None
            for info, data in change(member, handle.read()):
                new.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_the_untouched_archive_opens(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(packed)
    bundle = unpack_bundle(tmp_path / "a.tar", tmp_path / "out")
    assert pack_bundle(Bundle.open(tmp_path / "out"), tmp_path / "b.tar").read_bytes() == packed
    assert bundle.unlisted == ()
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames()[0] == "manifest.json"


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_special_members_are_refused(
    packed: bytes, refused: Callable[..., None], kind: bytes
) -> None:
    def change(member: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if member.name == "tokenizer.json":
            member.type, member.linkname = kind, "/etc/passwd"
        return [(member, data)]

    refused(rebuilt(packed, change), match="archive")


@pytest.mark.parametrize(
    "name", ["/etc/cron.d/x", "../x", "TOKENIZER.JSON", "tokenizer.json ", "tokenizer․json"]
)
def test_other_names_are_refused(packed: bytes, refused: Callable[..., None], name: str) -> None:
    def change(member: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if member.name == "tokenizer.json":
            member.name = name
        return [(member, data)]

    refused(rebuilt(packed, change), match="archive")


def test_a_member_more_twice_or_less_is_refused(packed: bytes, refused: Callable[..., None]) -> None:
    def extra(member: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        other = tarfile.TarInfo("payload.so")
        other.size = 3
        return [(member, data), (other, b"\x7fEL")] if member.name == "README.md" else [(member, data)]

    refused(rebuilt(packed, extra))
    refused(rebuilt(packed, lambda member, data: [(member, data)] * 2))
    refused(rebuilt(packed, lambda member, data: [(member, data)] if member.name != "llm.onnx" else []))


def test_bombs_are_refused_by_their_form(packed: bytes, refused: Callable[..., None]) -> None:
    refused(gzip.compress(bytes(10_000_000)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(10_000_000))
    refused(out.getvalue())
    refused(packed + bytes(512))
    refused(packed + packed)


def test_a_header_that_promises_more_is_refused(packed: bytes, refused: Callable[..., None]) -> None:
    def change(member: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if member.name == "manifest.json":
            data += b" " * (2 << 20)
            member.size = len(data)
        return [(member, data)]

    refused(rebuilt(packed, change), match=r"manifest\.json")
    pax = tarfile.TarInfo("manifest.json")
    pax.pax_headers = {"comment": "x" * 100_000}
    refused(pax.tobuf(tarfile.PAX_FORMAT) + packed[512:])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.99, 0.9999])
def test_a_truncated_archive_is_refused(packed: bytes, refused: Callable[..., None], share: float) -> None:
    refused(packed[: int(share * len(packed))])


def test_swapped_contents_are_refused(packed: bytes, refused: Callable[..., None]) -> None:
    def change(member: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        return [(member, data[::-1] if member.name == "llm.onnx" else data)]

    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        place = archive.getmember("llm.onnx")
    start, end = place.offset_data, place.offset_data + place.size
    refused(packed[:start] + packed[start:end][::-1] + packed[end:], IntegrityError, "sha256")
    refused(rebuilt(packed, change))


def test_an_unsigned_archive_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    key = make_key(tmp_path / "key.pem")
    policy = TrustPolicy((key,), require_signature=True)
    pack_bundle(bundle, tmp_path / "unsigned.tar")
    sign_bundle(bundle, tmp_path / "key.pem")
    pack_bundle(bundle, tmp_path / "signed.tar")
    with pytest.raises(SignatureError):
        unpack_bundle(tmp_path / "unsigned.tar", tmp_path / "out", trust=policy)
    assert unpack_bundle(tmp_path / "signed.tar", tmp_path / "out", trust=policy).signed_by == key


def test_a_destination_is_never_overwritten_unasked(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(packed)
    unpack_bundle(tmp_path / "a.tar", tmp_path / "out")
    with pytest.raises(BundleError, match="exists"):
        unpack_bundle(tmp_path / "a.tar", tmp_path / "out")
    assert unpack_bundle(tmp_path / "a.tar", tmp_path / "out", overwrite=True).verified
