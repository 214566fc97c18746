"""The rows of a night from the records of its journal, as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..bundle.draft import is_draft_name
from ..errors import InputError
from ..hypnogram.model import MAX_EPOCHS, Hypnogram
from ..hypnogram.night_rows import RowTable, row_of_record
from ..journal.resume import NightFold
from ..stages import STAGES
from .info import info_of_journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .info import NightInfo

__all__ = ["JournalRows", "hypnogram_of"]


class JournalRows:
    """A night that grows record by record: some 250 bytes an epoch, whatever its records hold.

    Of two final answers for one epoch the first counts; the head's stage only where no final answer follows.
    An epoch whose record was lost is unscored.
    """

    def __init__(self) -> None:
        self._fold = NightFold()
        self._table = RowTable()

    @property
    def header(self) -> Mapping[str, Any]:
        """Body of the start record; empty before it."""
        return self._fold.header

    @property
    def next_epoch_index(self) -> int:
        """Number of the first epoch after all those that have an answer."""
        return self._fold.next_epoch_index

    def add(self, kind: str, body: Mapping[str, Any]) -> int | None:
        """Take the next record; the number of the epoch whose answer it now is, None where it is none's."""
        index = self._fold.add(kind, body)
        if index is not None and index < MAX_EPOCHS:
            self._table.put(row_of_record(index, body))
        return index

    def info(self) -> NightInfo:
        """Where the night comes from and how it was staged."""
        return info_of_journal(self._fold.state())

    def table(self) -> RowTable:
        """The rows, which go on to grow. Raises InputError for more than a week."""
        if self.next_epoch_index > MAX_EPOCHS:
            cure = f"a night holds at most {MAX_EPOCHS} (a week)"
            raise InputError("epochs", self.next_epoch_index, cure)
        return self._table


def hypnogram_of(
    rows: NDArray[Any], info: NightInfo, stage: str = "stage", proba: str = "proba"
) -> Hypnogram:
    """Stages and probabilities of the rows of a whole night (`night_rows.ROW`), by the names of their fields;
    an unscored epoch has neither.
    """
    stages = tuple(None if code < 0 else STAGES[code] for code in rows[stage])
    present = ~np.isnan(rows[proba]).any(axis=1)
    # Row by row: the lists of a whole night at once would be as large as the hypnogram.
    table = tuple(
        tuple(row.tolist()) if there else None for row, there in zip(rows[proba], present, strict=True)
    )
    draft = info.model_id if is_draft_name(info.model_id) else ""
    return Hypnogram(stages, info.start, table or None, draft)
