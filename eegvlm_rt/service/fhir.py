"""A night's totals as HL7 FHIR R4 Observations.

Codes are LOINC's: 93832-4 Sleep duration, 93831-6 Deep sleep duration, 93830-8 Light sleep duration, 93829-0
REM sleep duration. Structure: HL7 FHIR R4 (4.0.1), resource Observation.
"""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from ..hypnogram.statistics import sleep_statistics
from ..stages import Stage

if TYPE_CHECKING:
    from ..hypnogram.model import Hypnogram

__all__ = ["observations"]

LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
NOTE: Final = "Staged automatically from one EEG channel and not reviewed by a person. Not a medical device."

DRAFT: Final = "Staged by the draft of a model that fell short of its own checks: not for use."


def observations(
    hypnogram: Hypnogram,
    *,
    subject: str | None = None,
    device: str = "",
    utc_offset_s: float | None = None,
    night: str = "",
) -> dict[str, Any] | None:
    """A FHIR Bundle (collection) of four Observations, in minutes; None for a night without an epoch.

    `subject` is the id of the patient, `utc_offset_s` the offset of the hypnogram's clock; without it the
    host's is taken. `night` names the night among all nights of all devices: each Observation then has an
    identifier that is the same each time, so that a receiver that gets it twice knows.

    The status is `preliminary`: nobody has verified the stages. Where nothing at all was scored, an
    Observation has no value but a reason (`dataAbsentReason`).
    """
    if not len(hypnogram):
        return None
    statistics = sleep_statistics(hypnogram)
    minutes = statistics.stage_min
    values = (
        ("93832-4", "Sleep duration", statistics.sleep_min),
        ("93831-6", "Deep sleep duration", minutes[Stage.N3]),
        ("93830-8", "Light sleep duration", minutes[Stage.N1] + minutes[Stage.N2]),
        ("93829-0", "REM sleep duration", minutes[Stage.R]),
    )
    common = _common(hypnogram, subject, device, utc_offset_s)
    entries = []
    for code, display, value in values:
        resource = {
            "resourceType": "Observation",
            "code": {"coding": [{"system": LOINC, "code": code, "display": display}], "text": display},
            **common,
        }
        if statistics.scored_min > 0:
            quantity = {"value": round(value, 2), "unit": "min", "system": UCUM, "code": "min"}
            resource["valueQuantity"] = quantity
        else:
            system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
            resource["dataAbsentReason"] = {"coding": [{"system": system, "code": "unknown"}]}
        entry: dict[str, Any] = {"resource": resource}
        if night:
            name = f"urn:uuid:{uuid5(NAMESPACE_URL, f'urn:eegvlm-rt:{night}:{code}')}"
            resource["identifier"] = [{"system": "urn:ietf:rfc:3986", "value": name}]
            entry["fullUrl"] = name
        entries.append(entry)
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _common(
    hypnogram: Hypnogram, subject: str | None, device: str, utc_offset_s: float | None
) -> dict[str, Any]:
    common: dict[str, Any] = {
        "status": "preliminary",
        "category": [{"coding": [{"system": CATEGORY, "code": "activity", "display": "Activity"}]}],
        "note": [{"text": text} for text in ([DRAFT, NOTE] if hypnogram.draft else [NOTE])],
    }
    if subject is not None:
        common["subject"] = {"reference": f"Patient/{subject}"}
    if device:
        common["device"] = {"display": f"eegvlm-rt, {device}"}
    if hypnogram.start is not None:
        start = hypnogram.start
        if start.tzinfo is None:
            offset = None if utc_offset_s is None else timezone(timedelta(seconds=utc_offset_s))
            start = start.replace(tzinfo=offset) if offset is not None else start.astimezone()
        end = start + timedelta(seconds=30.0 * len(hypnogram))
        common["effectivePeriod"] = {
            "start": start.isoformat(timespec="seconds"),
            "end": end.isoformat(timespec="seconds"),
        }
    return common
