"""Nights to workers and receipts back, whatever the workers are; a worker that dies takes no night along."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import BackendError
from .receipt import failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .receipt import Receipt
    from .tasks import NightTask

__all__ = ["TRIES", "Died", "NightScorer", "Pool", "ScorerOf", "dispatch"]

TRIES: Final = 2
"""How often a night is begun: one whose worker died is begun once more."""

_MOST_STARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Died:
    """A worker ended before its night did. `why`: a signal, or what a start that failed said; `at_start`:
    it never got to a night.
    """

    why: str
    at_start: bool = False


class NightScorer(Protocol):
    """The hand of a worker."""

    def score(self, task: NightTask) -> Receipt:
        """Score a night and write its receipt."""


ScorerOf = Callable[..., NightScorer]
"""Makes the hand of a worker, in the worker: a class or function that can be pickled."""


class Pool(Protocol):
    """Workers with numbers from 0. Each scores one night at a time and writes its receipt itself."""

    workers: int

    def start(self, worker: int) -> None:
        """Start a worker, or one in place of one that died."""

    def give(self, worker: int, task: NightTask) -> None:
        """Hand a worker its next night."""

    def wait(self) -> list[tuple[int, Receipt | Died]]:
        """Wait until at least one worker is done or dead; what became of their nights."""

    def close(self) -> None:
        """End all workers, at once."""


def dispatch(pool: Pool, tasks: Iterable[NightTask]) -> Iterator[Receipt]:
    """Score nights on a pool and give each receipt as it comes.

    Receipts of nights whose worker died as often as they are tried are made here; writing them is up to the
    caller. Raises BackendError where workers cannot be started.
    """
    coming = iter(tasks)
    again: deque[NightTask] = deque()
    tries: dict[str, int] = {}
    at_work: dict[int, NightTask] = {}
    starts = 0

    def give(worker: int) -> None:
        task = again.popleft() if again else next(coming, None)
        if task is not None:
            at_work[worker] = task
            pool.give(worker, task)

    for worker in range(pool.workers):
        give(worker)
    while at_work:
        for worker, result in pool.wait():
            task = at_work.pop(worker)
            if not isinstance(result, Died):
                starts = 0
                yield result
            else:
                starts = starts + 1 if result.at_start else 0
                if starts == _MOST_STARTS:
                    raise BackendError("worker", result.why, "workers cannot be started")
                pool.start(worker)
                if not result.at_start:
                    tries[task.name] = tries.get(task.name, 0) + 1
                if tries.get(task.name, 0) < TRIES:
                    again.append(task)
                else:
                    yield failed(task, f"its worker died {TRIES} times: {result.why}")
            give(worker)
