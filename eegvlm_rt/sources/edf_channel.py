"""One channel of an open EDF or BDF file, in µV, block by block."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import numpy as np

from ..errors import ChannelError, RecordingError, SamplingRateError, UnitError
from ..files.inputs import open_regular
from ..signal.conditioning import MAX_SFREQ_HZ, MIN_SFREQ_HZ
from ..signal.units import to_microvolts
from .edf_clock import record_clock
from .edf_header import EdfHeader, SignalHeader, number, read_header
from .edf_records import records

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["ChannelReader", "channel_error"]

_LARGEST_RANGE_UV = 1e7
_UNITS = {"uv": "uV", "µv": "uV", "μv": "uV", "æv": "uV", "nv": "nV", "v": "V"}
"""Case folded; "æ" is the micro sign of code pages 437 and 850, taken for Latin-1."""
_DERIVATION = re.compile(r"(?:Fp|AF|F|FC|C|CP|T|TP|P|PO|O)(?:\d{1,2}|z)(?:\s*[-:]\s*\S+)?", re.IGNORECASE)


class ChannelReader:
    """An open file and the channel chosen of it. A context manager.

    Attributes:
        header: layout of the file.
        signal: the channel; its unit and rate have been checked.
        start: clock time of the first sample, None where it is not known.
        n_samples: samples of the channel in the whole file.
        remarks: what is left out of the file, or taken for granted.

    `unit` is that of the channel's physical values where the header is wrong about it, None believes the
    header. Raises, as it is made, what `read_channel` raises except for the amplitudes.
    """

    def __init__(self, path: str | os.PathLike[str], channel: str | None, *, unit: str | None = None) -> None:
        target, self._handle, size = open_regular(path)
        try:
            self.header = read_header(target, self._handle, size)
            self.signal = _choose(self.header, channel)
            if not MIN_SFREQ_HZ <= self.signal.sfreq <= MAX_SFREQ_HZ:
                raise SamplingRateError(
                    "sfreq",
                    f"{self.signal.sfreq:g} Hz in channel {self.signal.label!r}",
                    f"must be {MIN_SFREQ_HZ:g} to {MAX_SFREQ_HZ:g} Hz",
                )
            self._gain_uv, self._offset_uv = _calibration(
                self.header, self.signal if unit is None else replace(self.signal, unit=unit)
            )
            clock = record_clock(self._handle, self.header)
        except BaseException:
            self._handle.close()
            raise
        header = replace(self.header, n_records=clock.n_records)
        self.header = header
        self.n_samples = header.n_records * self.signal.samples_per_record
        self.start = None if header.start is None else header.start + timedelta(seconds=clock.first_s)
        self.remarks = (*header.remarks, *clock.remarks)

    def blocks(self, block_s: float | None = None, first_record: int = 0) -> Iterator[NDArray[np.float32]]:
        """Samples in µV from a data record on, in blocks of whole data records of about `block_s` seconds
        (None: 8 MB of file).

        Raises RecordingError where the file is cut meanwhile.
        """
        header, signal = self.header, self.signal
        per_block = None if block_s is None else max(1, round(block_s / header.record_s))
        for block in records(self._handle, header, per_block, first_record):
            digital = _digital(block[:, signal.first_sample :][:, : signal.samples_per_record])
            samples_uv = digital.reshape(-1).astype(np.float32)
            samples_uv *= np.float32(self._gain_uv)
            samples_uv += np.float32(self._offset_uv)
            yield samples_uv

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _digital(raw: NDArray[np.uint8]) -> NDArray[np.int16] | NDArray[np.int32]:
    """Little-endian two's complement of two or three bytes."""
    if raw.shape[-1] == 2:
        return np.ascontiguousarray(raw).view("<i2")[..., 0]
    shifted = np.zeros((*raw.shape[:-1], 4), dtype=np.uint8)
    shifted[..., 1:] = raw
    return shifted.view("<i4")[..., 0] >> 8


def _choose(header: EdfHeader, channel: str | None) -> SignalHeader:
    ordinary = [signal for signal in header.signals if not signal.is_annotations]
    if channel is None:
        return _only_eeg(ordinary)
    for key in (lambda text: text, _normalized):
        matches = [signal for signal in ordinary if key(signal.label) == key(channel)]
        if len(matches) == 1:
            return matches[0]
        if len(matches) > 1:
            raise channel_error(
                [signal.label for signal in ordinary],
                channel,
                f"{len(matches)} channels have this label; rename them",
            )
    raise channel_error([signal.label for signal in ordinary], channel, "there is no such channel")


def _only_eeg(ordinary: Sequence[SignalHeader]) -> SignalHeader:
    fast = [signal for signal in ordinary if signal.sfreq >= MIN_SFREQ_HZ]
    matches = [signal for signal in fast if signal.label.upper().startswith("EEG")]
    matches = matches or [signal for signal in fast if _DERIVATION.fullmatch(signal.label)]
    if len(matches) == 1:
        return matches[0]
    several = f"{len(matches)} EEG channels; name one" if matches else "no EEG channel found; name one"
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
            f"channel {label!r} must be in uV, mV, V or nV; say its unit (unit, --unit)",
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
    limit = 1 << (8 * header.sample_bytes - 1)
    whole = digital_low.is_integer() and digital_high.is_integer()
    if not whole or not -limit <= digital_low < digital_high < limit:
        raise RecordingError(
            "digital range",
            f"{digital_low:g}..{digital_high:g}",
            f"channel {signal.label!r} needs whole numbers, minimum < maximum, within "
            f"{8 * header.sample_bytes} bit; the header is damaged",
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
