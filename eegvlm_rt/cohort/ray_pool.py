"""Workers on a Ray cluster: the same scorer in actors. The results must lie on a drive that all can reach."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from ..errors import BackendError, InputError
from .dispatch import Died
from .local_pool import default_workers

if TYPE_CHECKING:
    from .dispatch import ScorerOf
    from .receipt import Receipt
    from .tasks import NightTask

__all__ = ["LOCAL", "RayPool"]

LOCAL: Final = "local"
"""In place of an address: a Ray of one's own on this machine, for as long as the run takes."""


class RayPool:
    """One actor for each worker; each holds the loaded model and scores one night per call."""

    def __init__(
        self, address: str, scorer: ScorerOf, setup: tuple[Any, ...], threads: int, workers: int | None
    ) -> None:
        """Join a cluster ("auto", "ray://host:10001", "host:6379") or start one here ("local").

        `workers` of `threads` threads each; None takes as many as the cluster's processors carry. Raises
        InputError without Ray, BackendError where the cluster cannot be joined.
        """
        if find_spec("ray") is None:
            raise InputError("--ray", address, "install the extra [ray] of this package, or: pip install ray")
        # Its own types are partial: what comes from it is checked where it is used.
        ray: Any = import_module("ray")
        self._ray = ray
        self._setup = setup
        more: dict[str, Any] = {"address": address}
        if address == LOCAL:
            more |= {"include_dashboard": False}
            count = default_workers(threads) if workers is None else workers
            more |= {"num_cpus": count * threads}
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **more)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise BackendError("--ray", address, f"this cluster cannot be joined: {error}") from error
        carried = _carried(ray.nodes(), threads)
        if carried == 0:
            ray.shutdown()
            cure = "no machine of this cluster has so many processors; give fewer"
            raise InputError("threads", threads, cure)
        # More workers than the cluster carries now may be what an autoscaler is to bring.
        self.workers = carried if workers is None else workers
        self._class = ray.remote(num_cpus=threads, max_restarts=0)(scorer)
        self._actors: dict[int, Any] = {}
        self._calls: dict[Any, int] = {}
        for worker in range(self.workers):
            self.start(worker)

    def start(self, worker: int) -> None:
        """Start an actor, in place of one that died where there was one."""
        old = self._actors.pop(worker, None)
        if old is not None:
            self._ray.kill(old)
        self._actors[worker] = self._class.remote(*self._setup)

    def give(self, worker: int, task: NightTask) -> None:
        """Call a worker with its next night."""
        self._calls[self._actors[worker].score.remote(task)] = worker

    def wait(self) -> list[tuple[int, Receipt | Died]]:
        """What became of the nights of the workers that are done or dead."""
        done, _ = self._ray.wait(list(self._calls), num_returns=1)
        results: list[tuple[int, Receipt | Died]] = []
        for call in done:
            worker = self._calls.pop(call)
            try:
                results.append((worker, self._ray.get(call)))
            except self._ray.exceptions.RayTaskError as error:
                results.append((worker, Died(str(error.cause), at_start=True)))
            except self._ray.exceptions.RayActorError as error:
                results.append((worker, _death(error)))
        return results

    def close(self) -> None:
        """End the actors, and the cluster where it was started here."""
        for actor in self._actors.values():
            with suppress(Exception):
                self._ray.kill(actor)
        self._actors.clear()
        self._ray.shutdown()


def _carried(nodes: list[dict[str, Any]], threads: int) -> int:
    """Workers of so many threads that the machines of a cluster carry together."""
    return sum(int(node["Resources"].get("CPU", 0)) // threads for node in nodes if node["Alive"])


def _death(error: Exception) -> Died:
    """Why an actor ended. Of one that could not be made Ray gives the traceback, whose last line says it."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    at_start = "creation task" in lines[0]
    return Died(lines[-1 if at_start else 0].strip()[:300], at_start=at_start)
