"""Staging a recording from the command line: load, go through it, keep what was done when interrupted."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ..signal import epochs
from .console import progress_console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from ..bundle.trust import TrustPolicy
    from ..night.night import Night
    from ..prediction import StagePrediction
    from ..sources.edf import Recording
    from ..stager import Stager

ONE_STOP_S = 1.0
"""Signals to stop that come within this time are one."""

__all__ = ["busy", "epochs_of", "load_stager", "stage_recording", "trust_policy"]


def load_stager(
    bundle: str,
    mode: str,
    threads: int | None,
    console: Console | None = None,
    *,
    backend: str = "onnxruntime",
    trusted_keys: str | None = None,
) -> Stager:
    """The stager of a bundle, which one of `trusted_keys` (a file) has signed; raises BundleError or
    BackendError.
    """
    from ..stager import Stager

    with busy(f"Loading {bundle}", console):
        trust = trust_policy(trusted_keys)
        return Stager.load(bundle, mode=mode, threads=threads, backend=backend, trust=trust)


def trust_policy(trusted_keys: str | None) -> TrustPolicy | None:
    """The policy that asks for a signature by one of the keys in a file; None, the device's, for none."""
    from ..bundle.trust import TrustPolicy, read_keys

    return None if trusted_keys is None else TrustPolicy(read_keys(trusted_keys), require_signature=True)


def stage_recording(
    stager: Stager,
    recording: Recording,
    mode: str,
    on_prediction: Callable[[StagePrediction], None],
    console: Console | None = None,
    *,
    smooth: str | None = None,
    memory: bool = True,
) -> Night:
    """Stage every epoch, hand each prediction to `on_prediction`, show progress on a terminal.

    `console` is where `on_prediction` prints, None where it does not print through one.
    Ctrl-C ends it after the epoch at hand, a second one at once: the night then holds what was done, and
    `complete` is False.
    """
    total = epochs_of(recording)
    with (
        suppress(KeyboardInterrupt),
        _progress(total, recording.channel, console) as advance,
        _stop() as stop,
    ):
        night = stager.predict_night(
            recording, mode=mode, smooth=smooth, memory=memory, cancelled=stop.is_set
        )
        for prediction in night:
            on_prediction(prediction)
            advance()
    night.stop()
    return night


def epochs_of(recording: Recording) -> int:
    """Epochs staging gives: the whole ones, and a last one that is not."""
    return epochs.epochs_of(len(recording.samples_uv), recording.sfreq)


@contextmanager
def busy(message: str, console: Console | None) -> Iterator[None]:
    """A spinner while something without steps is done; nothing where there is no terminal."""
    terminal = progress_console(console)
    if terminal is None:
        yield
        return
    with terminal.status(Text(message)):
        yield


@contextmanager
def _stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; one more than a second later is a KeyboardInterrupt again."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    first_at = 0.0

    def on_interrupt(_number: int, _frame: object) -> None:
        nonlocal first_at
        if not event.is_set():
            event.set()
            first_at = time.monotonic()
        elif time.monotonic() - first_at >= ONE_STOP_S:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(total: int, channel: str, console: Console | None) -> Iterator[Callable[[], None]]:
    terminal = progress_console(console)
    if terminal is None:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal, transient=True, expand=True) as progress:
        task = progress.add_task(f"Staging {channel}", total=total)
        yield lambda: progress.advance(task)
