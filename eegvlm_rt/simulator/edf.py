"""A simulated night as a real EDF+ file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files.outputs import write_file
from ..files.seal import SEAL
from ..signal.units import EPOCH_S
from ..stages import Stage
from .night import SimulatedNight

__all__ = ["write_edf"]

_PHYSICAL_LIMIT_UV = 1000.0


def write_edf(night: SimulatedNight, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the signal (µV, 16 bit over +-1 mV) and its stages as EDF+ annotations; returns the path.

    Raises OutputError for a file of another that is there (unless `overwrite`), RecordingError where it
    cannot be written.
    """
    from edfio import Edf, EdfAnnotation, EdfSignal, Patient, Recording

    samples = np.clip(night.samples_uv, -_PHYSICAL_LIMIT_UV, _PHYSICAL_LIMIT_UV).astype(np.float64)
    per_record = round(night.sfreq)
    samples = samples[: len(samples) // per_record * per_record]
    signal = EdfSignal(
        samples,
        sampling_frequency=night.sfreq,
        label=night.channel,
        physical_dimension="uV",
        physical_range=(-_PHYSICAL_LIMIT_UV, _PHYSICAL_LIMIT_UV),
        transducer_type="simulated",
        prefiltering=f"HP:{night.subject.highpass_hz:g}Hz LP:{night.subject.lowpass_hz:g}Hz",
    )
    annotations = [
        EdfAnnotation(EPOCH_S * i, EPOCH_S, Stage(int(stage)).to_edf_text())
        for i, stage in enumerate(night.stages)
    ]
    edf = Edf(
        [signal],
        patient=Patient(code="SIMULATED", name="X"),
        recording=Recording(
            startdate=night.start.date(),
            hospital_administration_code="X",
            equipment_code=SEAL.split()[0],
            additional=(SEAL.split()[1],),
        ),
        starttime=night.start.time(),
        annotations=annotations,
    )
    return write_file(path, edf.to_bytes(), overwrite=overwrite)
