"""Whether two ways of running a bundle answer alike, by stage, probabilities, text, and layer by layer."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import numpy as np

from eegvlm_rt.devices import DeviceArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.stager import Stager

__all__ = ["agreement", "by_layer", "same"]


def agreement(answers: Sequence[StagePrediction], expected: Sequence[StagePrediction]) -> dict[str, Any]:
    """Share of equal stages, differences of probabilities, shares of equal texts and of their equal
    characters."""
    shifts = [
        max(abs(a.probabilities[stage] - b.probabilities[stage]) for stage in a.probabilities)
        for a, b in zip(answers, expected, strict=True)
    ]
    result: dict[str, Any] = {
        "epochs": len(answers),
        "stages": float(np.mean([a.stage is b.stage for a, b in zip(answers, expected, strict=True)])),
        "largest_shift": float(np.max(shifts)),
        "mean_shift": float(np.mean(shifts)),
    }
    texts = [(a.rationale_text, b.rationale_text) for a, b in zip(answers, expected, strict=True)]
    if any(text for pair in texts for text in pair):
        result["texts"] = float(np.mean([a == b for a, b in texts]))
        likeness = [SequenceMatcher(None, a, b, autojunk=False).ratio() for a, b in texts]
        result["text_similarity"] = float(np.mean(likeness))
    return result


def same(first: Sequence[StagePrediction], second: Sequence[StagePrediction]) -> bool:
    """Whether a repetition gave the same to the last bit."""
    return all(
        (a.stage, a.probabilities, a.rationale_text) == (b.stage, b.probabilities, b.rationale_text)
        for a, b in zip(first, second, strict=True)
    )


def by_layer(other: Stager, expected: Stager, pictures: NDArray[np.float32]) -> dict[str, Any]:
    """Where differences begin: outputs of the tower for `pictures` (n, 3, H, W), and logits of the language
    model after the same visual tokens and five more tokens. Relative to the root mean square of what is
    expected.
    """
    ours, theirs = other._pipeline._load_tower()(pictures), expected._pipeline._load_tower()(pictures)
    result = {name: _off(getattr(ours, name), getattr(theirs, name)) for name in ("stage_logits", "high")}
    tokens = theirs.visual_tokens
    assert not isinstance(tokens, DeviceArray)
    assert isinstance(ours.visual_tokens, DeviceArray)
    result["visual_tokens"] = _off(ours.visual_tokens.numpy(), tokens)
    logits = []
    for stager in (other, expected):
        lm = stager._pipeline.load_decoder()._lm
        cache = lm.extend(np.ascontiguousarray(tokens[:1]))
        logits.append(lm.step(lm.embed([5, 6, 7, 8, 9]), cache)[0])
    return result | {"logits": _off(*logits)}


def _off(values: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    scale = float(np.sqrt(np.mean(np.square(expected, dtype=np.float64))))
    return float(np.sqrt(np.mean(np.square(values - expected, dtype=np.float64)))) / scale
