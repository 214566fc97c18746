"""The data records of an open EDF or BDF file, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .edf_header import EdfHeader, SignalHeader

__all__ = ["record_bytes", "records"]

_BLOCK_BYTES = 1 << 23


def records(
    handle: BinaryIO, header: EdfHeader, per_block: int | None = None, first_record: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """Yield (records, samples of all signals, bytes of a sample), from data record `first_record` on.

    Reads, does not map: a file cut meanwhile is an error.
    """
    width = header.sample_bytes * header.record_samples
    step = min(per_block or header.n_records, max(1, _BLOCK_BYTES // width))
    handle.seek(header.header_bytes + first_record * width)
    for first in range(first_record, header.n_records, step):
        count = min(step, header.n_records - first)
        raw = handle.read(count * width)
        if len(raw) != count * width:
            raise RecordingError(
                "file", header.path.name, "the file was cut while it was read", path=str(header.path)
            )
        yield np.frombuffer(raw, dtype=np.uint8).reshape(count, header.record_samples, header.sample_bytes)


def record_bytes(record: NDArray[np.uint8], signal: SignalHeader) -> bytes:
    """What one data record holds of a signal, as it is in the file."""
    return record[signal.first_sample : signal.first_sample + signal.samples_per_record].tobytes()
