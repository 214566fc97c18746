"""The night memory learns to stage an epoch in its night.

`python -m eegvlm_train train-memory DATA OUT --vision V`: the enhancement module of V stays as it is and
reads every epoch once; recurrent units then learn, over stretches of the nights, what the teachers say who
know the night. OUT becomes V with its memory trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data.courses import Courses, MemoryBatch, MemoryBatches, draw_courses
from ..data.labels import load_split
from ..data.language import NightStates
from ..data.loading import Loader, moved
from ..data.nightset import NightSet
from ..evaluation.metrics import score
from ..evaluation.reading import read_epochs
from ..model.memory import NightMemory, mean_opinion
from ..model.modeling import EegVlmForConditionalGeneration
from ..model.presets import preset
from ..model.processing import PROCESSOR_FILES, copy_processor
from ..outputs import claim_run
from ..settings import MemorySettings
from .arguments import add_run_arguments, prepare_run, settings_from
from .loop import Task, fit, parameter_groups

__all__ = ["MemoryStep", "courses_of", "main", "remember", "train_memory", "validate_memory"]

_STRETCHES = (60, 960)
"""Lengths, in epochs, of the stretches that the language model's samples remember."""


class MemoryStep(nn.Module):
    """Every member's loss against the teachers who know the night: the mean of the members' losses."""

    def __init__(self, memory: NightMemory, settings: MemorySettings) -> None:
        super().__init__()
        self.memory, self.dropout = memory, nn.Dropout(settings.dropout)

    def forward(self, batch: MemoryBatch) -> dict[str, Tensor]:
        features = self.dropout(batch.features.float())
        opinions, _ = self.memory.read_nights(features, batch.stage_logits, batch.present)
        each = -(batch.teacher * opinions.log_softmax(-1)).sum(-1)
        weight = batch.weight * batch.present[..., 0]
        return {"loss": (each * weight).sum() / (weight.sum() * self.memory.members).clamp(min=1.0)}


@torch.no_grad()
def validate_memory(module: nn.Module, courses: Courses) -> dict[str, float]:
    """Agreement with the teachers who know the night, over whole nights from their first epoch."""
    assert isinstance(module, MemoryStep)
    module.eval()
    device = next(module.parameters()).device
    rows, losses = [], []
    for night in courses.nights():
        batch = moved(courses.stretch(night, 0, len(night)), device)
        losses.append(float(module(batch)["loss"]))
        opinions, _ = module.memory.read_nights(batch.features.float(), batch.stage_logits, batch.present)
        rows.append(mean_opinion(opinions)[0].exp().cpu().numpy())
    probabilities = np.concatenate(rows)
    result = score(courses.teacher.argmax(1), probabilities.argmax(1), probabilities)
    own = score(courses.teacher.argmax(1), courses.stage_logits.argmax(1))
    return {
        "loss": float(np.mean(losses)),
        "memory_acc": result.accuracy,
        "memory_kappa": result.kappa,
        "memory_mf1": result.macro_f1,
        "memory_ece": result.ece or 0.0,
        "alone_kappa": own.kappa,
    }


def courses_of(model: EegVlmForConditionalGeneration, nights: NightSet, workers: int) -> Courses:
    """What the enhancement module reads of every epoch, beside the opinions that know the night."""
    features, logits = read_epochs(model, nights, workers=workers)
    return Courses(features, logits, nights.context, nights.night)


def amplified_courses(
    model: EegVlmForConditionalGeneration, nights: NightSet, settings: MemorySettings
) -> Courses:
    """The nights as they are, then `gain_copies` times, each night as an amplifier of another gain gave it.

    What a stage is does not hang on the gain of the amplifier, which an epoch alone cannot know. Over a night
    it shows, and so the memory learns to read an amplitude beside those before it.
    """
    copies = [courses_of(model, nights, settings.workers)]
    rng = np.random.default_rng([0x6A17, settings.seed])
    low, high = np.log(settings.gain_low), np.log(settings.gain_high)
    for number in range(1, settings.gain_copies + 1):
        gains = np.exp(rng.uniform(low, high, len(nights.names))).astype(np.float32)
        features, logits = read_epochs(model, nights, workers=settings.workers, gain=gains[nights.night])
        copies.append(Courses(features, logits, nights.context, nights.night + number * len(nights.names)))
    return Courses.joined(copies)


