"""EEG-VLM: configuration, network, processor and the three sizes."""

from .configuration import EegVlmConfig
from .modeling import EegVlmForConditionalGeneration, TowerOutputs, VisualEnhancementModule
from .presets import PRESETS, preset
from .processing import EegVlmProcessor

__all__ = [
    "PRESETS",
    "EegVlmConfig",
    "EegVlmForConditionalGeneration",
    "EegVlmProcessor",
    "TowerOutputs",
    "VisualEnhancementModule",
    "preset",
]
