"""A night's totals as FHIR R4 Observations, held against the published structure.

The library has the structure of R4B (4.3.0), in which the elements used here are those of R4 (4.0.1);
`test_fhir_r4.py` holds them against R4 itself.
"""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from fhir.resources.R4B.bundle import Bundle

from eegvlm_rt.hypnogram import Hypnogram
from eegvlm_rt.service import observations
from eegvlm_rt.stages import Stage

NIGHT = [Stage.W] * 4 + [Stage.N1] * 2 + [Stage.N2] * 10 + [Stage.N3] * 6 + [Stage.R] * 8 + [None] * 2


def test_the_totals_are_those_of_the_night_under_their_loinc_codes() -> None:
    hypnogram = Hypnogram.of(NIGHT, datetime(2026, 11, 28, 22, 30))
    told = observations(
        hypnogram, subject="p-1", device="one", utc_offset_s=3600, night="ward-3/one/2026-11-28"
    )
    found = Bundle.model_validate_json(json.dumps(told))
    assert found.type == "collection"
    resources = [entry.resource for entry in found.entry]
    names = [resource.identifier[0].value for resource in resources]
    assert len(set(names)) == 4
    assert names == [entry.fullUrl for entry in found.entry]
    again = observations(hypnogram, night="ward-3/one/2026-11-28")
    other = observations(hypnogram, night="ward-3/two/2026-11-28")
    assert again is not None
    assert other is not None
    assert [entry["fullUrl"] for entry in again["entry"]] == names
    assert not {entry["fullUrl"] for entry in other["entry"]} & set(names)
    values = {r.code.coding[0].code: float(r.valueQuantity.value) for r in resources}
    assert values == {"93832-4": 13.0, "93831-6": 3.0, "93830-8": 6.0, "93829-0": 4.0}
    for resource in resources:
        assert resource.status == "preliminary"
        assert resource.subject.reference == "Patient/p-1"
        assert (resource.valueQuantity.system, resource.valueQuantity.code) == (
            "http://unitsofmeasure.org",
            "min",
        )
        assert resource.effectivePeriod.start.isoformat() == "2026-11-28T22:30:00+01:00"
        assert resource.effectivePeriod.end.isoformat() == "2026-11-28T22:46:00+01:00"
        assert "Not a medical device" in resource.note[0].text


def test_a_night_without_a_score_has_a_reason_in_the_place_of_a_value() -> None:
    told = observations(Hypnogram.of([None] * 3))
    found = Bundle.model_validate_json(json.dumps(told))
    assert all(entry.resource.valueQuantity is None for entry in found.entry)
    assert {entry.resource.dataAbsentReason.coding[0].code for entry in found.entry} == {"unknown"}
    assert observations(Hypnogram.of([])) is None


@pytest.mark.parametrize("offset_s", [None, 0.0, -34200.0])
def test_times_have_an_offset(offset_s: float | None) -> None:
    told = observations(Hypnogram.of(NIGHT, datetime(2026, 7, 1, 23)), utc_offset_s=offset_s)
    assert told is not None
    start = told["entry"][0]["resource"]["effectivePeriod"]["start"]
    assert datetime.fromisoformat(start).tzinfo is not None
