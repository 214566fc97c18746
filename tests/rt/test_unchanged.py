"""What must not change by accident: bytes of a picture and of a journal's record, and nano's answers.

Where a change is meant, these figures change with `RENDERER_VERSION`, the journal's `VERSION` or the model.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import eegvlm_rt as rt
from eegvlm_rt.journal.frames import encode_body, genesis, kind_code, pack


def epochs() -> np.ndarray:
    """Slow waves, alpha, and theta with spindles, in whole µV: (3, 3000) at 100 Hz."""
    t = np.arange(3000) / 100
    slow = 80 * np.sin(2 * np.pi * 0.9 * t) + 8 * np.sin(2 * np.pi * 13 * t)
    alpha = 30 * np.sin(2 * np.pi * 10 * t) + 6 * np.sin(2 * np.pi * 31 * t)
    theta = 15 * np.sin(2 * np.pi * 5 * t) + np.where(t % 6 < 1, 12 * np.sin(2 * np.pi * 13.5 * t), 0)
    return np.round(np.stack([slow, alpha, theta])).astype(np.float32)


def test_pictures_are_drawn_to_the_same_bytes() -> None:
    digests = [hashlib.sha256(rt.render(x).tobytes()).hexdigest()[:16] for x in epochs()]
    assert digests == ["1d1e2493ea15ec4f", "aac338dbf50cabcc", "b2355a113b60e390"]


def test_a_record_of_the_journal_is_the_same_bytes() -> None:
    kind = kind_code("start")
    assert kind is not None
    _, digest = pack(0, kind, genesis(), encode_body({"channel": "Fpz", "sfreq": 256.0}))
    assert digest.hex()[:16] == "3b389f0a2a0e5aaa"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("head", {"N3": 0.9993, "W": 1.0, "N2": 0.7568}),
        ("direct", {"N3": 0.9935, "W": 0.9963, "N2": 0.7889}),
    ],
)
def test_nano_answers_as_it_did(mode: str, expected: dict[str, float]) -> None:
    stager = rt.Stager.load("nano", mode=mode)
    for x, (stage, probability) in zip(epochs(), expected.items(), strict=True):
        prediction = stager.predict_epoch(x, 100)
        assert prediction.stage is rt.Stage[stage]
        # Processors round differently; the shipped weights have 4 bits.
        assert prediction.probabilities[stage] == pytest.approx(probability, abs=0.02)