@torch.no_grad()
def remember(memory: NightMemory, courses: Courses, rng: np.random.Generator) -> NightStates:
    """States and stage logits of `memory` after every epoch of some nights, begun anew at random places."""
    device = next(memory.parameters()).device
    states = np.empty((len(courses.night), memory.state_size), dtype=np.float16)
    logits = np.empty((len(courses.night), 5), dtype=np.float32)
    for night in courses.nights():
        start = 0
        while start < len(night):
            length = int(rng.integers(*_STRETCHES))
            batch = moved(courses.stretch(night, start, length), device)
            opinions, after = memory.read_nights(batch.features.float(), batch.stage_logits, batch.present)
            places = night[start : start + length]
            states[places] = after[0].half().cpu().numpy()
            logits[places] = mean_opinion(opinions)[0].cpu().numpy()
            start += length
    return NightStates(states, logits)


def train_memory(
    settings: MemorySettings,
    train: NightSet,
    held_out: NightSet,
    vision: Path,
    out: Path,
    *,
    resume: bool = False,
    tensorboard: bool = False,
) -> int:
    """Train the memory of the checkpoint `vision` and leave the checkpoint in `out`. Returns the steps done.

    Vision networks without a memory, such as those of an imported LLaVA, get one of nano's size. Raises
    ValueError for a checkpoint without one whose language model has no place for it.
    """
    model = _with_memory(
        EegVlmForConditionalGeneration.from_pretrained(vision, dtype=torch.float32).eval(), vision
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network: nn.Module = model
    network.to(device)
    courses = amplified_courses(model, train, settings)
    held_out_courses = courses_of(model, held_out, settings.workers)
    network.to("cpu")
    step = MemoryStep(model.memory, settings)
    make = MemoryBatches(
        courses,
        settings.window,
        settings.absent_share,
        settings.balance,
        settings.rearranged_share,
        settings.noise,
    )

    def batches(first: int, rank: int) -> Iterator[MemoryBatch]:
        seed = (settings.seed, rank)
        drawn = draw_courses(
            courses, settings.window, settings.batch_size, np.random.default_rng([*seed, first])
        )
        return Loader(settings.workers, seed, first)(make, drawn)

    def export(module: nn.Module, out: Path) -> None:
        assert isinstance(module, MemoryStep)
        trained = {
            f"memory.{name}": value.detach().cpu() for name, value in module.memory.state_dict().items()
        }
        model.save_pretrained(
            out, state_dict=model.state_dict() | trained, max_shard_size=settings.max_shard_size
        )
        # A checkpoint that has a language model already keeps its words.
        copy_processor(vision, out)

    task = Task(
        step_module=step,
        groups=parameter_groups(step, settings.learning_rate, settings.weight_decay),
        batches=batches,
        validate=lambda module: validate_memory(module, held_out_courses),
        export=export,
    )
    print(f"{len(train)} epochs of {len(train.names)} nights; {len(held_out)} epochs held out", flush=True)
    return fit(task, settings, out, resume=resume, tensorboard=tensorboard)


def _with_memory(model: EegVlmForConditionalGeneration, vision: Path) -> EegVlmForConditionalGeneration:
    """The model with a memory, a new one where it has none."""
    config = model.config
    if config.memory_size:
        return model
    if any((vision / name).exists() for name in PROCESSOR_FILES):
        raise ValueError(
            f"--vision: {vision}; its language model has no place for a memory: give the checkpoint of "
            "train-enhancement or train-vision"
        )
    usual = preset("nano")
    config.memory_size, config.memory_members = usual.memory_size, usual.memory_members
    model.memory = NightMemory(
        config.pooled_size, config.num_stages, config.memory_size, config.memory_members
    )
    model.memory_token = nn.Linear(
        model.memory.state_size + config.num_stages, config.text_config.hidden_size
    )
    return model


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train train-memory", description=__doc__)
    add_run_arguments(parser)
    parser.add_argument(
        "--vision", type=Path, required=True, help="checkpoint of train-vision or train-enhancement"
    )
    args = parser.parse_args(argv)
    settings = settings_from(args, MemorySettings)
    claim_run(args, "train-memory", [args.data, args.vision])
    prepare_run(settings.seed, args.threads)
    train, held_out = load_split(
        args.data, settings.labels, night_opinion=settings.night_opinion, max_nights=args.max_nights
    )
    train_memory(
        settings, train, held_out, args.vision, args.out, resume=args.resume, tensorboard=args.tensorboard
    )
    return 0
