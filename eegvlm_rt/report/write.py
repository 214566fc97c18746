"""From a night to its report: one HTML file that needs nothing else, or a PDF of it."""

from __future__ import annotations

import logging
from datetime import timedelta
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .. import __version__
from ..errors import InputError
from ..files.outputs import check_outputs, write_file
from ..files.seal import SEAL
from ..hypnogram.model import Hypnogram
from ..hypnogram.palette import INK, MARKS, MUTED, STAGE_COLORS, STAGE_ROWS, UNSCORED
from ..hypnogram.statistics import sleep_statistics
from ..notice import NOTICE
from ..signal.conditioning import condition_recording
from .charts import density_panel, hypnogram_panel, spectrogram_panel, ticks_of
from .choose import MOST, choose_epochs
from .epochs import card_of
from .figures import cycle_rows, figure_groups, stage_rows, transition_rows
from .quality import quality_by_hour
from .spectrogram import HIGHEST_HZ, RANGE_DB, spectrogram_png

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from ..night.night import Night
    from ..sources.edf import Recording
    from .review import Review

__all__ = ["SUFFIXES", "check_output", "report_html", "write_report"]

SUFFIXES: Final = (".html", ".pdf")
SHORT_H: Final = 4.0
"""Recordings below this length get a banner: too short for statistics of a night."""

_NEEDED = {".html": ("jinja2", "matplotlib"), ".pdf": ("jinja2", "matplotlib", "weasyprint")}


def write_report(
    night: Night,
    path: str | os.PathLike[str],
    *,
    review: Review | None = None,
    signal: Recording | None = None,
    epochs: int = MOST,
    overwrite: bool = False,
) -> Path:
    """Write the report that `report_html` makes; the suffix of `path`, .html or .pdf, says in which form.

    Raises InputError for another suffix, a package that is missing, and as `report_html` does; OutputError
    for the recording, and for a file that eegvlm-rt did not write or that was changed since (unless
    `overwrite`); RecordingError where the file cannot be written.
    """
    inputs = [recording.path for recording in (night.recording, signal) if recording is not None]
    suffix = check_output(path, inputs=inputs, overwrite=overwrite)
    page = report_html(night, review=review, signal=signal, epochs=epochs)
    return write_file(path, page.encode() if suffix == ".html" else _pdf(page), overwrite=overwrite)


