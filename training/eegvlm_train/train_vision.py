"""Step 1: both vision networks learn to stage and to perceive.

`python -m eegvlm_train train-vision DATA OUT`: the enhancement module learns the teacher's stages and the
measured findings; the CLIP tower learns the same from its patches and the band powers under each patch
column.
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

from .arguments import add_run_arguments, prepare_run, settings_from
from .data.loading import Loader, VisionBatch, VisionBatches, draw_batches, moved, sweep_batches
from .data.nightset import NightSet, load_nights
from .imaging import Normalize, render_spec
from .loop import Task, fit, parameter_groups
from .metrics import score
from .model.initialization import fan_in_initialize
from .model.modeling import EegVlmForConditionalGeneration, low_level_features
from .model.perception import Perceived, PerceptionHeads, findings_loss, local_loss, soft_cross_entropy
from .model.presets import preset
from .settings import VisionSettings

__all__ = ["VisionStep", "main", "validate_vision"]


class VisionStep(nn.Module):
    """Losses of one batch of pictures."""

    def __init__(self, model: EegVlmForConditionalGeneration, settings: VisionSettings) -> None:
        super().__init__()
        spec = render_spec(model.config.render)
        self.settings = settings
        self.normalize = Normalize(spec)
        self.vision_tower, self.enhancement = model.vision_tower, model.enhancement
        self.heads = PerceptionHeads(model.config, spec.rows)
        self.layers_used = model.config.vision_layers_used

    def opinions(self, grey: Tensor) -> tuple[Tensor, Perceived]:
        """Stage logits of the enhancement module, and what the training heads see in both networks."""
        pixels = self.normalize(grey)
        logits, high, feature_map = self.enhancement.look(pixels)
        low = low_level_features(self.vision_tower, pixels, self.layers_used)
        return logits, self.heads(low, high, feature_map)

    def losses(self, logits: Tensor, seen: Perceived, batch: VisionBatch) -> dict[str, Tensor]:
        losses = {
            "head": soft_cross_entropy(logits, batch.teacher),
            "head_findings": findings_loss(seen.high_findings, batch.findings, batch.absolute),
            "head_local": local_loss(seen.high_local, batch.signal_uv),
            "tower": soft_cross_entropy(seen.stage_logits, batch.teacher),
            "tower_findings": findings_loss(seen.tower_findings, batch.findings, batch.absolute),
            "tower_local": local_loss(seen.tower_local, batch.signal_uv),
        }
        s = self.settings
        losses["loss"] = (
            losses["head"]
            + s.findings_weight * losses["head_findings"]
            + s.local_weight * losses["head_local"]
            + s.tower_weight * (losses["tower"] + s.findings_weight * losses["tower_findings"])
            + s.local_weight * losses["tower_local"]
        )
        return losses

    def forward(self, batch: VisionBatch) -> dict[str, Tensor]:
        return self.losses(*self.opinions(batch.grey), batch)


@torch.no_grad()
def validate_vision(
    module: nn.Module, nights: NightSet, index: NDArray[np.int64], batch_size: int, workers: int
) -> dict[str, float]:
    """Losses, and agreement of both networks' stages with the teacher's, on epochs `index` as they are."""
    assert isinstance(module, VisionStep)
    module.eval()
    device = next(module.parameters()).device
    make = VisionBatches(nights, module.normalize.spec)
    sums: dict[str, float] = {}
    head, tower = [], []
    for raw in Loader(workers, (0,))(make, sweep_batches(index, batch_size)):
        batch = moved(raw, device)
        logits, seen = module.opinions(batch.grey)
        for name, value in module.losses(logits, seen, batch).items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(raw.grey)
        head.append(logits.float().softmax(-1).cpu().numpy())
        tower.append(seen.stage_logits.float().softmax(-1).cpu().numpy())
    figures = {name: value / len(index) for name, value in sums.items()}
    truth = nights.teacher[index].argmax(1)
    for name, probabilities in (("head", np.concatenate(head)), ("tower", np.concatenate(tower))):
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
    """`out` becomes a checkpoint of the whole model with the trained vision networks."""
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


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train train-vision", description=__doc__)
    add_run_arguments(parser)
    args = parser.parse_args(argv)
    settings = settings_from(args, VisionSettings)
    prepare_run(settings.seed, args.threads)
    train = load_nights(args.data, "train", max_nights=args.max_nights)
    held_out = load_nights(args.data, "validation", max_nights=args.max_nights)
    model = EegVlmForConditionalGeneration(preset(settings.preset))
    model.freeze_unused()
    fan_in_initialize(model.enhancement)
    step = VisionStep(model, settings)
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
    fit(task, settings, args.out, resume=args.resume, tensorboard=args.tensorboard)
    return 0
