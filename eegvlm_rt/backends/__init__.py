"""Inference backends: two protocols, and ONNX Runtime behind them."""

from __future__ import annotations

from .base import KVCache, LanguageModel, TowerOutput, VisionTower
from .loading import load_language_model, load_tower

__all__ = ["KVCache", "LanguageModel", "TowerOutput", "VisionTower", "load_language_model", "load_tower"]
