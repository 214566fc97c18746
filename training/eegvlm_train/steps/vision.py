"""Steps 1 and 2 in one run: both vision networks learn to stage and to perceive.

`python -m eegvlm_train train-vision DATA OUT` does what `train-enhancement` and `train-tower` do, over the
same pictures. The enhancement module learns the teacher's stages and the measured findings; the CLIP tower
learns the same from its patches and the band powers under each patch column.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from ..data.imaging import Normalize, render_spec
from ..data.labels import load_split
from ..data.loading import Loader, VisionBatch, VisionBatches, draw_batches, moved, sweep_batches
from ..data.nightset import NightSet
from ..evaluation.metrics import score
from ..model.assembly import eyes_of
from ..model.initialization import fan_in_initialize
from ..model.modeling import EegVlmForConditionalGeneration, low_level_features
from ..model.perception import (
    EnhancementHeads,
    Opinion,
    TowerHeads,
    findings_loss,
    local_loss,
    soft_cross_entropy,
)
from ..model.presets import vision_preset
from ..model.untrained import LANGUAGE, set_untrained, untrained_parts
from ..outputs import claim_run
from ..settings import VisionSettings
from .arguments import add_run_arguments, prepare_run, settings_from
from .loop import Task, fit, parameter_groups

__all__ = ["NETWORKS", "VisionStep", "main", "run_vision", "train_vision", "validate_vision"]

NETWORKS = ("enhancement", "tower")


class VisionStep(nn.Module):
    """Losses of one batch of pictures in the networks that are trained."""

    def __init__(
        self,
        model: EegVlmForConditionalGeneration,
        settings: VisionSettings,
        networks: Sequence[str] = NETWORKS,
    ) -> None:
        super().__init__()
        spec = render_spec(model.config.render)
        self.settings = settings
        self.normalize = Normalize(spec)
        self.heads = nn.ModuleDict()
        if "enhancement" in networks:
            self.enhancement = model.enhancement
            self.heads["enhancement"] = EnhancementHeads(model.config, spec.rows)
        if "tower" in networks:
            self.vision_tower = model.vision_tower
            self.heads["tower"] = TowerHeads(model.config, spec.rows)
        self.layers_used = model.config.vision_layers_used

    def opinions(self, grey: Tensor) -> dict[str, Opinion]:
        """What is read off each network, named "head" (the enhancement module's) and "tower"."""
        pixels = self.normalize(grey)
        looks = {}
        if "enhancement" in self.heads:
            looks["head"] = self.heads["enhancement"](self.enhancement(pixels))
        if "tower" in self.heads:
            low = low_level_features(self.vision_tower, pixels, self.layers_used)
            looks["tower"] = self.heads["tower"](low)
        return looks

    def losses(self, opinions: dict[str, Opinion], batch: VisionBatch) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        total = torch.zeros((), device=batch.teacher.device)
        for name, look in opinions.items():
            stage = soft_cross_entropy(look.stage_logits, batch.teacher)
            findings = findings_loss(look.findings, batch.findings, batch.absolute)
            local = local_loss(look.local, batch.signal_uv, batch.events, batch.absolute)
            losses |= {name: stage, f"{name}_findings": findings, f"{name}_local": local}
            weight = self.settings.tower_weight if name == "tower" else 1.0
            tower = name == "tower"
            findings_weight = self.settings.findings_weight if tower else self.settings.head_findings_weight
            local_weight = self.settings.local_weight if tower else self.settings.head_local_weight
            total = total + weight * (stage + findings_weight * findings) + local_weight * local
        return losses | {"loss": total}

    def forward(self, batch: VisionBatch) -> dict[str, Tensor]:
        return self.losses(self.opinions(batch.grey), batch)


@torch.no_grad()
def validate_vision(
    module: nn.Module, nights: NightSet, index: NDArray[np.int64], batch_size: int, workers: int
) -> dict[str, float]:
    """Losses, and agreement of each network's stages with the teacher's, on epochs `index` as they are."""
    assert isinstance(module, VisionStep)
    module.eval()
    device = next(module.parameters()).device
    make = VisionBatches(nights, module.normalize.spec)
    sums: dict[str, float] = {}
    stages: dict[str, list[NDArray[np.float32]]] = {}
    for raw in Loader(workers, (0,))(make, sweep_batches(index, batch_size)):
        batch = moved(raw, device)
        opinions = module.opinions(batch.grey)
        for name, value in module.losses(opinions, batch).items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(raw.grey)
        for name, look in opinions.items():
            stages.setdefault(name, []).append(look.stage_logits.float().softmax(-1).cpu().numpy())
    figures = {name: value / len(index) for name, value in sums.items()}
    truth = nights.teacher[index].argmax(1)
    for name, parts in stages.items():
        probabilities = np.concatenate(parts)
        result = score(truth, probabilities.argmax(1), probabilities)
        figures |= {
            f"{name}_acc": result.accuracy,
            f"{name}_kappa": result.kappa,
            f"{name}_mf1": result.macro_f1,
        }
    return figures


def export_vision(
    model: EegVlmForConditionalGeneration, module: nn.Module, out: Path, max_shard_size: str
) -> None:
    """`out` becomes a checkpoint with the trained vision networks; the rest is as it was drawn."""
    trained = {name: value.detach().cpu() for name, value in module.state_dict().items()}
    whole = model.state_dict() | {
        name: value for name, value in trained.items() if not name.startswith("heads.")
    }
    model.save_pretrained(out, state_dict=whole, max_shard_size=max_shard_size)
    heads = {
        name.removeprefix("heads."): v.contiguous()
        for name, v in trained.items()
        if name.startswith("heads.")
    }
    save_file(heads, out / "perception.safetensors")


def train_vision(
    settings: VisionSettings,
    train: NightSet,
    held_out: NightSet,
    out: Path,
    networks: Sequence[str] = NETWORKS,
    *,
    base: Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
) -> int:
    """Train `networks` on nights already loaded and leave a checkpoint in `out`. Returns the steps done.

    With `base`, a whole checkpoint such as an imported LLaVA-1.5, its networks are resumed and its pictures
    drawn; without, those of the preset start anew.
    """
    for name in ("rows", "patch_height", "patch_width"):
        if base is not None and getattr(settings, name) is not None:
            raise ValueError(
                f"{name}: {getattr(settings, name)}; the base has its picture and patches, leave it out"
            )
    if base is None:
        shape = settings.patch_shape
        model = EegVlmForConditionalGeneration(vision_preset(settings.preset, settings.rows, shape))
        fan_in_initialize(model.enhancement)
    else:
        model = eyes_of(base)
        set_untrained(model.config, set(untrained_parts(model.config)) - {LANGUAGE, *networks})
    model.freeze_unused()
    step = VisionStep(model, settings, networks)
    spec = render_spec(model.config.render)
    make = VisionBatches(
        train, spec, settings.gain_low, settings.gain_high, settings.gain_share, settings.flip_share
    )
    weights = train.sampling_weights(settings.balance)

    def batches(first: int, rank: int) -> Iterator[VisionBatch]:
        seed = (settings.seed, rank)
        drawn = draw_batches(weights, settings.batch_size, np.random.default_rng([*seed, first]))
        return Loader(settings.workers, seed, first)(make, drawn)

    index = held_out.every(settings.validation_epochs)
    task = Task(
        step_module=step,
        groups=parameter_groups(step, settings.learning_rate, settings.weight_decay),
        batches=batches,
        validate=lambda module: validate_vision(
            module, held_out, index, settings.batch_size, settings.workers
        ),
        export=lambda module, out: export_vision(model, module, out, settings.max_shard_size),
    )
    print(f"{len(train)} epochs of {len(train.names)} nights; {len(index)} epochs held out", flush=True)
    return fit(task, settings, out, resume=resume, tensorboard=tensorboard)


def run_vision(
    name: str, description: str | None, networks: Sequence[str], argv: Sequence[str] | None
) -> int:
    """The command `name`: arguments, nights, `train_vision`."""
    parser = argparse.ArgumentParser(prog=f"eegvlm_train {name}", description=description)
    add_run_arguments(parser)
    parser.add_argument("--base", type=Path, help="resume the networks of this whole checkpoint")
    args = parser.parse_args(argv)
    settings = settings_from(args, VisionSettings)
    claim_run(args, name, [args.data, args.base])
    prepare_run(settings.seed, args.threads)
    train, held_out = load_split(args.data, settings.labels, max_nights=args.max_nights)
    train_vision(
        settings,
        train,
        held_out,
        args.out,
        networks,
        base=args.base,
        resume=args.resume,
        tensorboard=args.tensorboard,
    )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return run_vision("train-vision", __doc__, NETWORKS, argv)
