"""Temperatures, smoothing over the night, signals that are no sleep EEG, and their place in the manifest."""

from __future__ import annotations

import json
from itertools import pairwise, product

import numpy as np
import pytest

from eegvlm_rt.calibration import (
    CausalSmoother,
    OutlierModel,
    Scoring,
    Smoother,
    signal_features,
    tempered,
    viterbi,
)
from eegvlm_rt.calibration.outliers import FEATURES
from eegvlm_rt.calibration.recording import smoothed
from eegvlm_rt.errors import BundleError, InputError
from eegvlm_rt.prompt import Mode
from eegvlm_rt.stages import STAGES, Stage

STAY = 0.8
SMOOTHER = Smoother(
    transitions=tuple(tuple(STAY if i == j else (1 - STAY) / 4 for j in range(5)) for i in range(5)),
    prior=(0.2,) * 5,
    initial=(0.6, 0.1, 0.1, 0.1, 0.1),
)
RANGES = {
    "log_amplitude": (0.8, 2.8),
    "log_largest": (0.8, 3.1),
    "tilt": (0.3, 9.0),
    "mains_ratio": (-12.0, -0.5),
}
SCORING = Scoring({Mode.HEAD: 1.5, Mode.DIRECT: 0.5}, SMOOTHER, OutlierModel(RANGES))


def answer(stage: Stage, p: float = 0.6) -> dict[Stage, float]:
    return {other: p if other is stage else (1 - p) / 4 for other in STAGES}


def test_a_temperature_moves_confidence_and_never_the_order() -> None:
    plain = {Stage.W: 0.5, Stage.N1: 0.2, Stage.N2: 0.15, Stage.N3: 0.1, Stage.R: 0.05}
    cool, hot = tempered(plain, 0.5), tempered(plain, 2.0)
    for found in (cool, hot):
        assert sum(found.values()) == pytest.approx(1.0)
        assert sorted(found, key=found.__getitem__) == sorted(plain, key=plain.__getitem__)
    assert hot[Stage.W] < plain[Stage.W] < cool[Stage.W]
    assert tempered(plain, 1.0) == plain
    assert cool[Stage.W] / cool[Stage.N1] == pytest.approx((0.5 / 0.2) ** 2)


def test_the_forward_step_is_bayes_rule() -> None:
    first = CausalSmoother(SMOOTHER).update(answer(Stage.N2))
    predicted = np.array(SMOOTHER.initial) @ np.array(SMOOTHER.transitions)
    posterior = predicted * np.array([answer(Stage.N2)[stage] for stage in STAGES])
    assert list(first.values()) == pytest.approx((posterior / posterior.sum()).tolist())


def test_the_training_prior_is_divided_out() -> None:
    prior = (0.1, 0.1, 0.6, 0.1, 0.1)
    flat = Smoother(((0.2,) * 5,) * 5, prior, (0.2,) * 5)
    found = CausalSmoother(flat).update(dict(zip(STAGES, prior, strict=True)))
    assert list(found.values()) == pytest.approx([0.2] * 5)


def test_a_lonely_epoch_is_outvoted_and_a_gap_is_a_step_without_evidence() -> None:
    running = CausalSmoother(SMOOTHER)
    for _ in range(6):
        steady = running.update(answer(Stage.N2))
    lonely = running.update(answer(Stage.R, 0.4))
    assert max(lonely, key=lonely.__getitem__) is Stage.N2
    before = steady[Stage.N2]
    gap = running.update(None)
    assert sum(gap.values()) == pytest.approx(1.0)
    for _ in range(50):
        gap = running.update(None)
    assert gap[Stage.N2] == pytest.approx(0.2, abs=1e-6)
    assert before > 0.5
    other = CausalSmoother(SMOOTHER)
    other.update(answer(Stage.N3))
    several = other.update(answer(Stage.N3), epochs=3)
    third = CausalSmoother(SMOOTHER)
    for evidence in (answer(Stage.N3), None, None):
        third.update(evidence)
    assert several == pytest.approx(third.update(answer(Stage.N3)))
    other.reset()
    assert other.update(answer(Stage.W)) == CausalSmoother(SMOOTHER).update(answer(Stage.W))


