"""A prediction says everything about one row of a night, and says it in JSON too."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, replace
from importlib import import_module

import numpy as np
import pytest

from eegvlm_rt.calibration.smoothing import Smoothing
from eegvlm_rt.decoding import Finish
from eegvlm_rt.errors import DraftWarning
from eegvlm_rt.findings import Findings, Rhythm, measure_batch
from eegvlm_rt.night.prediction_json import prediction_from_dict
from eegvlm_rt.prediction import AnsweredBy, HeadOpinion, Outcome, StagePrediction, Timing, outcome_of
from eegvlm_rt.prompt import Mode
from eegvlm_rt.rationale import check, compose, parse
from eegvlm_rt.signal.conditioning import condition_recording
from eegvlm_rt.signal.quality import Quality
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager
from eegvlm_rt.stages import STAGES, Stage
from eegvlm_rt.streaming.options import StreamOptions
from tests.rt.tiny_bundle import write_tiny_bundle

MEASURE = import_module("eegvlm_rt.findings.measure")
"""The module, whose name in its package is that of its function."""

FINDINGS = Findings(Rhythm.THETA, 0.1, 2, 1, 0.05, 60.0)
TEXT = compose(FINDINGS, Stage.N2, Stage.N1)
SHARES = {Stage.W: 0.05, Stage.N1: 0.1, Stage.N2: 0.7, Stage.N3: 0.1, Stage.R: 0.05}


@pytest.fixture
def prediction() -> StagePrediction:
    rationale = parse(TEXT)
    return StagePrediction(
        index=4,
        start_s=120.0,
        stage=Stage.N2,
        probabilities=SHARES,
        mode=Mode.COT,
        source=AnsweredBy.RULE,
        head=HeadOpinion(Stage.N1, SHARES),
        agrees=False,
        rationale=rationale,
        rationale_text=TEXT,
        finish=Finish.COMPLETE,
        findings=FINDINGS,
        checks=check(rationale, FINDINGS),
        timing=Timing(0.1, 20.0, 15.0, 20.0, 56.0, 99, 12, 36.0, 50.0),
        quality=Quality(frozenset(), 0.0, 60.0, True),
        channel="Fpz-Cz",
    )


def test_the_dictionary_is_plain_json(prediction: StagePrediction) -> None:
    plain = prediction.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_the_dictionary_names_stages_and_carries_every_field(prediction: StagePrediction) -> None:
    plain = prediction.to_dict()
    assert plain["stage"] == "N2"
    assert plain["probabilities"] == {stage.name: SHARES[stage] for stage in STAGES}
    assert plain["head"]["stage"] == "N1"
    assert plain["rationale"]["rule"] == prediction.rationale.rule.id
    assert [c["stage"] for c in plain["rationale"]["excluded"]] == [
        reason.stage.name for reason in prediction.rationale.excluded
    ]
    assert len(plain["checks"]) == len(prediction.checks) > 5
    assert plain["timing"]["tower_ms"] == 20.0
    assert {field.name for field in fields(StagePrediction)} - {"memory", "draft"} <= set(plain)


def test_a_row_without_signal_is_json_too(prediction: StagePrediction) -> None:
    quality = Quality(frozenset(), 1.0, float("nan"), False)
    empty = replace(
        prediction, stage=None, head=None, rationale=None, rationale_text="", checks=(), quality=quality
    )
    plain = json.loads(json.dumps(empty.to_dict(), allow_nan=False))
    assert plain["stage"] is plain["head"] is plain["rationale"] is None


def test_consistent_means_whole_coherent_and_of_the_predicted_stage(prediction: StagePrediction) -> None:
    assert prediction.consistent
    assert not replace(prediction, stage=Stage.N1).consistent
    assert not replace(prediction, rationale=None).consistent
    torn = parse(TEXT.replace("Stage: N2", "Stage: N1"))
    assert not replace(prediction, rationale=torn, stage=Stage.N1).consistent


@pytest.mark.parametrize(
    ("missing_share", "scorable", "outcome"),
    [
        (0.0, True, Outcome.SCORED),
        (0.4, True, Outcome.SCORED),
        (0.0, False, Outcome.ARTEFACT),
        (0.5, False, Outcome.ARTEFACT),
        (0.6, False, Outcome.UNSCORABLE),
        (1.0, False, Outcome.GAP),
    ],
)
def test_the_signal_decides_one_outcome(missing_share: float, scorable: bool, outcome: Outcome) -> None:
    assert outcome_of(Quality(frozenset(), missing_share, 60.0, scorable)) is outcome


def test_an_offline_row_is_scored_final_and_without_lag(prediction: StagePrediction) -> None:
    plain = prediction.to_dict()
    assert (plain["outcome"], plain["provisional"], plain["lag_s"], plain["smoothed"]) == (
        "scored",
        False,
        None,
        None,
    )
    assert replace(prediction, smoothed=SHARES).to_dict()["smoothed"]["N2"] == 0.7


class TestUnmeasured:
    @pytest.fixture
    def rows(self) -> list[StagePrediction]:
        x = simulate_night(5, hours=0.1).samples_uv[:30_000]
        return list(Stager.load("nano", mode="head", threads=1).predict_recording(x, sfreq=100))

    def test_findings_are_those_of_each_epoch_on_its_own_and_measured_once_for_a_batch(
        self, rows: list[StagePrediction], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes = []

        def counted(x: np.ndarray) -> list[Findings]:
            sizes.append(len(x))
            return measure_batch(x)

        monkeypatch.setattr(MEASURE, "measure_batch", counted)
        findings = [row.findings for row in rows]
        assert len(sizes) < sum(sizes) == len(rows)
        signals = condition_recording(simulate_night(5, hours=0.1).samples_uv[:30_000], 100)
        assert findings == [measure_batch(x[None])[0] for x in signals.reshape(-1, 3000)]

    def test_a_change_of_other_fields_measures_nothing(
        self, rows: list[StagePrediction], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(MEASURE, "measure_batch", lambda _: pytest.fail("measured"))
        smoothed = [row.with_fields(smoothed=SHARES) for row in rows]
        assert {row.smoothed[Stage.N2] for row in smoothed if row.smoothed} == {0.7}
        assert [replace(row, findings=FINDINGS) for row in rows] == [
            row.with_fields(findings=FINDINGS, smoothed=None) for row in smoothed
        ]

    @pytest.mark.parametrize("how", Smoothing)
    def test_smoothing_measures_nothing(self, how: Smoothing, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MEASURE, "measure_batch", lambda _: pytest.fail("measured"))
        x = simulate_night(5, hours=0.1).samples_uv[:30_000]
        stager = Stager.load("nano", mode="head", threads=1)
        assert all(row.smoothed for row in stager.predict_recording(x, sfreq=100, smooth=how))

    def test_a_stream_of_the_head_measures_when_asked_only(
        self, rows: list[StagePrediction], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        x = simulate_night(5, hours=0.1).samples_uv[:30_000]
        stager = Stager.load("nano", mode="head", threads=1)
        with monkeypatch.context() as patch:
            patch.setattr(MEASURE, "measure_batch", lambda _: pytest.fail("measured"))
            with stager.stream(100.0, options=StreamOptions(hop_s=10.0)) as stream:
                live = stream.push(x) + stream.close()
        final = [row for row in live if not row.provisional]
        assert len(live) > len(final)
        assert [row.findings for row in final] == [row.findings for row in rows]

    def test_a_copy_for_another_process_has_findings_and_no_signal(self, rows: list[StagePrediction]) -> None:
        packed = pickle.dumps(rows[0])
        assert len(packed) < 10_000
        assert pickle.loads(packed) == rows[0]


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> StagePrediction:
    folder = tmp_path_factory.mktemp("draft") / "tiny"
    write_tiny_bundle(folder, model_id="tiny-draft", draft=["kappa 0.2, the gate is 0.5"])
    with pytest.warns(DraftWarning):
        stager = Stager.load(folder, mode="head", threads=1)
    return stager.predict_epoch(np.random.default_rng(0).normal(0, 20, 3000), sfreq=100)


class TestDraft:
    """A prediction by the draft of a model says so wherever it goes."""

    def test_one_epoch_names_the_draft_that_answered(self, drafted: StagePrediction) -> None:
        assert drafted.draft == "tiny-draft"
        assert "draft model tiny-draft" in repr(drafted)

    def test_its_json_does_and_is_read_back_with_the_mark(self, drafted: StagePrediction) -> None:
        assert drafted.to_dict()["draft"] == "tiny-draft"
        assert prediction_from_dict(drafted.to_dict()).draft == "tiny-draft"

    def test_nothing_of_another_model_speaks_of_a_draft(self, prediction: StagePrediction) -> None:
        assert prediction.draft == ""
        assert "draft" not in prediction.to_dict()
        assert "draft" not in repr(prediction)
