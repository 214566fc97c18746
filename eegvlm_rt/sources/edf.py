"""One EEG channel of an EDF, EDF+, BDF or BDF+ file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnitError
from ..files.inputs import open_regular
from ..signal.units import check_amplitude
from .edf_channel import ChannelReader
from .edf_header import read_header
from .remark_warning import warn_of

if TYPE_CHECKING:
    import os
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from .remark import Remark

__all__ = ["Recording", "channels", "read_channel"]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One channel: `samples_uv` float32 (n,) in µV at `sfreq` Hz; `start` is None where unknown.

    `remarks` say what was left out of the file, or taken for granted. `lights_s` are lights off and on in s
    from its start, where the samples are not those of the whole file; None: as the file has them.
    """

    samples_uv: NDArray[np.float32]
    sfreq: float
    channel: str
    start: datetime | None = None
    path: Path | None = None
    remarks: tuple[Remark, ...] = ()
    lights_s: tuple[float | None, float | None] | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples_uv) / self.sfreq


def channels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Labels of the ordinary signals of an EDF or BDF file. Raises RecordingError."""
    target, handle, size = open_regular(path)
    with handle:
        return read_header(target, handle, size).labels


def read_channel(
    path: str | os.PathLike[str], channel: str | None = None, *, unit: str | None = None
) -> Recording:
    """Read one channel of an EDF, EDF+, BDF or BDF+ file, in µV.

    `channel` is a label of the file ("EEG Fpz-Cz"; case, spaces and a leading "EEG " do not matter). None
    takes the only EEG channel there is. `unit` is that of its physical values where the header is wrong about
    it. Memory is bounded by the channel itself, whatever else the file holds; what the channel does not need
    may be damaged. What is left out is in `remarks`, and given as a RecordingWarning each.

    Raises RecordingError for a missing or damaged file, or one with interruptions, ChannelError (listing the
    channels there are) for an unknown or ambiguous channel, SamplingRateError outside 50..4096 Hz and
    UnitError for a physical dimension that is no voltage or amplitudes no EEG has.
    """
    with ChannelReader(path, channel, unit=unit) as reader:
        header, signal = reader.header, reader.signal
        samples_uv = np.empty(reader.n_samples, dtype=np.float32)
        done = 0
        for block in reader.blocks():
            samples_uv[done : done + block.size] = block
            done += block.size
    try:
        check_amplitude(samples_uv, unit or signal.unit)
    except UnitError as error:
        raise UnitError(
            f"physical dimension of channel {signal.label!r}",
            error.value,
            "no EEG has that size; the unit may be off by a factor of 1e6 (V called uV, or uV called V): "
            "say it (unit, --unit)",
        ) from error
    warn_of(header.path.name, reader.remarks)
    return Recording(samples_uv, signal.sfreq, signal.label, reader.start, header.path, reader.remarks)
