"""A night's totals, held against the StructureDefinitions of FHIR R4 (4.0.1) by Medplum's validator.

It is a package of npm: `make fhir-check` fetches it and says where it lies. `test_fhir.py` needs none.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from eegvlm_rt.hypnogram import Hypnogram
from eegvlm_rt.service import observations
from eegvlm_rt.stages import Stage

PACKAGES = os.environ.get("EEGVLM_FHIR_PACKAGES")
NIGHT = Hypnogram.of([Stage.W, Stage.N1, Stage.N2, Stage.N3, Stage.R, None], datetime(2026, 11, 28, 22, 30))

pytestmark = pytest.mark.skipif(PACKAGES is None, reason="the validator of FHIR R4: make fhir-check")


def issues(bundle: dict[str, Any]) -> list[str]:
    """What the published structure has against a Bundle."""
    assert PACKAGES is not None
    command = ["node", str(Path(__file__).with_name("fhir_r4.mjs")), str(Path(PACKAGES).resolve())]
    done = subprocess.run(command, input=json.dumps(bundle), capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def full() -> dict[str, Any]:
    told = observations(NIGHT, subject="p-1", device="one", utc_offset_s=3600, night="ward-3/one/2026-11-28")
    assert told is not None
    return told


@pytest.mark.parametrize(
    "bundle",
    [
        full(),
        observations(NIGHT),
        observations(Hypnogram.of([None] * 3)),
        observations(replace(NIGHT, draft="tiny-draft")),
    ],
    ids=["full", "least", "nothing scored", "draft"],
)
def test_a_night_has_the_structure_of_r4(bundle: dict[str, Any]) -> None:
    assert issues(bundle) == []


@pytest.mark.parametrize("field", ["status", "code"])
def test_a_field_that_r4_demands_is_missed(field: str) -> None:
    bundle = copy.deepcopy(full())
    del bundle["entry"][2]["resource"][field]
    assert any(field in issue for issue in issues(bundle))


def test_a_field_that_r4_does_not_have_is_found() -> None:
    """`triggeredBy` came with R5."""
    bundle = copy.deepcopy(full())
    bundle["entry"][0]["resource"]["triggeredBy"] = [{"observation": {"reference": "Observation/1"}}]
    assert any("triggeredBy" in issue for issue in issues(bundle))