def check_output(
    path: str | os.PathLike[str],
    *,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    overwrite: bool = False,
) -> str:
    """The suffix of a report, before any work is done; raises InputError for one that is none, or whose
    packages are missing, and what `files.check_outputs` raises.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError("output", str(path), "end the name with " + " or ".join(SUFFIXES))
    _check_packages(suffix)
    check_outputs([path], inputs=inputs, overwrite=overwrite)
    return suffix


def report_html(
    night: Night, *, review: Review | None = None, signal: Recording | None = None, epochs: int = MOST
) -> str:
    """The report of a night as one HTML text: no network, no script needed, prints on A4.

    Args:
        night: what is left to stage is staged first.
        review: a person's stages, from `review_of`; without it the report is a draft.
        signal: the recording the night was staged from; None takes the night's own, where it has one.
            Without any, spectrogram and traces are left out, and the report says so.
        epochs: how many epochs to look at first are shown, 0 to 60.

    Raises:
        InputError: an empty night, a number of epochs outside 0 to 60, a signal of another time, or a
            package that is missing.
    """
    _check_packages(".html")
    if not 0 <= epochs <= 60:
        raise InputError("epochs", epochs, "give 0 to 60 epochs to look at first")
    if not len(night.run()):
        raise InputError("night", "0 epochs", "a report needs at least one epoch")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("eegvlm_rt.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(_content(night, review, signal, epochs))


def _check_packages(suffix: str) -> None:
    missing = [name for name in _NEEDED[suffix] if find_spec(name) is None]
    if missing:
        cure = "install the extra [report] of this package, or: pip install " + " ".join(missing)
        raise InputError("report", f"{', '.join(missing)} not installed", cure)


def _pdf(page: str) -> bytes:
    """The page on A4. Nothing but its own data is read."""
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher

    log = logging.getLogger("weasyprint")
    level = log.level
    # It warns of every property of browsers that it does not know.
    log.setLevel(logging.ERROR)
    try:
        fetcher = URLFetcher(allowed_protocols=["data"])
        data = bytes(HTML(string=page, url_fetcher=fetcher).write_pdf())
    finally:
        log.setLevel(level)
    # A comment after the last line of a PDF is read by none of its readers.
    return data.rstrip(b"\n") + f"\n% {SEAL}\n".encode()


def _content(night: Night, review: Review | None, signal: Recording | None, epochs: int) -> dict[str, Any]:
    draft = night.hypnogram
    shown = draft if review is None else review.hypnogram
    statistics = night.statistics()
    lights = {"lights_off": statistics.lights_off, "lights_on": statistics.lights_on}
    figures = sleep_statistics(
        shown,
        **lights,
        lights_off_known=statistics.lights_off_known,
        lights_on_known=statistics.lights_on_known,
    )
    intervals = night.intervals(hypnogram=shown)
    clock = _clock_of(draft)
    recording = night.recording if signal is None else signal
    samples, first_epoch, conditioned = _signal(night, recording)
    choices = choose_epochs(night.predictions, epochs)
    spectrogram = None
    if conditioned is not None:
        columns = -(-len(conditioned) // 3000)
        spectrogram = spectrogram_panel(
            len(draft), spectrogram_png(conditioned), first_epoch, first_epoch + columns
        )
    density, averaged = density_panel(draft)
    changed = () if review is None else review.changed
    return {
        "night": night.info,
        "digest": night.info.model_digest,
        "draft_model": draft.draft,
        "version": __version__,
        "notice": NOTICE,
        "seal": SEAL,
        "title": " ".join(filter(None, (night.info.source or "Night", night.info.channel))),
        "date": None if night.start is None else f"{night.start:%d %B %Y}",
        "start": clock(0),
        "end": clock(len(draft)),
        "length": f"{len(draft) / 120:.1f} h" if len(draft) >= 120 else f"{len(draft) / 2:g} min",
        "short": len(draft) / 120 < SHORT_H,
        "short_h": SHORT_H,
        "complete": night.complete,
        "review": review,
        "epochs": len(draft),
        "statistics": figures,
        "groups": figure_groups(figures, intervals),
        "stages": stage_rows(figures, intervals),
        "transitions": transition_rows(figures),
        "cycles": cycle_rows(figures, clock),
        "not_assessed": figures.not_assessed,
        "lights": (clock(figures.lights_off), clock(figures.lights_on)),
        "hypnogram": hypnogram_panel(shown, changed=changed, marked=[c.prediction.index for c in choices]),
        "density": density,
        "averaged": averaged,
        "spectrogram": spectrogram,
        "highest_hz": HIGHEST_HZ,
        "range_db": RANGE_DB,
        "ticks": ticks_of(draft),
        "known_start": draft.start is not None,
        "lights_marks": _lights_marks(figures, len(draft)),
        "quality": quality_by_hour(night.table(), clock),
        "cards": [
            card_of(c, clock(c.prediction.index), samples, _reviewed(review, c.prediction.index))
            for c in choices
        ],
        "has_signal": conditioned is not None,
        "rows": STAGE_ROWS,
        "colors": STAGE_COLORS,
        "marks": MARKS,
        "ink": INK,
        "muted": MUTED,
        "unscored": UNSCORED,
        "any_unscored": None in shown.stages,
        "style": files(__package__).joinpath("style.css").read_text(encoding="utf-8"),
        "script": files(__package__).joinpath("zoom.js").read_text(encoding="utf-8"),
    }


def _clock_of(hypnogram: Hypnogram) -> Callable[[int], str]:
    """Clock time at which an epoch begins, or time since the start."""

    def clock(epoch: int) -> str:
        seconds = 30 * epoch
        if hypnogram.start is None:
            return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        return f"{hypnogram.start + timedelta(seconds=seconds):%H:%M:%S}"

    return clock


def _signal(
    night: Night, recording: Recording | None
) -> tuple[Callable[[int], NDArray[np.float32] | None], float, NDArray[np.float32] | None]:
    """The conditioned epoch of an index, the epoch at which the signal begins, and the signal (100 Hz)."""
    if recording is None:
        return (lambda _: None), 0.0, None
    conditioned = condition_recording(recording.samples_uv, recording.sfreq)
    offset = round(100 * _offset_s(night, recording))

    def samples(index: int) -> NDArray[np.float32] | None:
        first = offset + 3000 * index
        if first + 3000 <= 0 or first >= len(conditioned):
            return None
        x = np.full(3000, np.nan, dtype=np.float32)
        low, high = max(first, 0), min(first + 3000, len(conditioned))
        x[low - first : high - first] = conditioned[low:high]
        return x

    return samples, -offset / 3000, conditioned


def _offset_s(night: Night, recording: Recording) -> float:
    """Seconds from the start of a recording to epoch 0; 0 where either start is not known.

    Raises InputError where the recording does not reach into the night.
    """
    if night.start is None or recording.start is None:
        return 0.0
    offset_s = (night.start - recording.start).total_seconds()
    if not -30.0 * len(night) < offset_s < recording.duration_s:
        problem = f"starts {recording.start}"
        raise InputError(
            "signal", problem, f"the night starts {night.start}: give the recording it was staged from"
        )
    return offset_s


def _lights_marks(statistics: Any, epochs: int) -> list[dict[str, object]]:
    """Lines for lights off and on, where they are known."""
    marks = []
    for name, epoch, certainty in (
        ("lights off", statistics.lights_off, statistics.lights_off_known),
        ("lights on", statistics.lights_on, statistics.lights_on_known),
    ):
        if certainty != "unknown":
            percent = round(100 * epoch / epochs, 3)
            edge = "first" if percent < 12 else "last" if percent > 88 else ""
            marks.append({"name": name, "epoch": epoch, "percent": percent, "edge": edge})
    return marks


def _reviewed(review: Review | None, index: int) -> str:
    """The reviewer's stage of an epoch, empty where there is none."""
    if review is None or index not in set(review.reviewed):
        return ""
    stage = review.hypnogram.stages[index]
    return "" if stage is None else stage.name