def test_viterbi_finds_the_most_probable_course() -> None:
    answers = [answer(Stage.W), answer(Stage.N2, 0.5), None, answer(Stage.N2, 0.45), answer(Stage.R, 0.9)]

    def weight(course: tuple[int, ...]) -> float:
        start = np.array(SMOOTHER.initial) @ np.array(SMOOTHER.transitions)
        total = np.log(start[course[0]])
        for a, b in pairwise(course):
            total += np.log(SMOOTHER.transitions[a][b])
        return float(
            total + sum(np.log(SMOOTHER.likelihood(x)[s]) for x, s in zip(answers, course, strict=True))
        )

    best = max(weight(course) for course in product(range(5), repeat=5))
    found = viterbi(SMOOTHER, answers)
    assert weight(tuple(int(stage) for stage in found)) == pytest.approx(best)
    assert viterbi(SMOOTHER, []) == []


def test_impossible_answers_still_give_probabilities() -> None:
    running = CausalSmoother(SMOOTHER)
    for stage in (Stage.W, Stage.N3, Stage.R):
        found = running.update(answer(stage, 1.0))
        assert sum(found.values()) == pytest.approx(1.0)
        assert all(np.isfinite(list(found.values())))


def trace(kind: str, rng: np.random.Generator) -> np.ndarray:
    t = np.arange(3000) / 100.0
    noise = rng.standard_normal(3000)
    match kind:
        case "flat":
            return 0.01 * noise
        case "rail":
            return np.where(np.sin(2 * np.pi * 0.3 * t) > 0, 3000.0, -3000.0)
        case "mains":
            return 40.0 * np.sin(2 * np.pi * 49.0 * t) + noise
        case "white":
            return 40.0 * noise
        case _:
            spectrum = np.fft.rfft(noise) / np.maximum(np.arange(1501), 15) ** 0.8
            pink = np.fft.irfft(spectrum, 3000)
            return 20.0 * pink / pink.std()


@pytest.mark.parametrize("kind", ["flat", "rail", "mains", "white"])
def test_what_is_no_eeg_scores_above_one(kind: str) -> None:
    assert OutlierModel(RANGES).scores(trace(kind, np.random.default_rng(0))[None])[0] > 1.0


def test_an_ordinary_trace_scores_below_one_also_with_a_gap() -> None:
    x = trace("pink", np.random.default_rng(1))
    holed = x.copy()
    holed[500:700] = np.nan
    scores = OutlierModel(RANGES).scores(np.stack([x, holed, -x]))
    assert (scores < 1.0).all()
    assert scores[0] == pytest.approx(scores[2])
    assert OutlierModel(RANGES).scores(np.full((1, 3000), np.nan))[0] == np.inf
    assert signal_features(x[None]).shape == (1, len(FEATURES))


def test_the_manifest_carries_numbers_and_lists_only() -> None:
    plain = json.loads(json.dumps(SCORING.to_dict(), allow_nan=False))
    assert Scoring.from_dict(plain) == SCORING
    assert Scoring.from_dict({}) == Scoring()
    assert Scoring().temperature_of(Mode.COT) == 1.0


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("temperature", "head"), 0, "scoring.temperature.head"),
        (("temperature", "head"), "1", "scoring.temperature.head"),
        (("temperature", "loud"), 1.0, "scoring.temperature"),
        (("smoother", "evidence"), 2.0, "scoring.smoother.evidence"),
        (("smoother", "prior"), [0.5] * 5, "scoring.smoother.prior"),
        (("smoother", "transitions"), [[0.2] * 5] * 4, "scoring.smoother.transitions"),
        (("ood", "log_amplitude"), [1.0, 1.0], "scoring.ood.log_amplitude"),
        (("ood", "nose"), [0.0, 1.0], "scoring.ood"),
        (("more",), {}, "scoring"),
        (("temperature",), [1.0], "scoring.temperature"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(path: tuple[str, ...], value: object, field: str) -> None:
    plain = json.loads(json.dumps(SCORING.to_dict()))
    inner = plain
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(BundleError) as caught:
        Scoring.from_dict(plain)
    assert caught.value.field == field


def test_an_unknown_way_of_smoothing_and_a_bundle_without_a_smoother_are_refused() -> None:
    with pytest.raises(InputError, match="use one of causal, viterbi, cycles"):
        smoothed([], SCORING, "loudly")
    with pytest.raises(BundleError, match="no smoother"):
        smoothed([], Scoring(), "causal")
