"""Where files come from, in a form that tools read: an in-toto statement with a predicate of SLSA provenance
v1.

https://github.com/in-toto/attestation (Statement v1) and https://slsa.dev/spec/v1.0/provenance. The
statement says what was built, from which commit, by which tools. It carries no signature: that is of the
tag, or of the service that built the files.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["BUILD_TYPE", "TOOLS", "builder_id", "digest_of", "statement", "sums"]

BUILD_TYPE = "urn:eegvlm-rt:release:v1"
"""External parameters: `version`, `targets`. docs/releasing.md describes the build."""

TOOLS = ("auditwheel", "build", "cmake", "ninja", "pybind11", "scikit-build-core", "ziglang")
"""Packages of PyPI that shape the bytes of a wheel, or judge them."""


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums(files: Sequence[Path]) -> str:
    """What `sha256sum --check` reads."""
    return "".join(f"{digest_of(path)}  {path.name}\n" for path in sorted(files, key=lambda path: path.name))


def builder_id() -> str:
    """Who built: the workflow, where GitHub Actions names it; a machine of the maintainers elsewhere."""
    workflow = os.environ.get("GITHUB_WORKFLOW_REF")
    if workflow:
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{workflow}"
    return "urn:eegvlm-rt:builder:local"


def statement(
    files: Sequence[Path],
    *,
    version_number: str,
    commit: str,
    repository: str,
    targets: Sequence[str],
    materials: Mapping[str, str],
    begin: datetime,
) -> dict[str, Any]:
    """The statement about files.

    repository: address of the clone, "" where it has none.
    materials: what else the build read, by a name: the package URLs of Python's headers.
    """
    tools = {name: version(name) for name in TOOLS}
    source = {"uri": f"git+{repository or 'file:eegvlm-rt'}", "digest": {"gitCommit": commit}}
    dependencies = [source, *({"uri": f"pkg:pypi/{name}@{number}"} for name, number in tools.items())]
    dependencies += [{"name": name, "uri": uri} for name, uri in materials.items()]
    system = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": {"sha256": digest_of(path)}} for path in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"version": version_number, "targets": list(targets)},
                "internalParameters": system,
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": builder_id(), "version": tools},
                "metadata": {"startedOn": _moment(begin), "finishedOn": _moment(datetime.now(UTC))},
            },
        },
    }


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
