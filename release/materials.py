"""What is installed with a wheel: a bill of materials (CycloneDX), and known weaknesses of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .run import ReleaseError, run

__all__ = ["COMPILED_IN", "Audit", "audit", "complete_bill", "environment_with", "read_audit", "write_bill"]

COMPILED_IN = (
    ("pybind11", "pkg:pypi/pybind11@{pybind11}", "BSD-3-Clause"),
    (
        "libc++, libc++abi and libunwind of LLVM",
        "pkg:pypi/ziglang@{ziglang}",
        "Apache-2.0 WITH LLVM-exception",
    ),
    ("compiler-rt of Zig", "pkg:pypi/ziglang@{ziglang}", "MIT"),
)
"""Name, package that it is taken from, licence: of what is compiled into the kernel."""

_INSTALLERS = ("pip", "setuptools")


@dataclass(frozen=True)
class Audit:
    """What the advisories say.

    Attributes:
        weaknesses: package, version and advisory of each that is known.
        gaps: packages that were not looked up, the wheel's own left out; with any, the answer is open.
    """

    weaknesses: tuple[str, ...]
    gaps: tuple[str, ...]


def environment_with(wheel: Path, folder: Path) -> Path:
    """A virtual environment that has the wheel and what it needs; its Python."""
    run(sys.executable, "-m", "venv", "--clear", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    return python


def write_bill(python: Path, out: Path, epoch: int, tools: dict[str, str]) -> None:
    """Writes the bill of materials of an environment, with what is compiled into the kernel.

    tools: package -> version that the kernel was built with.
    """
    command = (sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--short-PURLs")
    environment = {"SOURCE_DATE_EPOCH": str(epoch)}
    run(*command, "--of", "JSON", "-o", out, python, environment=environment)
    bill = complete_bill(json.loads(out.read_text(encoding="utf-8")), tools)
    out.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def complete_bill(bill: dict[str, Any], tools: dict[str, str]) -> dict[str, Any]:
    """A bill of materials about eegvlm-rt: with what is compiled in, without what installed it."""
    (subject,) = (part for part in bill["components"] if part["name"] == "eegvlm-rt")
    # Where its wheel lay on the machine that made the bill helps nobody.
    subject = {key: value for key, value in subject.items() if key != "externalReferences"}
    others = [part for part in bill["components"] if part["name"] not in ("eegvlm-rt", *_INSTALLERS)]
    others += [_compiled_in(*part, tools) for part in COMPILED_IN]
    references = {part["bom-ref"] for part in [subject, *others]}
    dependencies = []
    for entry in bill.get("dependencies", []):
        needs = [reference for reference in entry.get("dependsOn", []) if reference in references]
        if entry["ref"] == subject["bom-ref"]:
            needs += [part["bom-ref"] for part in others if part["bom-ref"].startswith("compiled-in:")]
        if entry["ref"] in references:
            dependencies.append({"ref": entry["ref"], "dependsOn": sorted(needs)})
    metadata = {**bill.get("metadata", {}), "component": subject}
    return {**bill, "metadata": metadata, "components": others, "dependencies": dependencies}


def _compiled_in(name: str, purl: str, licence: str, tools: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": f"compiled-in:{name}",
        "name": name,
        "purl": purl.format(**tools),
        "licenses": [{"expression": licence}],
        "properties": [{"name": "eegvlm-rt:linked", "value": "statically, into eegvlm_rt/_kernel"}],
    }


def audit(python: Path) -> Audit:
    """Asks for known weaknesses of everything in an environment: PyPI's advisories, by pip-audit.

    Raises:
        ReleaseError: pip-audit cannot be run, or gives no answer.
    """
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = run(python, "-c", ask).strip()
    # Its status is 1 for a weakness too: what it says counts.
    command = '"$0" -m pip_audit --progress-spinner off --format json --path "$1" || test $? = 1'
    return read_audit(run("sh", "-c", command, sys.executable, packages))


def read_audit(text: str) -> Audit:
    """What pip-audit says in JSON."""
    try:
        packages = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(f"pip-audit: no answer in JSON, but {text[:200]!r}") from None
    weaknesses = [
        f"{package['name']} {package['version']}: {advisory['id']}"
        for package in packages
        for advisory in package.get("vulns", [])
    ]
    gaps = [p["name"] for p in packages if "skip_reason" in p and p["name"] != "eegvlm-rt"]
    return Audit(tuple(weaknesses), tuple(gaps))
