"""A bundle that carries `scoring`: the stager applies it, and a bundle without it answers as before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eegvlm_rt.errors import BundleError
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.stager import Stager
from eegvlm_rt.stages import STAGES
from tests.rt.calibration.test_calibration import SCORING
from tests.rt.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring") / "plain"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def scored(plain: Path) -> Path:
    folder = plain.parent / "scored"
    shutil.copytree(plain, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["scoring"] = SCORING.to_dict()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def night(rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(12000)) / np.maximum(np.arange(6001), 60) ** 0.8
    x = np.fft.irfft(spectrum, 12000)
    x *= 20.0 / x.std()
    x[6000:9000] = 60.0 * rng.standard_normal(3000)
    return x


@pytest.mark.parametrize("mode", ["head", "direct"])
def test_temperatures_change_confidence_and_no_stage(plain: Path, scored: Path, mode: str) -> None:
    x = night(np.random.default_rng(0))
    before = list(Stager.load(plain, mode=mode, threads=1).predict_recording(x, sfreq=100.0))
    after = list(Stager.load(scored, mode=mode, threads=1).predict_recording(x, sfreq=100.0))
    exponent = 1 / SCORING.temperature_of(before[0].mode)
    for a, b in zip(before, after, strict=True):
        assert a.stage is b.stage
        expected = np.array([a.probabilities[stage] for stage in STAGES]) ** exponent
        found = [b.probabilities[stage] for stage in STAGES]
        assert found == pytest.approx((expected / expected.sum()).tolist())
        assert a.ood_score is None


def test_a_foreign_epoch_is_unscorable_and_keeps_its_opinion(scored: Path) -> None:
    rows = list(
        Stager.load(scored, mode="head", threads=1).predict_recording(
            night(np.random.default_rng(0)), sfreq=100.0
        )
    )
    assert [row.outcome for row in rows] == [
        Outcome.SCORED,
        Outcome.SCORED,
        Outcome.UNSCORABLE,
        Outcome.SCORED,
    ]
    assert [row.ood_score > 1.0 for row in rows] == [False, False, True, False]
    assert rows[2].stage is not None


@pytest.mark.parametrize("how", ["causal", "viterbi", "cycles"])
def test_smoothing_is_a_step_of_its_own(scored: Path, how: str) -> None:
    stager = Stager.load(scored, mode="head", threads=1)
    x = night(np.random.default_rng(0))
    alone = list(stager.predict_recording(x, sfreq=100.0))
    rows = list(stager.predict_recording(x, sfreq=100.0, smooth=how))
    assert all(row.smoothed is None for row in alone)
    for a, b in zip(alone, rows, strict=True):
        assert (a.index, a.stage, a.probabilities) == (b.index, b.stage, b.probabilities)
        assert b.smoothed is not None
        assert sum(b.smoothed.values()) == pytest.approx(1.0)


def test_smoothing_needs_a_smoother(plain: Path) -> None:
    with pytest.raises(BundleError, match="no smoother"):
        Stager.load(plain, mode="head", threads=1).predict_recording(
            np.zeros(3000), sfreq=100.0, smooth="causal"
        )


def test_the_cycles_of_a_night_need_no_smoother(plain: Path) -> None:
    stager = Stager.load(plain, mode="head", threads=1)
    rows = list(stager.predict_recording(np.zeros(6000), sfreq=100.0, smooth="cycles"))
    assert [sum(row.smoothed.values()) for row in rows] == pytest.approx([1.0, 1.0])
