"""The training loop every step shares: schedule, averaged weights, checkpoints, log."""

from __future__ import annotations

import copy
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from torch import Tensor, nn

from ..data.loading import Batch, moved
from ..settings import RunSettings

__all__ = [
    "Averaged",
    "Ending",
    "RunLog",
    "Task",
    "fit",
    "parameter_groups",
    "progress_of",
    "rate_at",
    "trained_state",
]


_QUIET_S = 30.0
"""A run says how far it is at least this often, between two validations."""


def rate_at(progress: float, step: int, settings: RunSettings) -> float:
    """Learning rate as a share of the peak: linear warm-up, then a cosine down to `final_rate_share`."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return warm * (settings.final_rate_share + (1.0 - settings.final_rate_share) * cosine)


def parameter_groups(
    module: nn.Module, rate: float, weight_decay: float, chosen: Callable[[str], bool] = lambda _: True
) -> list[dict[str, Any]]:
    """Two AdamW groups of the trained parameters whose names are `chosen`: matrices decay, vectors and
    embeddings of position do not."""
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad and chosen(name)]
    decayed = [p for name, p in trained if p.ndim > 1 and "position_embedding" not in name]
    plain = [p for name, p in trained if p.ndim <= 1 or "position_embedding" in name]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group | {"peak": rate, "lr": rate} for group in groups if group["params"]]


class Averaged:
    """Exponential moving average of a module's trained parameters, shorter while the run is young."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._places = [place for place, p in enumerate(module.parameters()) if p.requires_grad]

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """One step towards the module's weights; its running statistics are averages already, and copied."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for mean, new in zip(self.module.buffers(), module.buffers(), strict=True):
            mean.copy_(new)
        ours, theirs = list(self.module.parameters()), list(module.parameters())
        torch._foreach_lerp_(
            [ours[place].detach() for place in self._places],
            [theirs[place].detach() for place in self._places],
            1.0 - keep,
        )


def trained_state(module: nn.Module, frozen: frozenset[str]) -> dict[str, Tensor]:
    """The module's state without its parameters in `frozen`, which a run finds as it left them."""
    return {
        name: value
        for name, value in module.state_dict().items()
        if name not in frozen and not any(name.startswith(f"{parameter}.") for parameter in frozen)
    }


@dataclass
class RunLog:
    """One JSON object a line, and TensorBoard where it is asked for."""

    path: Path
    tensorboard: bool = False
    _writer: Any = field(default=None, init=False)

    def __call__(self, kind: str, step: int, values: dict[str, float]) -> None:
        row = {"kind": kind, "step": step} | {name: round(float(value), 6) for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
        if self.tensorboard:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self.path.parent / "tensorboard"))
            for name, value in values.items():
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Write what TensorBoard's writer still holds back."""
        if self._writer is not None:
            self._writer.close()


