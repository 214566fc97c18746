"""The statement of provenance has the shape of in-toto v1 and SLSA v1, and says what was built from what."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release import provenance
from release.provenance import builder_id, statement, sums


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name in ("b.whl", "a.tar.gz"):
        (tmp_path / name).write_bytes(name.encode())
    return sorted(tmp_path.iterdir())


def test_the_statement_names_files_commit_tools_and_builder(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "version", lambda name: {"ziglang": "0.17.1"}.get(name, "1.0"))
    begin = datetime(2026, 12, 1, 9, tzinfo=UTC)
    result = statement(
        files,
        version_number="0.2.0",
        commit="c" * 40,
        repository="https://example.org/x",
        targets=["cp312"],
        materials={"headers of b.whl": "pkg:generic/cpython@3.12.1"},
        begin=begin,
    )
    assert result["_type"] == "https://in-toto.io/Statement/v1"
    assert result["predicateType"] == "https://slsa.dev/provenance/v1"
    digest = hashlib.sha256(b"b.whl").hexdigest()
    assert result["subject"][1] == {"name": "b.whl", "digest": {"sha256": digest}}
    definition, details = result["predicate"]["buildDefinition"], result["predicate"]["runDetails"]
    assert set(definition) == {
        "buildType",
        "externalParameters",
        "internalParameters",
        "resolvedDependencies",
    }
    assert definition["externalParameters"] == {"version": "0.2.0", "targets": ["cp312"]}
    source = {"uri": "git+https://example.org/x", "digest": {"gitCommit": "c" * 40}}
    assert definition["resolvedDependencies"][0] == source
    assert {"uri": "pkg:pypi/ziglang@0.17.1"} in definition["resolvedDependencies"]
    assert {"name": "headers of b.whl", "uri": "pkg:generic/cpython@3.12.1"} in definition[
        "resolvedDependencies"
    ]
    assert all("uri" in dependency for dependency in definition["resolvedDependencies"])
    assert details["metadata"]["startedOn"] == "2026-12-01T09:00:00Z"
    assert details["builder"]["version"]["ziglang"] == "0.17.1"


def test_the_builder_is_the_workflow_where_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_WORKFLOW_REF", raising=False)
    assert builder_id() == "urn:eegvlm-rt:builder:local"
    monkeypatch.setenv("GITHUB_WORKFLOW_REF", "owner/name/.github/workflows/release.yml@refs/tags/v0.2.0")
    assert builder_id() == "https://github.com/owner/name/.github/workflows/release.yml@refs/tags/v0.2.0"


def test_sums_are_what_sha256sum_reads(files: list[Path]) -> None:
    lines = sums(files).splitlines()
    assert lines == [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in files]
