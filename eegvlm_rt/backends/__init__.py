"""Inference backends: two protocols, and ONNX Runtime behind them."""

from __future__ import annotations

from .base import HeadOutput, KVCache, LanguageModel, MemoryNetwork, StageHead, TowerOutput, VisionTower
from .loading import load_head, load_language_model, load_memory, load_tower

__all__ = [
    "HeadOutput",
    "KVCache",
    "LanguageModel",
    "MemoryNetwork",
    "StageHead",
    "TowerOutput",
    "VisionTower",
    "load_head",
    "load_language_model",
    "load_memory",
    "load_tower",
]
