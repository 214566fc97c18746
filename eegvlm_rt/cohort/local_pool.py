"""Worker processes on this machine."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING, Any, Final

from ..errors import EegVlmError
from ..pipeline.load_options import usable_processors
from .dispatch import Died

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from .dispatch import ScorerOf
    from .receipt import Receipt
    from .tasks import NightTask

__all__ = ["LocalPool", "default_threads", "default_workers"]

_MOST_DEFAULT_THREADS: Final = 2


def default_workers(threads: int) -> int:
    """Workers of so many threads that this machine's processors carry, at least 1."""
    return max(1, usable_processors() // threads)


def default_threads(workers: int | None) -> int:
    """Threads for each of `workers` on this machine, 1 or 2: together no more than it has processors.

    None, as many workers as the processors carry, gives 2: two threads share one loaded model.
    """
    if workers is None:
        return _MOST_DEFAULT_THREADS
    return min(_MOST_DEFAULT_THREADS, max(1, usable_processors() // workers))


class LocalPool:
    """Processes that load the model once each; they end with this one, whatever ends it."""

    def __init__(self, scorer: ScorerOf, setup: tuple[Any, ...], workers: int) -> None:
        self.workers = workers
        self._setup = (scorer, *setup)
        # A fresh interpreter: a forked one would share the threads and locks of a model loaded here.
        self._context = get_context("spawn")
        self._processes: dict[int, tuple[BaseProcess, Connection]] = {}
        for worker in range(workers):
            self.start(worker)

    def start(self, worker: int) -> None:
        """Start a worker, in place of one that died where there was one."""
        old = self._processes.pop(worker, None)
        if old is not None:
            _end(*old)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, *self._setup), daemon=True)
        process.start()
        theirs.close()
        self._processes[worker] = (process, ours)

    def give(self, worker: int, task: NightTask) -> None:
        """Hand a worker its next night; one that is dead by now is seen by `wait`."""
        try:
            self._processes[worker][1].send(task)
        except OSError:
            return

    def wait(self) -> list[tuple[int, Receipt | Died]]:
        """What became of the nights of the workers that are done or dead."""
        pipes: dict[Any, int] = {pipe: worker for worker, (_, pipe) in self._processes.items()}
        results: list[tuple[int, Receipt | Died]] = []
        ready: list[Any] = connection.wait(list(pipes))
        for pipe in ready:
            worker = pipes[pipe]
            process = self._processes[worker][0]
            try:
                results.append((worker, pipe.recv()))
            except (EOFError, OSError):
                process.join(10)
                results.append((worker, Died(_end_of(process))))
        return results

    def close(self) -> None:
        """End all workers: what they have not written a receipt for is done by the next run."""
        for process, pipe in self._processes.values():
            _end(process, pipe)
        self._processes.clear()


def _work(pipe: Connection, scorer_of: ScorerOf, *setup: Any) -> None:
    """The life of a worker: nights come, receipts go, until nobody is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    try:
        scorer = scorer_of(*setup)
    except (EegVlmError, OSError, MemoryError) as error:
        with suppress(EOFError, OSError):
            pipe.recv()
            pipe.send(Died(str(error), at_start=True))
        return
    while True:
        try:
            task = pipe.recv()
            pipe.send(scorer.score(task))
        except (EOFError, OSError):
            return


def _end_with_parent() -> None:
    """End this process when the one that started it ends, even by SIGKILL in the middle of a night."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end(process: BaseProcess, pipe: Connection) -> None:
    pipe.close()
    process.kill()
    process.join()


def _end_of(process: BaseProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        try:
            return f"ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"ended by signal {-code}"
    return f"exit status {code}"
