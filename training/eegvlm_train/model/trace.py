"""The visual enhancement module of our own sizes: it reads the picture as the graph of a function of time.

A picture of an EEG is a curve y(t), folded into rows. A square patch sees a piece of that curve and of its
neighbors above and below; a column as tall as a row sees the whole value of the curve at its time. So the
stem is one convolution as tall as a row and `columns` wide, the rows are joined to one sequence in time, and
one-dimensional residual blocks read on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

__all__ = ["TraceConfig", "TraceReader"]


class TraceConfig(PretrainedConfig):
    """Shape of a trace reader.

    The stem makes `stem_size` channels of every `columns` pixel columns of a row; stage i then divides the
    number of steps by `strides[i]` and has `hidden_sizes[i]` channels and `depths[i]` blocks.

    Raises ValueError where rows, columns or strides do not divide the picture, or lengths differ.
    """

    model_type = "eegvlm_trace"

    def __init__(
        self,
        rows: int = 6,
        image_size: int = 336,
        num_channels: int = 3,
        columns: int = 2,
        stem_size: int = 32,
        hidden_sizes: Sequence[int] = (32, 48, 64, 96),
        strides: Sequence[int] = (2, 3, 2, 2),
        depths: Sequence[int] = (1, 1, 1, 2),
        kernel_size: int = 7,
        **kwargs: Any,
    ) -> None:
        self.rows, self.image_size, self.num_channels = rows, image_size, num_channels
        self.columns, self.stem_size, self.kernel_size = columns, stem_size, kernel_size
        self.hidden_sizes, self.strides, self.depths = list(hidden_sizes), list(strides), list(depths)
        if not len(self.hidden_sizes) == len(self.strides) == len(self.depths):
            raise ValueError(
                f"hidden_sizes, strides, depths: {hidden_sizes}, {strides}, {depths}; one for each stage"
            )
        if image_size % rows or image_size % columns:
            raise ValueError(f"image_size: {image_size}; {rows} rows and {columns} columns must divide it")
        steps = rows * image_size // columns
        for stride in self.strides:
            if steps % stride:
                raise ValueError(f"strides: {list(strides)}; {steps} steps do not divide by {stride}")
            steps //= stride
        # What was saved beside the shape follows from it.
        super().__init__(**{name: value for name, value in kwargs.items() if name != "steps"})
        self.steps = steps

    @property
    def pooled_size(self) -> int:
        """Length of the picture's pooled feature: mean and maximum of every channel over time."""
        return int(2 * self.hidden_sizes[-1])


class _Convolution(nn.Sequential):
    """Convolution over time and its normalization. Time is the second axis of a plane one pixel tall: ONNX
    Runtime's kernels for planes are 2.5 times as fast as those for sequences."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, (1, size), stride=(1, stride), padding=(0, size // 2), bias=False),
            nn.BatchNorm2d(outputs),
        )


class _Block(nn.Module):
    """One step down in time or up in channels, where the shapes ask for it, then one residual convolution."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        changes = stride > 1 or inputs != outputs
        self.down = _Convolution(inputs, outputs, size, stride) if changes else None
        self.residual = _Convolution(outputs, outputs, size)

    def forward(self, x: Tensor) -> Tensor:
        if self.down is not None:
            x = torch.relu(self.down(x))
        return torch.relu(x + self.residual(x))


class TraceReader(nn.Module):
    """Pictures (n, channels, H, W) -> features (n, C, T) in time, T = `config.steps` over the 30 s."""

    def __init__(self, config: TraceConfig) -> None:
        super().__init__()
        shape = (config.image_size // config.rows, config.columns)
        self.stem = nn.Sequential(
            nn.Conv2d(config.num_channels, config.stem_size, shape, stride=shape, bias=False),
            nn.BatchNorm2d(config.stem_size),
        )
        blocks: list[nn.Module] = []
        width = config.stem_size
        for size, stride, depth in zip(config.hidden_sizes, config.strides, config.depths, strict=True):
            blocks.append(_Block(width, size, config.kernel_size, stride))
            blocks.extend(_Block(size, size, config.kernel_size) for _ in range(depth - 1))
            width = size
        self.blocks = nn.Sequential(*blocks)

    def forward(self, pixel_values: Tensor) -> Tensor:
        # (n, C, rows, columns): the columns of a row follow each other in time, and so do the rows.
        columns = torch.relu(self.stem(pixel_values))
        sequence = columns.flatten(2)[:, :, None]
        features: Tensor = self.blocks(sequence)
        return features[:, :, 0]
