"""The night memory: what the epochs so far say about this one.

Scorers judge an epoch in its night. A small recurrent network, causal, with one state a night, reads what the
enhancement module read of each epoch and gives a second opinion on its stage, and one token for the language
model.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["NightMemory"]


class NightMemory(nn.Module):
    """`members` gated recurrent units (Cho et al. 2014) of `size` each, side by side; their opinions are
    averaged.

    The members see the same and differ in their starting weights, as an ensemble does; a state holds all of
    them, S = members * size numbers. An epoch without a signal is told by `present` 0: time has passed.
    """

    def __init__(self, features: int, num_stages: int, size: int, members: int) -> None:
        super().__init__()
        self.size, self.members = size, members
        self.norm = nn.LayerNorm(features)
        self.units = nn.ModuleList(
            nn.GRU(features + num_stages + 1, size, batch_first=True) for _ in range(members)
        )
        self.heads = nn.ModuleList(nn.Linear(size + num_stages, num_stages) for _ in range(members))

    @property
    def state_size(self) -> int:
        """S: numbers in a state."""
        return self.members * self.size

    def inputs(self, features: Tensor, stage_logits: Tensor, present: Tensor) -> Tensor:
        """(..., F), (..., 5), (..., 1) -> (..., F + 6): what a member reads of an epoch; zeros where it is
        absent."""
        view = torch.cat([self.norm(features), stage_logits.log_softmax(-1)], dim=-1)
        return torch.cat([view * present, present], dim=-1)

    def forward(
        self, features: Tensor, stage_logits: Tensor, present: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One epoch of n nights: log-probabilities (n, 5) with the night in mind, and the next state (n, S).

        The members are computed together; what they give is what `read_nights` gives.
        """
        weights = [torch.stack([getattr(unit, name) for unit in self.units]) for name in _NAMES]
        input_weight, recurrent_weight, input_bias, recurrent_bias = weights
        hidden = state.view(-1, self.members, self.size).transpose(0, 1)
        sums = self.inputs(features, stage_logits, present) @ input_weight.mT + input_bias[:, None]
        recalled = hidden @ recurrent_weight.mT + recurrent_bias[:, None]
        # The gates of Cho et al. in PyTorch's order: reset, update, new.
        reset_read, update_read, new_read = sums.chunk(3, dim=-1)
        reset_recalled, update_recalled, new_recalled = recalled.chunk(3, dim=-1)
        update = torch.sigmoid(update_read + update_recalled)
        new = torch.tanh(new_read + torch.sigmoid(reset_read + reset_recalled) * new_recalled)
        hidden = (1.0 - update) * new + update * hidden
        own = _own_opinion(stage_logits, present)
        weight = torch.stack([cast("Tensor", head.weight) for head in self.heads])
        bias = torch.stack([cast("Tensor", head.bias) for head in self.heads])
        both = torch.cat([hidden, own.expand(self.members, -1, -1)], dim=-1)
        opinions = own + both @ weight.mT + bias[:, None]
        return mean_opinion(opinions), hidden.transpose(0, 1).reshape(-1, self.state_size)

    def read_nights(
        self, features: Tensor, stage_logits: Tensor, present: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """n nights of T epochs: features (n, T, F), stage logits (n, T, 5), present (n, T, 1).

        Returns each member's stage logits (members, n, T, 5), and the states (n, T, S) after each epoch.
        """
        inputs = self.inputs(features, stage_logits, present)
        own = _own_opinion(stage_logits, present)
        starts = [None] * self.members if state is None else state.split(self.size, dim=-1)
        opinions, states = [], []
        for unit, head, start in zip(self.units, self.heads, starts, strict=True):
            hidden, _ = unit(inputs, None if start is None else start[None].contiguous())
            states.append(hidden)
            opinions.append(own + head(torch.cat([hidden, own], dim=-1)))
        return torch.stack(opinions), torch.cat(states, dim=-1)


_NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def _own_opinion(stage_logits: Tensor, present: Tensor) -> Tensor:
    """The epoch's own log-probabilities; zeros, which say nothing, where it is absent."""
    return stage_logits.log_softmax(-1) * present


def mean_opinion(opinions: Tensor) -> Tensor:
    """Log-probabilities (..., 5) of the mean of the members' opinions (members, ..., 5)."""
    return opinions.softmax(-1).mean(0).clamp(min=1e-6).log()
