"""`Night`: a night's predictions, or its journal, as hypnogram, probabilities, table, statistics and
files.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..calibration.cycles import cycle_model
from ..errors import InputError
from ..files.outputs import check_outputs
from ..hypnogram.intervals import statistics_intervals
from ..hypnogram.model import MAX_EPOCHS
from ..hypnogram.night_rows import (
    RowTable,
    flag_names,
    night_probabilities,
    night_stage,
    row_of,
)
from ..hypnogram.plot import DEFAULT_SIZE
from ..hypnogram.statistics import sleep_statistics
from ..journal.reader import read
from ..report.choose import MOST
from ..report.review import review_of
from ..report.write import write_report
from ..signal.units import EPOCH_S
from ..sources.edf import read_channel
from ..stages import STAGES
from .files import make_folder, night_paths, night_writers, write_night_picture
from .info import NightInfo
from .journal_rows import JournalRows, hypnogram_of
from .lights import lights_between
from .prediction_json import prediction_from_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Self

    from numpy.typing import NDArray

    from ..hypnogram.intervals import Interval
    from ..hypnogram.model import Hypnogram
    from ..hypnogram.statistics import SleepStatistics
    from ..journal.frames import Record
    from ..prediction import StagePrediction
    from ..sources.edf import Recording
    from ..stages import Stage

__all__ = ["Night", "NightInfo", "night_probabilities", "night_stage"]


class Night:
    """The epochs of one night, in order.

    Made of predictions as they come, `Stager.predict_night` or `Night(predictions)`, or of a journal,
    `Night.from_journal(path)`. Iterating gives each prediction as it comes. Everything that needs the whole
    night (`hypnogram`, `proba`, `table`, `statistics` and so on) first takes what is left to come; `stop`
    keeps what is there. Which stage of an epoch counts is decided in one place, `night_rows.counted_stage`.

    Attributes:
        info: where the night comes from and how it was staged.
        complete: whether nothing is left to come.
        beyond: epochs after the first week, which no hypnogram holds.
        elapsed_s: time spent on waiting for predictions, in s.
        recording: the signal, where the night was staged from one; reports draw from it.
    """

    def __init__(
        self,
        predictions: Iterable[StagePrediction] = (),
        info: NightInfo | None = None,
        *,
        keep: bool = True,
        recording: Recording | None = None,
        expected: int | None = None,
    ) -> None:
        """Args:
        predictions: final predictions in order of the epochs; provisional ones are passed over.
        info: None where nothing is known.
        keep: False keeps the numbers of `table` only, some 180 bytes an epoch, and no predictions.
        recording: the signal the predictions are of.
        expected: epochs a complete night has; None where that is not known.
        """
        self.info = NightInfo() if info is None else info
        self.recording = recording
        self.complete = False
        self.beyond = 0
        self.elapsed_s = 0.0
        self._source: Iterator[StagePrediction] = iter(predictions)
        self._stopped = False
        self._keep, self._expected = keep, expected
        self._predictions: list[StagePrediction] = []
        self._rows = RowTable()

    @classmethod
    def from_journal(cls, journal: str | PathLike[str] | Sequence[Record], *, keep: bool = True) -> Night:
        """The night in a journal: a path, or the records that `journal.read` gave. `keep` as in `Night`.

        Of two final answers for one epoch the first counts; the head's stage only where no final answer
        follows. An epoch whose record was lost is unscored. `start` is the clock of the recording that was
        replayed, else the host's local time, else UTC, as far as the journal's header tells.

        Raises:
            JournalError: no journal can be read there. InputError: more than a week.
        """
        records = read(journal).records if isinstance(journal, str | PathLike) else journal
        answers = JournalRows()
        bodies: dict[int, Mapping[str, Any]] = {}
        for record in records:
            index = answers.add(record.kind, record.body)
            if keep and index is not None:
                bodies[index] = record.body
        night = cls(info=answers.info(), keep=keep)
        night._rows = answers.table()
        for _, body in sorted(bodies.items()):
            # A record that is no whole prediction still has its row.
            with suppress(InputError):
                night._predictions.append(prediction_from_dict(body))
        return night

    def add(self, prediction: StagePrediction) -> None:
        """Take the next prediction; a provisional one is passed over.

        Raises:
            InputError: an epoch that is there already, or one before the first.
        """
        index = prediction.index
        if prediction.provisional:
            return
        if index >= MAX_EPOCHS:
            self.beyond += 1
            return
        if index < 0 or self._rows.has(index):
            cure = "each epoch of a night has an index of its own, from 0: give predict_epoch(index=...)"
            raise InputError("index", index, cure)
        self._rows.put(row_of(prediction))
        if self._keep:
            self._predictions.append(prediction)

    def __iter__(self) -> Iterator[StagePrediction]:
        """Predictions, those that came already first. Without `keep` those only that are still to come."""
        place = 0
        while True:
            if place < len(self._predictions):
                yield self._predictions[place]
                place += 1
                continue
            prediction = self._next()
            if prediction is None:
                return
            if not self._keep:
                yield prediction

    def run(self) -> Self:
        """Take everything that is still to come."""
        while self._next() is not None:
            pass
        return self

    def stop(self) -> None:
        """Take nothing more: the night is what is there, and not `complete` unless it was already."""
        source, self._source, self._stopped = self._source, iter(()), True
        close = getattr(source, "close", None)
        if close is not None:
            close()

    def __len__(self) -> int:
        """Epochs so far."""
        return len(self._rows)

    @property
    def predictions(self) -> tuple[StagePrediction, ...]:
        """The predictions so far; none without `keep`. Of a journal those whose record is whole."""
        return tuple(self._predictions)

    @property
    def start(self) -> datetime | None:
        """Clock time of epoch 0, None where it is not known."""
        return self.info.start

    @property
    def hypnogram(self) -> Hypnogram:
        """Stages and probabilities of the whole night; an unscored epoch has neither."""
        return self._hypnogram("stage", "proba")

    @property
    def raw_hypnogram(self) -> Hypnogram:
        """As `hypnogram`, of what each epoch alone gave: no course of the night, nothing unscored but
        gaps.
        """
        return self._hypnogram("raw_stage", "raw_proba")

    @property
    def proba(self) -> NDArray[np.float64]:
        """(n, 5) probabilities W N1 N2 N3 R behind the stages; NaN where an epoch is unscored."""
        return np.array(self.run()._rows.view()["proba"])

    def table(self) -> NDArray[Any]:
        """A copy of the night as a NumPy structured array, one record per epoch; fields:
        `night_rows.ROW`.
        """
        return np.array(self.run()._rows.view())

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row per epoch: stages by name, p_W to p_R, flags as text.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise InputError("pandas", "not installed", "pip install pandas, or use table()") from error
        rows = self.table()
        names = np.array([*(stage.name for stage in STAGES), "?"])
        columns: dict[str, Any] = {name: rows[name] for name in ("epoch", "start_s")}
        for prefix, stage, proba in (("", "stage", "proba"), ("raw_", "raw_stage", "raw_proba")):
            columns[stage] = names[rows[stage]]
            columns |= {f"{prefix}p_{s.name}": rows[proba][:, s] for s in STAGES}
        for name in ("outcome", "scorable", "missing_share", "amplitude_uv", "stage_ms", "rationale_ms"):
            columns[name] = rows[name]
        columns["flags"] = [", ".join(flag_names(int(bits))) for bits in rows["flags"]]
        return pd.DataFrame(columns)

    def to_yasa(self) -> Any:
        """A `yasa.Hypnogram` of the night's stages; see `Hypnogram.to_yasa`."""
        return self.hypnogram.to_yasa()

    def statistics(self, *, lights_off: int | None = None, lights_on: int | None = None) -> SleepStatistics:
        """Sleep statistics from the first epoch after lights off to the last before lights on.

        Epochs that are not given are taken from the recording (`info`), rounded to the nearest epoch; where
        it does not say either, they are unknown, and the whole night counts. Definitions:
        `hypnogram.DEFINITIONS`. Raises InputError for an empty night, or lights outside it.
        """
        return sleep_statistics(
            self.hypnogram, **lights_between(len(self.run()), self.info, lights_off, lights_on)
        )

    def intervals(
        self, *, hypnogram: Hypnogram | None = None, draws: int = 200, level: float = 0.9
    ) -> dict[str, Interval]:
        """Estimates of the statistics, and how sure they are; see `hypnogram.statistics_intervals`.

        Half of the draws have the probabilities of the epochs, half those given the cycles of a night
        (`calibration.cycles`), whatever smoothing was asked for: either alone is too sure. An estimate need
        not be the figure of the hypnogram. How far errors last all night was chosen on simulated nights
        (`hypnogram.intervals.NIGHT_SHARES`). `hypnogram` has other stages of the same epochs, such as a
        reviewer's; those without probabilities are kept. Raises InputError for another length.
        """
        shown = self.hypnogram if hypnogram is None else hypnogram
        rows = self.run()._rows.view()
        if len(shown) != len(rows):
            raise InputError("hypnogram", f"{len(shown)} epochs", f"give the night's {len(rows)}")
        lights = lights_between(len(rows), self.info, None, None)
        answers = np.where((rows["stage"] >= 0)[:, None], rows["raw_proba"], np.nan)
        return statistics_intervals(
            _with_rows(shown, answers),
            others=(_with_rows(shown, cycle_model().probabilities(answers)),),
            lights_off=lights["lights_off"],
            lights_on=lights["lights_on"],
            draws=draws,
            level=level,
        )

    def write(
        self, folder: str | PathLike[str], *, formats: Sequence[str] = (), overwrite: bool = False
    ) -> list[Path]:
        """Write the night into a folder, which is made where it is missing; returns the files.

        hypnogram.edf (EDF+ annotations), hypnogram.csv, the further `formats` (names of
        `hypnogram.FORMATS`), predictions.json where predictions were kept, and hypnogram.png where
        matplotlib is installed.

        Raises:
            InputError: an unknown form, or a night without an epoch. OutputError: a file is there that
            eegvlm-rt did not write, or that was changed since (unless `overwrite`), or it is the recording.
            RecordingError: a file cannot be written.
        """
        source = None if self.recording is None else self.recording.path
        check_outputs(night_paths(folder, formats), inputs=[source], overwrite=overwrite)
        place = make_folder(folder)
        return [write() for write in night_writers(self, place, formats=formats, overwrite=overwrite)]

    def plot(
        self, path: str | PathLike[str], *, size: tuple[int, int] = DEFAULT_SIZE, overwrite: bool = False
    ) -> Path:
        """Write the night's picture, .png, .svg or .pdf, `size` in pixels; needs matplotlib.

        Raises:
            InputError: another suffix or size, an empty night, no matplotlib. OutputError: as for `write`.
            RecordingError: the file cannot be written.
        """
        return write_night_picture(self, path, size=size, overwrite=overwrite)

    def report(
        self,
        path: str | PathLike[str],
        *,
        review: Hypnogram | str | PathLike[str] | None = None,
        reviewer: str = "not named",
        signal: Recording | str | PathLike[str] | None = None,
        epochs: int = MOST,
        overwrite: bool = False,
    ) -> Path:
        """Write the report of the night, .html or .pdf; needs the packages of the extra `report`.

        Args:
            path: the file to write.
            review: a person's stages, a hypnogram or an EDF+ file: the draft becomes a reviewed night.
            reviewer: who gave them.
            signal: the recording, or its path, where the night does not know it (a journal): for spectrogram
                and traces.
            epochs: how many epochs to look at first.
            overwrite: replace a file that eegvlm-rt did not write, or that was changed since.

        Raises:
            InputError: an empty night, another suffix, stages or a signal of another time, a missing
            package. OutputError: as for `write`; an input is never replaced. RecordingError: a file that
            cannot be read or written.
        """
        inputs = [part for part in (review, signal) if isinstance(part, str | PathLike)]
        check_outputs([path], inputs=inputs, overwrite=overwrite)
        recording = read_channel(signal, self.info.channel) if isinstance(signal, str | PathLike) else signal
        merged = None if review is None else review_of(self, review, reviewer=reviewer)
        return write_report(self, path, review=merged, signal=recording, epochs=epochs, overwrite=overwrite)

    def latest(self, count: int) -> tuple[int, tuple[Stage | None, ...]]:
        """Number of the first of the latest `count` epochs so far, and their stages."""
        stages = self._rows.view()["stage"]
        first = max(0, len(stages) - count)
        return first, tuple(None if code < 0 else STAGES[code] for code in stages[first:])

    def latencies(self) -> dict[str, float | None]:
        """Milliseconds from the conditioned epoch to its stage, and to its whole reasoning, so far: median,
        p99.
        """
        rows = self._rows.view()
        times = {name: rows[f"{name}_ms"][~np.isnan(rows[f"{name}_ms"])] for name in ("stage", "rationale")}
        return {
            f"{name}_ms_{part}": round(float(np.quantile(values, share)), 3) if values.size else None
            for name, values in times.items()
            for part, share in (("median", 0.5), ("p99", 0.99))
        }

    def __repr__(self) -> str:
        rows = self._rows.view()
        counts = ", ".join(f"{stage.name} {int((rows['stage'] == stage).sum())}" for stage in STAGES)
        unscored = int((rows["stage"] < 0).sum())
        hours = len(rows) * EPOCH_S / 3600
        about = " ".join(part for part in (self.info.source, self.info.channel) if part)
        model = " ".join(part for part in (self.info.model_id, self.info.mode) if part)
        start = "" if self.start is None else f" from {self.start:%Y-%m-%d %H:%M:%S}"
        lines = [
            f"Night({', '.join(part for part in (about, model) if part) or 'nameless'}",
            f"  {len(rows)} epochs, {hours:.1f} h{start}{'' if self.complete else ', more to come'}",
            f"  {counts}{f', unscored {unscored}' if unscored else ''})",
        ]
        return "\n".join(lines)

    def _next(self) -> StagePrediction | None:
        """The next final prediction, taken; None at the end."""
        began_s = perf_counter()
        try:
            for prediction in self._source:
                self.add(prediction)
                if not prediction.provisional:
                    return prediction
        except BaseException:
            self.stop()
            raise
        finally:
            self.elapsed_s += perf_counter() - began_s
        whole = self._expected is None or len(self._rows) >= self._expected
        self.complete = self.complete or (whole and not self._stopped)
        return None

    def _hypnogram(self, stage: str, proba: str) -> Hypnogram:
        return hypnogram_of(self.run()._rows.view(), self.info, stage, proba)


def _with_rows(hypnogram: Hypnogram, table: NDArray[np.float64]) -> Hypnogram:
    """The same stages with the probabilities (n, 5), wherever both have some."""
    own = hypnogram.probabilities or (None,) * len(hypnogram)
    finite = ~np.isnan(table.sum(axis=1))
    rows = (
        tuple(new) if row is not None and there else None
        for row, new, there in zip(own, table.tolist(), finite, strict=True)
    )
    return replace(hypnogram, probabilities=tuple(rows))
