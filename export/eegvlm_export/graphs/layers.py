"""Pieces that both graphs are made of."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["joined"]


def joined(*linears: nn.Linear) -> nn.Linear:
    """One layer whose output is the outputs of `linears` side by side. All have a bias, or none has."""
    bias = linears[0].bias is not None
    layer = nn.Linear(linears[0].in_features, sum(part.out_features for part in linears), bias=bias)
    layer.weight = nn.Parameter(torch.cat([part.weight.detach() for part in linears]), requires_grad=False)
    if bias:
        layer.bias = nn.Parameter(torch.cat([part.bias.detach() for part in linears]), requires_grad=False)
    return layer
