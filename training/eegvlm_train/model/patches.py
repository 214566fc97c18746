"""CLIP's patch embedding for patches that are no squares."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig

__all__ = ["RowPatchEmbeddings"]


class RowPatchEmbeddings(nn.Module):
    """As CLIP's own (Radford et al. 2021), with patches of `shape` (height, width) pixels: a class token,
    then the patches row by row, which is their order in time where a patch is as tall as a row of the trace.
    """

    def __init__(self, config: CLIPVisionConfig, shape: tuple[int, int], num_patches: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.class_embedding = nn.Parameter(torch.randn(size))
        self.patch_embedding = nn.Conv2d(config.num_channels, size, shape, stride=shape, bias=False)
        self.position_embedding = nn.Embedding(num_patches + 1, size)

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        """(n, channels, H, W) -> (n, 1 + P, Dv). Raises ValueError for pictures of another size."""
        if interpolate_pos_encoding:
            raise ValueError("interpolate_pos_encoding: True; these patches have places for one picture size")
        patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        embeddings: Tensor = torch.cat([first, patches], dim=1) + self.position_embedding.weight
        return embeddings
