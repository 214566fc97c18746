"""Sets, scores per recording, and faithfulness of texts whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from eegvlm_train.cli import main
from eegvlm_train.data.nightset import load_nights
from eegvlm_train.evaluation.answers import Answers, Reasoned, reason_answers
from eegvlm_train.evaluation.epoch_sets import EvaluationSet, load_set
from eegvlm_train.evaluation.evaluate import load_answerer
from eegvlm_train.evaluation.faithfulness import faithfulness
from eegvlm_train.evaluation.figures import agreement_between, scores, table

from eegvlm_rt.findings import measure_batch
from eegvlm_rt.rationale import compose, parse
from eegvlm_rt.stages import STAGES, Stage


def certain(stage: Stage) -> dict[Stage, float]:
    return {other: float(other is stage) for other in STAGES}


def noise_set() -> EvaluationSet:
    return EvaluationSet(
        x_uv=np.zeros((6, 3000), dtype=np.float32),
        stages=np.array([0, 2, 2, 3, 2, 4]),
        soft=np.eye(5)[[0, 2, 2, 3, 2, 4]],
        recordings=np.array(["dreams/a", "dreams/a", "dreams/b", "dreams/b", "sleep-edf/c", "sleep-edf/c"]),
        subjects=np.array(["a", "a", "b", "b", "c", "c"]),
        places=np.array([0, 1, 0, 1, 0, 1]),
        purity=np.array([1.0, 0.5, 1.0, 1.0, 1.0, 1.0], dtype=np.float32),
    )


def test_scores_are_given_per_group_recording_and_purity() -> None:
    data = noise_set()
    answers = Answers(np.array([0, 2, 2, 3, 2, 2]), np.full((6, 5), 0.2))
    rows = scores(data, answers)
    assert set(rows) == {
        "all",
        "dreams",
        "dreams, purity 1",
        "sleep-edf",
        "dreams/a",
        "dreams/b",
        "sleep-edf/c",
    }
    assert rows["all"]["accuracy"] == pytest.approx(5 / 6)
    assert rows["dreams"]["n"] == 4
    assert rows["dreams, purity 1"]["n"] == 3
    assert rows["sleep-edf/c"]["accuracy"] == 0.5
    assert "dreams, purity 1" in table("head", rows)


def test_two_modes_agree_where_both_give_the_same_stage() -> None:
    flat = np.full((3, 5), 0.2)
    first, second = Answers(np.array([0, 1, 5]), flat), Answers(np.array([0, 2, 5]), flat)
    assert agreement_between(first, second) == pytest.approx(1 / 3)


def test_an_unreadable_text_is_an_invalid_answer() -> None:
    reasons = reason_answers([Reasoned(None, None, 9)])
    assert reasons.answers.stages.tolist() == [5]
    assert reasons.answers.probabilities.tolist() == [[0.2] * 5]


def test_texts_composed_from_the_measurement_are_wholly_supported(nights_folder: Path) -> None:
    x = load_nights(nights_folder, "train").microvolts(np.arange(8))
    # Every other epoch has alpha throughout, which argues for W.
    decoded = []
    for findings in measure_batch(x):
        stage = Stage.W if findings.alpha_share > 0.5 else Stage.N1
        decoded.append(Reasoned(parse(compose(findings, stage, Stage.N2)), certain(stage), 70))
    figures = faithfulness(reason_answers(decoded), measure_batch(x))
    for name in ("parsed", "stated_is_predicted", "consistent", "supported", "strict", "all_supported"):
        assert figures[name] == 1.0
    assert figures["claims"] >= 8 * 6
    assert figures["mean_tokens"] == 70


def test_texts_about_another_epoch_are_contradicted(nights_folder: Path) -> None:
    x = load_nights(nights_folder, "train").microvolts(np.arange(8))
    findings = measure_batch(x)
    swapped = [*findings[1:], findings[0]]
    decoded = [Reasoned(parse(compose(one, Stage.W, Stage.N1)), certain(Stage.N1), 70) for one in swapped]
    figures = faithfulness(reason_answers(decoded), measure_batch(x))
    assert figures["supported"] < 0.9
    assert figures["all_supported"] == 0.0
    assert figures["stated_is_predicted"] == 0.0
    assert figures["by_kind"]["alpha"][0] == 0.0


def test_unreadable_texts_make_no_claims(nights_folder: Path) -> None:
    x = load_nights(nights_folder, "train").microvolts(np.arange(2))
    figures = faithfulness(reason_answers([Reasoned(None, None, 5)] * 2), measure_batch(x))
    assert figures["parsed"] == 0.0
    assert figures["claims"] == 0
    assert figures["supported"] is None


def test_simulated_sets_are_the_validation_nights_with_the_teachers_stages(nights_folder: Path) -> None:
    data = load_set(f"sim:{nights_folder}")
    nights = load_nights(nights_folder, "validation")
    assert data.stages.tolist() == nights.teacher.argmax(1).tolist()
    assert set(data.recordings) == {"night-00003"}
    assert len(data.spread(5)) == 5
    assert len(data.spread(None)) == len(data)


def test_real_recordings_are_conditioned_and_scored(shared_data: Path) -> None:
    data = load_set(f"real:{shared_data}")
    assert data.x_uv.shape == (len(data), 3000)
    assert np.isfinite(data.x_uv).all()
    assert set(np.unique(data.stages)) <= set(range(5))
    edf = data.subset(data.recordings == "sleep-edf/SC4001")
    assert np.bincount(edf.stages, minlength=5).tolist() == [2, 0, 7, 1, 4]
    names = {name for name in data.recordings.tolist() if name.startswith("dreams/")}
    assert names == {f"dreams/excerpt{i}" for i in range(1, 5)}
    assert 0 < (data.purity[np.isin(data.recordings, list(names))] < 1).mean() < 1


def test_other_sources_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write real:FOLDER or sim:FOLDER"):
        load_set(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no dreams/excerpt\*\.npz"):
        load_set(f"real:{tmp_path}")
    with pytest.raises(FileNotFoundError, match="neither a bundle"):
        load_answerer(tmp_path)


def test_the_command_line_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    usage = capsys.readouterr().out
    for name in ("prepare", "simulate", "label", "train-vision", "calibrate", "evaluate", "realism"):
        assert name in usage
    assert main([]) == 2
    assert main(["fly"]) == 2
    assert "fly: no such command" in capsys.readouterr().err


def test_a_wrong_folder_ends_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-vision", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "eegvlm_train simulate" in capsys.readouterr().err
