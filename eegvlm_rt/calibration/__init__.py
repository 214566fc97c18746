"""What follows the model: calibrated probabilities, a smoother over the night, a test for foreign signals.

The parameters stand in the bundle's manifest under `scoring`; a bundle without them is used as it answers.
"""

from __future__ import annotations

from .cycles import CycleModel, cycle_model
from .outliers import OutlierModel, signal_features
from .parameters import Scoring
from .smoothing import CausalSmoother, Smoother, Smoothing, viterbi
from .temperature import tempered

__all__ = [
    "CausalSmoother",
    "CycleModel",
    "OutlierModel",
    "Scoring",
    "Smoother",
    "Smoothing",
    "cycle_model",
    "signal_features",
    "tempered",
    "viterbi",
]
