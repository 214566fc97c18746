"""One EEG channel, or the annotations, of an EDF or EDF+ file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..epoch import check_amplitude, to_microvolts
from ..errors import ChannelError, RecordingError, SamplingRateError, UnitError
from ..preprocess import MAX_SFREQ_HZ, MIN_SFREQ_HZ
from .edf_annotations import Annotation, parse_record
from .edf_header import EdfHeader, SignalHeader, number, open_regular, read_header

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Recording", "channel_error", "channels", "read_annotations", "read_channel"]

_BLOCK_BYTES = 1 << 23
_CLOCK_TOLERANCE_S = 0.5
_LARGEST_RANGE_UV = 1e7
_MAX_ANNOTATIONS = 1_000_000
_UNITS = {"uv": "uV", "µv": "uV", "μv": "uV", "nv": "nV", "v": "V"}
_DERIVATION = re.compile(r"(?:Fp|AF|F|FC|C|CP|T|TP|P|PO|O)(?:\d{1,2}|z)(?:\s*[-:]\s*\S+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One channel: `samples_uv` float32 (n,) in µV at `sfreq` Hz; `start` is None where unknown."""

    samples_uv: NDArray[np.float32]
    sfreq: float
    channel: str
    start: datetime | None = None
    path: Path | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples_uv) / self.sfreq