@dataclass(frozen=True)
class Task:
    """What is trained: `step_module(batch)` gives named losses with "loss" among them.

    `batches(first_step, rank)` is endless; `validate(module)` gives named figures; `export(module, folder)`
    writes the result of the run.
    """

    step_module: nn.Module
    groups: list[dict[str, Any]]
    batches: Callable[[int, int], Iterator[Batch]]
    validate: Callable[[nn.Module], dict[str, float]]
    export: Callable[[nn.Module, Path], None]


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turns the first SIGINT or SIGTERM into a wish to end the run well."""
    requests: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        requests.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(requests)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Ending:
    """Seconds that a run takes after its last step: to validate, to save and to export.

    A validation that was not measured yet is taken to cost a step for each of its batches, which also goes
    backwards and so takes longer.
    """

    settings: RunSettings
    step_s: float = 0.0
    validation_s: float | None = None
    saving_s: float = 0.0

    def seconds(self) -> float:
        validation_s = self.validation_s
        if validation_s is None:
            validation_s = self.step_s * math.ceil(self.settings.validation_epochs / self.settings.batch_size)
        return validation_s + self.saving_s


def progress_of(step: int, elapsed_s: float, ending_s: float, settings: RunSettings) -> float:
    """Share of the run that is done, by steps or by time, whichever is more. `ending_s` of the time, at most
    half of it, is kept for what follows the last step."""
    progress = step / settings.steps
    if settings.max_minutes is None:
        return progress
    limit_s = 60.0 * settings.max_minutes
    return max(progress, elapsed_s / max(limit_s - ending_s, limit_s / 2))


def _shared(accelerator: Accelerator, progress: float) -> float:
    """The progress of the first process, for all of them."""
    if accelerator.num_processes > 1:
        shared = broadcast(torch.tensor([progress], device=accelerator.device))
        progress = float(shared[0])
    return progress


def _save_state(path: Path, **parts: Any) -> None:
    staging = path.with_suffix(".tmp")
    torch.save(parts, staging)
    staging.replace(path)


def _take_up(module: nn.Module, state: dict[str, Tensor], frozen: frozenset[str]) -> None:
    missing, unknown = module.load_state_dict(state, strict=False)
    lacking = [name for name in missing if name not in frozen]
    if lacking or unknown:
        raise ValueError(f"state.pt: another run's ({', '.join([*lacking, *unknown][:3])}); start anew")


def fit(
    task: Task, settings: RunSettings, out: Path, *, resume: bool = False, tensorboard: bool = False
) -> int:
    """Train until `steps`, `max_minutes` or a stop signal; export into `out`. Returns the steps done.

    `out/state.pt` is the running state, taken up again by `resume`; `out/log.jsonl` has a line per logged
    step.
    Raises FloatingPointError when the loss is no number.
    """
    on_gpu = torch.cuda.is_available()
    # A step has weights that its loss does not reach, such as the projection that the next step trains.
    apart = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(
        mixed_precision="bf16" if on_gpu else "no", cpu=not on_gpu, kwargs_handlers=[apart]
    )
    out.mkdir(parents=True, exist_ok=True)
    module = task.step_module.to(accelerator.device)
    frozen = frozenset(name for name, p in module.named_parameters() if not p.requires_grad)
    averaged = Averaged(module, settings.ema_decay) if settings.ema_decay else None
    optimizer = torch.optim.AdamW(task.groups, betas=(0.9, settings.beta2), fused=on_gpu)
    step, elapsed_before = 0, 0.0
    state_path = out / "state.pt"
    if resume and state_path.exists():
        state = torch.load(state_path, map_location=accelerator.device, weights_only=True)
        _take_up(module, state["module"], frozen)
        optimizer.load_state_dict(state["optimizer"])
        if averaged is not None:
            _take_up(averaged.module, state["averaged"], frozen)
        step, elapsed_before = state["step"], state["elapsed_s"]
    prepared, optimizer = accelerator.prepare(module, optimizer)
    run = torch.compile(prepared) if settings.compile else prepared
    main = accelerator.is_main_process
    log = RunLog(out / "log.jsonl", tensorboard)
    if main:
        (out / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")

    def best() -> nn.Module:
        return averaged.module if averaged is not None else module

    def save() -> None:
        parts = {"module": trained_state(module, frozen), "optimizer": optimizer.state_dict()}
        if averaged is not None:
            parts["averaged"] = trained_state(averaged.module, frozen)
        _save_state(state_path, **parts, step=step, elapsed_s=elapsed())

    started = time.monotonic()

    def elapsed() -> float:
        return elapsed_before + time.monotonic() - started

    def validate_and_log(values: dict[str, float]) -> None:
        began = time.monotonic()
        log("validation", step, values | task.validate(best()))
        ending.validation_s = time.monotonic() - began

    def save_and_export() -> None:
        began = time.monotonic()
        save()
        task.export(best(), out)
        ending.saving_s = time.monotonic() - began

    ending = Ending(settings)
    sums: dict[str, Tensor] = {}
    window, since, pictures = 0, time.monotonic(), 0
    next_save = elapsed() + 60.0 * settings.checkpoint_every_minutes
    next_validation = elapsed() + 60.0 * settings.validate_every_minutes
    batches = task.batches(step, accelerator.process_index)
    with _stop_requests() as stop_asked:
        while (
            progress := _shared(accelerator, progress_of(step, elapsed(), ending.seconds(), settings))
        ) < 1.0 and not stop_asked():
            batch = moved(next(batches), accelerator.device)
            share = rate_at(progress, step, settings)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * share
            prepared.train()
            with accelerator.autocast():
                losses = run(batch)
            accelerator.backward(losses["loss"])
            accelerator.clip_grad_norm_(prepared.parameters(), settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if averaged is not None:
                averaged.update(module, step)
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach().float()
            window, pictures = window + 1, pictures + len(batch) * accelerator.num_processes
            now = time.monotonic()
            ending.step_s = (now - since) / window
            if step % settings.log_every == 0 or now - since > _QUIET_S:
                means = {name: float(value) / window for name, value in sums.items()}
                if not math.isfinite(means["loss"]):
                    raise FloatingPointError(f"loss: {means['loss']} at step {step}; lower the learning rate")
                if main:
                    speed = {"rate_share": share, "progress": progress, "img_per_s": pictures / (now - since)}
                    done = min(1.0, progress_of(step, elapsed(), ending.seconds(), settings))
                    left = {"minutes_left": elapsed() / 60.0 * (1.0 - done) / done}
                    log("train", step, means | speed | left)
                sums, window, since, pictures = {}, 0, now, 0
            if main and elapsed() >= next_validation:
                validate_and_log({})
                since, pictures, window, sums = time.monotonic(), 0, 0, {}
                next_validation = elapsed() + 60.0 * settings.validate_every_minutes
            if main and elapsed() >= next_save:
                save_and_export()
                next_save = elapsed() + 60.0 * settings.checkpoint_every_minutes
    batches.close()  # type: ignore[attr-defined]
    if main:
        save_and_export()
        validate_and_log({"progress": progress})
        log.close()
    accelerator.wait_for_everyone()
    return step
