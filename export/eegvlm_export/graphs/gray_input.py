"""One plane instead of three, where that changes no number: planes of a grey picture are affine in another.

Plane c is (grey - mean_c) / std_c, so it is a_c * plane_0 + b_c with a_c = std_0 / std_c and
b_c = (mean_0 - mean_c) / std_c. A convolution without padding then is one over plane 0 with the kernel
sum_c a_c W_c and a bias of sum_c b_c sum(W_c). With padding it is not: padding is zero in every plane.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from eegvlm_rt.rendering.renderer import RenderSpec

__all__ = ["fold_planes", "reads_planes"]


class _GreyConvolution(nn.Module):
    def __init__(self, convolution: nn.Conv2d, spec: RenderSpec) -> None:
        super().__init__()
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in (spec.mean, spec.std))
        kernel = convolution.weight.detach().double()
        gain, offset = std[0] / std, (mean[0] - mean) / std
        bias = torch.einsum("ocij,c->o", kernel, offset)
        if convolution.bias is not None:
            bias = bias + convolution.bias.detach().double()
        self.weight = nn.Parameter(
            torch.einsum("ocij,c->oij", kernel, gain)[:, None].float(), requires_grad=False
        )
        self.bias = nn.Parameter(bias.float(), requires_grad=False)
        self.stride = convolution.stride

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(n, 3, H, W) -> what the convolution over three planes gives."""
        return nn.functional.conv2d(pixel_values[:, :1], self.weight, self.bias, stride=self.stride)


def fold_planes(tower: nn.Module, spec: RenderSpec) -> nn.Module:
    """A copy of the tower whose convolutions over three planes read the first, where they have no padding."""
    tower = copy.deepcopy(tower)
    for parent in list(tower.modules()):
        for name, child in list(parent.named_children()):
            if not isinstance(child, nn.Conv2d) or child.in_channels != len(spec.mean):
                continue
            plain = child.groups == 1 and child.dilation == (1, 1)
            if plain and child.padding in ((0, 0), "valid", 0):
                setattr(parent, name, _GreyConvolution(child, spec))
    return tower


def reads_planes(tower: nn.Module, planes: int) -> bool:
    """Whether a convolution of the tower still reads all `planes` of a picture."""
    return any(isinstance(child, nn.Conv2d) and child.in_channels == planes for child in tower.modules())