def channels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Labels of the ordinary signals of an EDF file. Raises RecordingError."""
    target, handle, size = open_regular(path)
    with handle:
        return read_header(target, handle, size).labels


def read_channel(path: str | os.PathLike[str], channel: str | None = None) -> Recording:
    """Read one channel of a continuous EDF or EDF+ file, in µV.

    `channel` is a label of the file ("EEG Fpz-Cz"; case, spaces and a leading "EEG " do not matter). None
    takes the only EEG channel there is. Memory is bounded by the channel itself, whatever else the file
    holds.

    Raises RecordingError for a missing, cut off, damaged or discontinuous file, ChannelError (listing the
    channels there are) for an unknown or ambiguous channel, SamplingRateError outside 50..4096 Hz and
    UnitError for a physical dimension that is no voltage or amplitudes no EEG has.
    """
    target, handle, size = open_regular(path)
    with handle:
        header = read_header(target, handle, size)
        signal = _choose(header, channel)
        if not MIN_SFREQ_HZ <= signal.sfreq <= MAX_SFREQ_HZ:
            raise SamplingRateError(
                "sfreq",
                f"{signal.sfreq:g} Hz in channel {signal.label!r}",
                f"must be {MIN_SFREQ_HZ:g} to {MAX_SFREQ_HZ:g} Hz",
            )
        gain_uv, offset_uv = _calibration(header, signal)
        digital, first_s = _read(handle, header, signal)
    samples_uv = digital.astype(np.float32)
    samples_uv *= np.float32(gain_uv)
    samples_uv += np.float32(offset_uv)
    try:
        check_amplitude(samples_uv, signal.unit)
    except UnitError as error:
        raise UnitError(
            f"physical dimension of channel {signal.label!r}",
            error.value,
            "no EEG has that size; the unit may be off by a factor of 1e6 (V called uV, or uV called V)",
        ) from error
    start = None if header.start is None else header.start + timedelta(seconds=first_s)
    return Recording(samples_uv, signal.sfreq, signal.label, start, target)


def read_annotations(path: str | os.PathLike[str]) -> tuple[datetime | None, tuple[Annotation, ...]]:
    """Start and annotations of an EDF+ file in file order; onsets count from that start.

    Raises RecordingError for a file that is no continuous EDF+ file or whose annotations are damaged.
    """
    target, handle, size = open_regular(path)
    found: list[Annotation] = []
    with handle:
        header = read_header(target, handle, size)
        columns = [signal for signal in header.signals if signal.is_annotations]
        if not header.plus or not columns:
            raise RecordingError(
                "file", target.name, "this file has no annotations; give an EDF+ file", path=str(target)
            )
        shift_s: float | None = None
        for block in _blocks(handle, header):
            for record in block:
                for i, signal in enumerate(columns):
                    onset, annotations = parse_record(
                        _span(record, signal).tobytes(), target, timekeeping=i == 0
                    )
                    if shift_s is None and onset is not None:
                        shift_s = _fraction(header, onset)
                    found.extend(annotations)
                if len(found) > _MAX_ANNOTATIONS:
                    raise RecordingError(
                        "annotations",
                        len(found),
                        f"more than {_MAX_ANNOTATIONS}; the file is damaged",
                        path=str(target),
                    )
    shift = shift_s or 0.0
    start = None if header.start is None else header.start + timedelta(seconds=shift)
    return start, tuple(Annotation(round(a.onset_s - shift, 9), a.duration_s, a.text) for a in found)


def _choose(header: EdfHeader, channel: str | None) -> SignalHeader:
    ordinary = [signal for signal in header.signals if not signal.is_annotations]
    if channel is None:
        return _only_eeg(ordinary)
    for key in (lambda text: text, _normalized):
        found = [signal for signal in ordinary if key(signal.label) == key(channel)]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise channel_error(
                [signal.label for signal in ordinary],
                channel,
                f"{len(found)} channels have this label; rename them",
            )
    raise channel_error([signal.label for signal in ordinary], channel, "there is no such channel")


def _only_eeg(ordinary: Sequence[SignalHeader]) -> SignalHeader:
    fast = [signal for signal in ordinary if signal.sfreq >= MIN_SFREQ_HZ]
    found = [signal for signal in fast if signal.label.upper().startswith("EEG")]
    found = found or [signal for signal in fast if _DERIVATION.fullmatch(signal.label)]
    if len(found) == 1:
        return found[0]
    several = f"{len(found)} EEG channels; name one" if found else "no EEG channel found; name one"
    raise channel_error([signal.label for signal in ordinary], None, several)


def channel_error(available: Sequence[str], channel: str | None, cure: str) -> ChannelError:
    """A ChannelError whose message lists the channels there are."""
    listed = ", ".join(repr(label) for label in available) or "none"
    return ChannelError(
        "channel", channel or "not given", f"{cure}; channels: {listed}", available=tuple(available)
    )


def _normalized(label: str) -> str:
    folded = "".join(label.casefold().split())
    return folded.removeprefix("eeg")


def _microvolts_per_unit(label: str, unit: str) -> float:
    name = "mV" if unit in ("mV", "mv") else _UNITS.get(unit.lower())
    if name is None:
        raise UnitError(
            "physical dimension",
            unit,
            f"channel {label!r} must be in uV, mV, V or nV; correct the file's header",
        )
    return float(to_microvolts(np.ones(1), name)[0])


def _calibration(header: EdfHeader, signal: SignalHeader) -> tuple[float, float]:
    scale_uv = _microvolts_per_unit(signal.label, signal.unit)
    path = header.path
    low, high = (
        number(path, f"{field} of {signal.label!r}", raw)
        for field, raw in (
            ("physical minimum", signal.physical_min),
            ("physical maximum", signal.physical_max),
        )
    )
    digital_low, digital_high = (
        number(path, f"{field} of {signal.label!r}", raw)
        for field, raw in (("digital minimum", signal.digital_min), ("digital maximum", signal.digital_max))
    )
    if low == high:
        raise RecordingError(
            "physical range", low, f"minimum equals maximum in channel {signal.label!r}", path=str(path)
        )
    if not -32768 <= digital_low < digital_high <= 32767:
        raise RecordingError(
            "digital range",
            f"{digital_low:g}..{digital_high:g}",
            f"channel {signal.label!r} needs minimum < maximum within 16 bit; the header is damaged",
            path=str(path),
        )
    if max(abs(low), abs(high)) * scale_uv > _LARGEST_RANGE_UV:
        raise UnitError(
            "physical range",
            f"{low:g}..{high:g} {signal.unit}",
            f"channel {signal.label!r} spans more than an EEG can; its unit may be off by a factor of 1e6",
        )
    gain = (high - low) / (digital_high - digital_low)
    return gain * scale_uv, (low - gain * digital_low) * scale_uv


def _read(handle: BinaryIO, header: EdfHeader, signal: SignalHeader) -> tuple[NDArray[np.int16], float]:
    """Digital values, and the fraction of a second by which EDF+ starts them late."""
    out = np.empty(header.n_records * signal.samples_per_record, dtype=np.int16)
    keeper = next((s for s in header.signals if s.is_annotations), None) if header.plus else None
    done = 0
    first_s: float | None = None
    for block in _blocks(handle, header):
        if keeper is not None:
            for i, record in enumerate(block):
                onset_s, _ = parse_record(_span(record, keeper).tobytes(), header.path, timekeeping=True)
                assert onset_s is not None
                first_s = _fraction(header, onset_s) if first_s is None else first_s
                _check_clock(header, done + i, onset_s - first_s)
        part = _span(block, signal)
        out[done * signal.samples_per_record :][: part.size] = part.reshape(-1)
        done += len(block)
    return out, first_s or 0.0


def _fraction(header: EdfHeader, onset_s: float) -> float:
    if not 0.0 <= onset_s < 1.0:
        raise RecordingError(
            "data record", 1, f"starts at {onset_s:g} s; EDF+ says 0 to 1 s", path=str(header.path)
        )
    return onset_s


def _check_clock(header: EdfHeader, record: int, onset_s: float) -> None:
    expected_s = record * header.record_s
    if abs(onset_s - expected_s) > _CLOCK_TOLERANCE_S:
        raise RecordingError(
            "data record",
            record + 1,
            f"starts at {onset_s:g} s, not {expected_s:g} s; export the recording as continuous parts",
            path=str(header.path),
        )


def _span(records: NDArray[np.int16], signal: SignalHeader) -> NDArray[np.int16]:
    return records[..., signal.first_sample : signal.first_sample + signal.samples_per_record]


def _blocks(handle: BinaryIO, header: EdfHeader) -> Iterator[NDArray[np.int16]]:
    """Yield (records, samples of all signals). Reads, does not map: a file cut meanwhile is an error."""
    record_bytes = 2 * header.record_samples
    per_block = max(1, _BLOCK_BYTES // record_bytes)
    handle.seek(header.header_bytes)
    for first in range(0, header.n_records, per_block):
        count = min(per_block, header.n_records - first)
        raw = handle.read(count * record_bytes)
        if len(raw) != count * record_bytes:
            raise RecordingError(
                "file", header.path.name, "the file was cut while it was read", path=str(header.path)
            )
        yield np.frombuffer(raw, dtype="<i2").reshape(count, header.record_samples)
