"""Draws an EEG epoch as the picture that the model reads; what it shows stands in docs/rendering.md."""

from __future__ import annotations

from .renderer import RENDERER_VERSION, OutputName, RenderSpec, build_config, render, render_batch

__all__ = ["RENDERER_VERSION", "OutputName", "RenderSpec", "build_config", "render", "render_batch"]
