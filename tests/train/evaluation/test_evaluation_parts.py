"""The parts of an evaluation: calibration, intervals, smoothing, claims, disturbances, tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from eegvlm_train.evaluation.answers import Answers, Reasoned, Reasons, reason_answers
from eegvlm_train.evaluation.claims import claim_figures, detection, expert_figures, variety
from eegvlm_train.evaluation.confidence import (
    bootstrap_by_subject,
    calibration,
    coverage_curve,
    fit_temperature,
    soft_calibration_error,
)
from eegvlm_train.evaluation.epoch_sets import EvaluationSet
from eegvlm_train.evaluation.markdown import fill
from eegvlm_train.evaluation.night_smoothing import smooth_answers
from eegvlm_train.evaluation.not_sleep_eeg import FAULTS, fault_epochs, fit_outliers
from eegvlm_train.evaluation.peers import peer_answers
from eegvlm_train.evaluation.recordings import ScoredRecording, load_recordings, stage_rows
from eegvlm_train.evaluation.robustness import DISTURBANCES, robustness
from numpy.typing import NDArray

from eegvlm_rt.calibration import Scoring, Smoother, Smoothing
from eegvlm_rt.calibration.temperature import temper
from eegvlm_rt.findings import measure_batch
from eegvlm_rt.prompt import Mode
from eegvlm_rt.rationale import compose, parse
from eegvlm_rt.stages import STAGES, Stage


def pink(n: int, samples: int = 3000, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((n, samples)))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1]), 15)) ** 1.6
    signal = np.fft.irfft(spectrum, n=samples)
    return (18.0 * signal / signal.std()).astype(np.float32)


def recording(name: str = "dreams/a", epochs: int = 12, sfreq: float = 100.0) -> ScoredRecording:
    stages = np.arange(epochs) % 5
    stages[1] = -1
    samples = pink(1, round(epochs * 30 * sfreq))[0]
    marks = (np.array([[2.0, 1.0], [61.0, 0.8]]), np.array([[62.0, 0.5]]))
    ones = np.ones(epochs, dtype=np.float32)
    return ScoredRecording(name, name, samples, sfreq, stages, stage_rows(stages), ones, None, marks)


@dataclass
class ByAmplitude:
    """Calls an epoch N3 where it is large, else W; its probabilities are honest."""

    scoring: Scoring = field(default_factory=Scoring)
    limit_uv: float = 25.0

    def stage(self, x_uv: NDArray[np.float32], mode: Mode) -> Answers:
        assert mode is not Mode.COT
        large = np.nanstd(x_uv, axis=1) > self.limit_uv
        stages = np.where(large, 3, 0).astype(np.int64)
        return Answers(stages, temper(stage_rows(stages), 5.0))

    def reason(self, x_uv: NDArray[np.float32], *, constrained: bool) -> Reasons:
        assert constrained
        return texts_about(x_uv)


def texts_about(x_uv: NDArray[np.float32]) -> Reasons:
    one = {stage: float(stage is Stage.N2) for stage in STAGES}
    return reason_answers(
        [Reasoned(parse(compose(f, Stage.N2, Stage.N1)), one, 70) for f in measure_batch(x_uv)]
    )


def drawn(n: int, temperature: float, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Stages drawn from probabilities, which are then made too sharp or too flat."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.full(5, 0.6), n)
    stages = (rng.random((n, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(0, 4)
    return stages, temper(true, 1.0 / temperature)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_fitted_temperature_undoes_a_wrong_one(temperature: float) -> None:
    stages, answered = drawn(6000, temperature)
    fitted = fit_temperature(answered, stages)
    assert fitted == pytest.approx(temperature, rel=0.1)
    assert calibration(stages, stage_rows(stages), temper(answered, fitted))["ece"] < 0.03


def test_against_probabilities_an_answer_is_right_by_its_share() -> None:
    soft = np.tile([0.7, 0.3, 0.0, 0.0, 0.0], (50, 1))
    assert soft_calibration_error(soft, soft) == pytest.approx(0.0)
    assert soft_calibration_error(soft, stage_rows(np.zeros(50, dtype=np.int64))) == pytest.approx(0.3)


def test_abstaining_when_unsure_helps_and_invalid_answers_go_first() -> None:
    stages, answered = drawn(2000, 1.0)
    said = answered.argmax(axis=1)
    said[:100] = 5
    curve = coverage_curve(stages, said, answered)
    assert [row["coverage"] for row in curve] == [1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert curve[0]["accuracy"] < curve[1]["accuracy"] < curve[-1]["accuracy"]


def test_intervals_are_over_subjects() -> None:
    reference = np.tile([0, 1, 2, 3, 4], 40)
    said = reference.copy()
    said[:100] = 2
    subjects = np.repeat(["a", "b", "c", "d"], 50)
    found = bootstrap_by_subject(reference, said, subjects)
    low, high = found["kappa"]
    assert low < 0.5 < high
    assert found["subjects"] == 4
    assert bootstrap_by_subject(reference[:50], said[:50], subjects[:50])["kappa"] is None


def test_smoothing_runs_within_a_recording_and_over_its_holes() -> None:
    stay = Smoother(
        tuple(tuple(0.9 if i == j else 0.025 for j in range(5)) for i in range(5)), (0.2,) * 5, (0.2,) * 5
    )
    data = EvaluationSet.of([recording("dreams/a"), recording("dreams/b")])
    stages = np.where(data.recordings == "dreams/a", 2, 4)
    stages[4] = 0
    answers = Answers(stages, temper(stage_rows(stages), 20.0))
    none = np.zeros(len(data), dtype=bool)
    for how in (Smoothing.CAUSAL, Smoothing.VITERBI):
        found = smooth_answers(data, answers, stay, how, none)
        assert found.stages.tolist() == np.where(data.recordings == "dreams/a", 2, 4).tolist()
        assert np.allclose(found.probabilities.sum(axis=1), 1.0)
    shuffled = np.random.default_rng(0).permutation(len(data))
    again = smooth_answers(
        data.subset(shuffled), Answers(stages[shuffled], answers.probabilities[shuffled]), stay, how, none
    )
    assert again.stages.tolist() == found.stages[shuffled].tolist()


def test_a_claim_is_a_detector() -> None:
    found = detection(np.array([True, True, False, False]), np.array([True, False, True, False]))
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert detection(np.zeros(2, bool), np.zeros(2, bool))["precision"] is None


def test_true_texts_are_perfect_detectors_and_texts_of_others_are_not() -> None:
    x = np.concatenate([pink(8), 3.0 * pink(8, seed=1)])
    findings = measure_batch(x)
    good = claim_figures(texts_about(x), findings)
    assert all(one["recall"] in (None, 1.0) for one in good["detections"].values())
    assert good["contradicted"] == {}
    swapped = claim_figures(texts_about(np.roll(x, 8, axis=0)), findings)
    assert swapped["errors"]["amplitude_share"] > good["errors"]["amplitude_share"]
    varied = variety(texts_about(x), findings)
    assert varied["own_supported"] == 1.0 > varied["other_supported"]
    assert varied["slots_changed"] > 0.0
    assert 1 < varied["distinct"] <= varied["drawn"] == 16
    assert claim_figures(reason_answers([Reasoned(None, None, 5)]), findings[:1]) == {"texts": 0}


def test_spindle_claims_are_held_against_the_experts_marks() -> None:
    one = recording()
    data = EvaluationSet.of([one])
    x = data.x_uv
    figures = expert_figures(texts_about(x), measure_batch(x), data, [one])
    assert figures is not None
    assert figures["text"]["true"] == 2
    assert figures["expert 1 against 2"]["recall"] == 1.0
    bare = recording("sleep-edf/b")
    plain = ScoredRecording(*(getattr(bare, name) for name in list(bare.__slots__)[:-1]))
    assert expert_figures(texts_about(x), measure_batch(x), EvaluationSet.of([plain]), [plain]) is None


def test_disturbances_change_the_signal_before_it_is_conditioned() -> None:
    one = recording(epochs=6)
    limit_uv = 1.5 * float(one.epochs().std())
    rows = robustness(ByAmplitude(limit_uv=limit_uv), [one], Mode.HEAD)
    assert [row["disturbance"] for row in rows] == [one.name for one in DISTURBANCES]
    assert all(row["n"] == 5 and row["flagged"] is None for row in rows)
    same = {row["disturbance"]: row["same_stage"] for row in rows}
    assert same["none"] == same["inverted"] == same["from 200 Hz"] == 1.0
    assert same["gain x2"] < 1.0


def test_made_faults_are_told_from_ordinary_signals() -> None:
    rng = np.random.default_rng(3)
    ordinary = pink(300) * rng.uniform(0.5, 2.0, (300, 1)).astype(np.float32)
    model = fit_outliers(ordinary, faults_each=80)
    assert (model.scores(ordinary) > 1.0).mean() < 0.02
    for name in FAULTS:
        assert (model.scores(fault_epochs(name, 80, seed=2)) > 1.0).mean() > 0.9, name


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yasa", None)
    one = recording()
    with pytest.raises(ValueError, match=r"\[peers\]"):
        peer_answers("yasa", [one], EvaluationSet.of([one]))


def test_the_wake_of_real_days_is_one_recording_a_day(shared_data) -> None:  # type: ignore[no-untyped-def]
    found = load_recordings(f"wake:{shared_data}")
    assert len(found) == 9
    assert len({one.subject for one in found}) == 5
    assert all((one.stages == 0).all() for one in found)


def test_tables_are_written_between_their_marks() -> None:
    row = {
        "disturbance": "inverted",
        "n": 5,
        "kappa": 0.5,
        "accuracy": 0.6,
        "same_stage": 1.0,
        "flagged": None,
    }
    found = {"robustness": {"robustness": {"mode": "direct", "rows": [row]}}}
    text = "a\n<!-- table: robustness -->\nold\n<!-- end -->\nb\n<!-- table: claims -->\nkept\n<!-- end -->\n"
    filled = fill(text, found)
    assert "| inverted | 5 | 0.500 | 0.600 | 1.000 | - |" in filled
    assert "old" not in filled
    assert fill(filled, found) == filled
    with pytest.raises(ValueError, match="there are agreement-real"):
        fill("<!-- table: weather -->\n<!-- end -->\n", found)
