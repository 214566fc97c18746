"""A cohort from its inputs to its table: what is done is left, what is missing is scored."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..bundle.find import find_bundle
from ..bundle.opening import Bundle
from ..bundle.trust import TrustPolicy, read_keys
from ..errors import InputError, OutputError
from ..files.outputs import claim_folder
from ..files.seal import is_ours
from .dispatch import dispatch
from .group import GROUP, Gathered, group_available, write_group
from .local_pool import LocalPool, default_workers
from .lock import folder_lock
from .receipt import Receipt, Status, is_done, read_receipt, receipt_path, receipts_in, write_receipt
from .scorer import Scorer
from .table import table_paths, write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .dispatch import Pool
    from .tasks import NightTask, ScoreOptions

__all__ = ["CohortResult", "Plan", "finish", "plan", "score_nights"]

COMMAND: Final = "score"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do: `todo` nights, and the counts of those that are done already, by status."""

    out: Path
    options: ScoreOptions
    bundle_digest: str
    todo: tuple[NightTask, ...]
    done: Counter[Status]


@dataclass(slots=True)
class CohortResult:
    """What a run did. `counts` of its nights by status, of these `unchanged` were done before; `files` of
    the whole cohort; `interrupted` where it was ended early.
    """

    counts: Counter[Status] = field(default_factory=Counter)
    unchanged: int = 0
    files: list[Path] = field(default_factory=list)
    interrupted: bool = False

    @property
    def total(self) -> int:
        """Nights that were asked for and are recordings."""
        return self.counts[Status.SCORED] + self.counts[Status.FAILED]


def plan(tasks: Sequence[NightTask], out: Path, options: ScoreOptions) -> Plan:
    """Compare what is asked for with the receipts that are there.

    A night is done where its receipt has the same bundle and options and its input the same size and time of
    change, and where its files are there. The content of what looks changed is compared by the worker.
    Raises what `Bundle.open` raises.
    """
    exact_options, digest = _bundle(options)
    fields = exact_options.key_fields()
    todo, done = [], Counter[Status]()
    for task in tasks:
        receipt = read_receipt(receipt_path(out, task.name))
        if receipt is not None and _is_current(receipt, task, fields, digest) and is_done(receipt, task, out):
            done[receipt.status] += 1
        else:
            todo.append(task)
    return Plan(out, exact_options, digest, tuple(todo), done)


def score_nights(
    tasks: Sequence[NightTask],
    out: str | os.PathLike[str],
    options: ScoreOptions,
    *,
    workers: int | None = None,
    ray: str | None = None,
    scope: str = "",
    group: bool = True,
    on_plan: Callable[[Plan], None] | None = None,
    on_receipt: Callable[[Receipt], None] | None = None,
) -> CohortResult:
    """Score the nights that are missing or changed, then write the table and the report of the cohort.

    Args:
        tasks: from `find_nights` or `find_bids`.
        out: folder of the results, made where it is missing.
        options: what is asked of every night.
        workers: worker processes, each with `options.threads` threads; None takes what the processors carry.
        ray: address of a Ray cluster ("local" starts one) to run the workers on; None runs them here.
        scope: part of the results that this run has to itself, such as a participant; empty is all.
        group: whether table and group report are written at the end.
        on_plan: called once, before the first night.
        on_receipt: called with the receipt of each night as it is done.

    A night that fails has a receipt with its error; nothing is raised for it. KeyboardInterrupt ends the run
    early: what is done stays, and the result says so. Raises OutputError for a folder that is not ours or in
    use, BundleError, BackendError where no worker starts.
    """
    folder = claim_folder(out, COMMAND, inputs=[task.path for task in tasks], overwrite=options.overwrite)
    result = CohortResult()
    with ExitStack() as stack:
        stack.enter_context(folder_lock(folder, scope))
        if group:
            _check_tables(folder, options)
        planned = plan(tasks, folder, options)
        result.counts.update(planned.done)
        result.unchanged = sum(planned.done.values())
        if on_plan is not None:
            on_plan(planned)
        try:
            if planned.todo:
                pool = _pool(planned, workers, ray)
                stack.callback(pool.close)
                for receipt in dispatch(pool, planned.todo):
                    if receipt.status is Status.FAILED and receipt.error_kind == "worker":
                        # The worker died before it could.
                        write_receipt(folder, receipt)
                    result.counts[receipt.status] += 1
                    if on_receipt is not None:
                        on_receipt(receipt)
        except KeyboardInterrupt:
            result.interrupted = True
        if group:
            result.files = finish(folder, overwrite=options.overwrite)
    return result


def finish(out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the table and the group report of all receipts in a folder of results; returns the files.

    Raises OutputError for a file that was changed since (unless `overwrite`), RecordingError where one cannot
    be written.
    """
    gathered = Gathered()
    # Every receipt is read once, for both.
    files = write_table(out, map(gathered.add, receipts_in(out)), overwrite=overwrite)
    if group_available():
        files.append(write_group(out, gathered, overwrite=overwrite))
    return files


def _bundle(options: ScoreOptions) -> tuple[ScoreOptions, str]:
    """The options with the bundle as a worker finds it, and its digest; its files are checked here once."""
    keys = options.trusted_keys
    trust = None if keys is None else TrustPolicy(read_keys(keys), require_signature=True)
    place = find_bundle(options.bundle)
    digest = Bundle.open(place, trust=trust).digest
    named = os.sep not in options.bundle and place != Path(options.bundle)
    return replace(options, bundle=options.bundle if named else str(place.resolve())), digest


def _is_current(receipt: Receipt, task: NightTask, fields: dict[str, object], digest: str) -> bool:
    if receipt.bundle != digest or receipt.options != fields or receipt.night != task.name:
        return False
    with suppress(OSError):
        facts = task.path.stat()
        return receipt.is_about(task, facts.st_size, facts.st_mtime_ns)
    return False


def _check_tables(folder: Path, options: ScoreOptions) -> None:
    """Refuse, before hours of work, a table or group report that a person changed."""
    if options.overwrite:
        return
    for path in (*table_paths(folder), folder / GROUP):
        if path.exists() and path.stat().st_size and not is_ours(path):
            cure = "was changed since it was written; move it away, or add --overwrite"
            raise OutputError("output", str(path), cure)


def _pool(planned: Plan, workers: int | None, ray: str | None) -> Pool:
    if workers is not None and not 1 <= workers <= 4096:
        raise InputError("workers", workers, "give 1 to 4096")
    setup = (planned.out.resolve(), planned.options, planned.bundle_digest)
    if ray is not None:
        from .ray_pool import RayPool

        return RayPool(ray, Scorer, setup, planned.options.threads, workers)
    count = default_workers(planned.options.threads) if workers is None else workers
    return LocalPool(Scorer, setup, min(count, len(planned.todo)))
