"""Grey planes to the network's input, on the training device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eegvlm_rt.rendering.renderer import RenderSpec

__all__ = ["Normalize", "render_spec"]


def render_spec(fields: dict[str, object] | None) -> RenderSpec:
    """The picture a configuration describes."""
    return RenderSpec() if fields is None else RenderSpec.from_dict(fields)


class Normalize(nn.Module):
    """uint8 (n, H, W) -> float32 (n, 3, H, W), (v / 255 - mean) / std as the runtime does."""

    scale: Tensor
    shift: Tensor

    def __init__(self, spec: RenderSpec) -> None:
        super().__init__()
        self.spec = spec
        mean = torch.tensor(spec.mean, dtype=torch.float32).view(1, 3, 1, 1)
        std = torch.tensor(spec.std, dtype=torch.float32).view(1, 3, 1, 1)
        self.register_buffer("scale", 1.0 / (255.0 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, grey: Tensor) -> Tensor:
        return grey[:, None].float() * self.scale + self.shift
