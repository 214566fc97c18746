"""One night memory of several: `python -m eegvlm_train join-memories BASE OTHER... --out OUT`.

Memories that learned from other nights, seeds or opinions make other mistakes, and their mean makes fewer.
OUT is BASE with the members of every memory side by side. Its language model reads of them what it read
before: the states of BASE's own members, and the opinion on the stage, which is now the mean of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from eegvlm_rt.files import claim_folder

from ..outputs import add_overwrite
from .memory import NightMemory
from .modeling import EegVlmForConditionalGeneration
from .processing import copy_processor

__all__ = ["join_memories", "joined", "main"]


@torch.no_grad()
def joined(memories: Sequence[NightMemory]) -> NightMemory:
    """A memory with the members of all, in order: each gives the opinions that it gave.

    Raises ValueError for memories of other sizes than the first.
    """
    first = memories[0]
    features = int(first.norm.normalized_shape[0])
    stages = len(cast("Tensor", first.heads[0].bias))
    for memory in memories:
        if (memory.size, memory.norm.normalized_shape[0]) != (first.size, features):
            raise ValueError(f"memories: units of {memory.size}; the first has {first.size}")
    whole = NightMemory(features, stages, first.size, sum(memory.members for memory in memories))
    # The members of a memory share one norm. Those of two memories do not, so each takes over its own.
    nn.init.ones_(whole.norm.weight)
    nn.init.zeros_(whole.norm.bias)
    place = 0
    for memory in memories:
        for unit, head in zip(memory.units, memory.heads, strict=True):
            whole.units[place].load_state_dict(_with_norm(unit, memory.norm))
            whole.heads[place].load_state_dict(head.state_dict())
            place += 1
    return whole


def _with_norm(unit: nn.Module, norm: nn.LayerNorm) -> dict[str, Tensor]:
    """The weights of a member that reads features without the scale and shift of `norm`.

    The shift came with every epoch that has a signal, and so does the last input, which says that it has one.
    """
    weights = dict(unit.state_dict())
    read = weights["weight_ih_l0"].clone()
    features = len(norm.weight)
    read[:, -1] += read[:, :features] @ norm.bias
    read[:, :features] *= norm.weight
    return weights | {"weight_ih_l0": read}


@torch.no_grad()
def join_memories(
    base: EegVlmForConditionalGeneration, others: Sequence[EegVlmForConditionalGeneration]
) -> EegVlmForConditionalGeneration:
    """`base` with the members of the others' memories beside its own; it is changed.

    Raises ValueError for a model without a memory, or with another enhancement module than `base`.
    """
    for number, model in enumerate((base, *others)):
        if not model.config.memory_size:
            raise ValueError(f"memories: number {number} has no memory; give checkpoints of train-memory")
        if not _same(base.enhancement, model.enhancement):
            raise ValueError(
                f"memories: number {number} reads another enhancement module; join those trained on one"
            )
    own = base.memory.state_size
    base.memory = joined([model.memory for model in (base, *others)])
    base.config.memory_members = base.memory.members
    token = base.memory_token
    wide = nn.Linear(base.memory.state_size + base.config.num_stages, token.out_features)
    nn.init.zeros_(wide.weight)
    wide.weight[:, :own] = token.weight[:, :own]
    wide.weight[:, base.memory.state_size :] = token.weight[:, own:]
    wide.bias.copy_(token.bias)
    base.memory_token = wide
    return base


def _same(one: nn.Module, other: nn.Module) -> bool:
    others = other.state_dict()
    return all(
        name in others and torch.equal(value, others[name]) for name, value in one.state_dict().items()
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train join-memories", description=__doc__)
    parser.add_argument("base", type=Path, help="checkpoint whose language model is kept")
    parser.add_argument("others", type=Path, nargs="+", help="checkpoints of train-memory on the same vision")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    claim_folder(args.out, "join-memories", inputs=[args.base, *args.others], overwrite=args.overwrite)
    models = [
        EegVlmForConditionalGeneration.from_pretrained(path, dtype=torch.float32).eval()
        for path in (args.base, *args.others)
    ]
    join_memories(models[0], models[1:]).save_pretrained(args.out)
    copy_processor(args.base, args.out)
    print(args.out)
    return 0
