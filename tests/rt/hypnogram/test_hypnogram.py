"""Hypnograms: what they hold, the files they go through, and how agreement is counted."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import InputError, RecordingError, RecordingWarning
from eegvlm_rt.hypnogram import (
    Hypnogram,
    agreement,
    from_csv,
    from_json,
    read_edf,
    to_csv,
    to_json,
    write_edf,
)
from eegvlm_rt.hypnogram.alignment import Basis, align
from eegvlm_rt.stages import STAGES, Stage

if TYPE_CHECKING:
    from pathlib import Path

W, N1, N2, N3, R = STAGES
START = datetime(2024, 2, 28, 23, 59, 30)


def night(*stages: Stage | None, start: datetime | None = START) -> Hypnogram:
    return Hypnogram(stages, start)


def with_probabilities(n: int = 4) -> Hypnogram:
    rows = np.random.default_rng(0).dirichlet(np.ones(5), n)
    stages = tuple(Stage(int(row.argmax())) for row in rows)
    return Hypnogram((*stages, None), START, (*(tuple(map(float, row)) for row in rows), None))


def annotated(path: Path, *annotations: tuple[float, float | None, str]) -> Path:
    target = path / "scored.edf"
    Edf([], annotations=[EdfAnnotation(*a) for a in annotations]).write(target)
    return target


def test_integers_become_stages_and_negative_ones_are_unscored():
    assert Hypnogram.of([0, 2, -1, 4]).stages == (W, N2, None, R)


def test_probabilities_are_ordered_w_n1_n2_n3_r():
    built = Hypnogram.of([N2], probabilities=[{R: 0.0, N3: 0.1, N2: 0.7, N1: 0.2, W: 0.0}])
    assert built.probabilities == ((0.0, 0.2, 0.7, 0.1, 0.0),)


@pytest.mark.parametrize("row", [(1.0,), (0.5,) * 5, (np.nan,) * 5, (2.0, -1.0, 0.0, 0.0, 0.0)])
def test_what_is_no_distribution_is_refused(row):
    with pytest.raises(InputError, match=r"probabilities\[0\]"):
        Hypnogram((W,), probabilities=(row,))


def test_one_probability_row_per_epoch_is_asked_for():
    with pytest.raises(InputError, match="one row per epoch: 2"):
        Hypnogram((W, W), probabilities=(None,))


def test_more_than_a_week_is_refused():
    with pytest.raises(InputError, match="a week"):
        Hypnogram((W,) * 20161)


def test_the_clock_crosses_midnight():
    assert night(W, W).clock(1) == datetime(2024, 2, 29, 0, 0, 0)
    assert night(W, start=None).clock(0) is None


def test_a_window_beyond_the_night_is_unscored():
    window = with_probabilities().window(-1, 3)
    assert window.stages[0] is None
    assert window.probabilities is not None
    assert window.probabilities[0] is None
    assert window.start == datetime(2024, 2, 28, 23, 59, 0)


def test_alignment_follows_the_clock():
    truth = night(W, N1, N2, N3)
    assert truth.aligned_to(night(W, W, start=datetime(2024, 2, 29, 0, 0, 1))).stages == (N1, N2)


def test_an_unknown_start_is_said_and_never_equal_in_silence():
    truth = night(W, N1, N2, N3)
    for first, second in ((truth, night(W, W, start=None)), (night(W, N1, N2, N3, start=None), night(W, W))):
        with pytest.warns(RecordingWarning, match=r"a start is unknown.*--truth-offset"):
            assert first.aligned_to(second).stages == (W, N1)
    assert truth.aligned_to(night(W, W, start=None), offset_s=60).stages == (N2, N3)
    assert truth.aligned_to(night(W, W, start=None), offset_s=-30).stages == (None, W)


@pytest.mark.parametrize(
    ("first", "second", "offset_s"),
    [
        (datetime(2024, 2, 28, 23, 0), datetime(1985, 1, 1, 23, 5), 300.0),
        (datetime(1985, 1, 1, 23, 50), datetime(2024, 2, 29, 0, 10), 1200.0),
        (datetime(2024, 2, 28, 0, 10), datetime(1985, 1, 1, 23, 50), -1200.0),
    ],
)
def test_a_hidden_date_leaves_the_time_of_day(first, second, offset_s):
    found = align(first, second)
    assert (found.offset_s, found.basis, found.epochs) == (offset_s, Basis.TIME_OF_DAY, offset_s / 30)
    assert "time of day" in found.remark.text


def test_two_hidden_dates_are_one_day():
    found = align(datetime(1985, 1, 1, 22, 0), datetime(1985, 1, 1, 22, 5))
    assert (found.offset_s, found.basis, found.remark) == (300.0, Basis.CLOCK, None)


@pytest.mark.parametrize("offset_s", ["30", float("nan"), float("inf"), 1e6])
def test_an_offset_that_is_none_is_refused(offset_s):
    with pytest.raises(InputError, match="offset_s"):
        align(None, None, offset_s)


def test_alignment_between_epochs_is_refused():
    with pytest.raises(InputError, match="12 s apart"):
        night(W).aligned_to(night(W, start=START.replace(second=42)))


def test_edf_brings_stages_and_start_back(tmp_path):
    hypnogram = night(W, N1, N2, N3, R, None, W)
    assert read_edf(write_edf(hypnogram, tmp_path / "h.edf")) == hypnogram


def test_edf_keeps_a_start_with_a_fraction_of_a_second(tmp_path):
    hypnogram = night(W, N2, start=START.replace(microsecond=250_000))
    assert read_edf(write_edf(hypnogram, tmp_path / "h.edf")) == hypnogram


def test_edf_hides_a_start_that_is_unknown(tmp_path):
    assert read_edf(write_edf(night(W, start=None), tmp_path / "h.edf")).start is None


@pytest.mark.parametrize("year", [1984, 2085])
def test_edf_refuses_years_it_cannot_write(tmp_path, year):
    with pytest.raises(InputError, match="1985 to 2084"):
        write_edf(night(W, start=datetime(year, 1, 1)), tmp_path / "h.edf")


def test_edf_refuses_an_empty_hypnogram(tmp_path):
    with pytest.raises(InputError, match="at least one epoch"):
        write_edf(night(), tmp_path / "h.edf")


def test_edf_annotations_are_thirty_seconds_of_aasm_text(tmp_path):
    from edfio import read_edf as read

    found = read(write_edf(night(W, N3, None), tmp_path / "h.edf")).annotations
    texts = ["Sleep stage W", "Sleep stage N3", "Sleep stage ?"]
    assert [tuple(a) for a in found] == [(30.0 * i, 30.0, text) for i, text in enumerate(texts)]


def test_mne_reads_the_edf_hypnogram(tmp_path):
    mne = pytest.importorskip("mne")
    found = mne.read_annotations(write_edf(night(*STAGES * 600), tmp_path / "h.edf"))
    assert found.onset.tolist() == [30.0 * i for i in range(3000)]
    assert set(found.duration) == {30.0}
    assert list(found.description[:5]) == [f"Sleep stage {name}" for name in ("W", "N1", "N2", "N3", "R")]


def test_rechtschaffen_and_kales_texts_are_read(tmp_path):
    texts = [
        "Sleep stage W",
        "Sleep stage 1",
        "Sleep stage 2",
        "Sleep stage 3",
        "Sleep stage 4",
        "Sleep stage R",
    ]
    more = ["Movement time", "Sleep stage ?"]
    path = annotated(tmp_path, *((30.0 * i, 30.0, text) for i, text in enumerate(texts + more)))
    assert read_edf(path).stages == (W, N1, N2, N3, N3, R, None, None)


def test_coalesced_annotations_are_spread_over_their_epochs(tmp_path):
    path = annotated(tmp_path, (0, 90, "Sleep stage W"), (90, 60, "Sleep stage 2"), (75, 3, "Lights off"))
    assert read_edf(path).stages == (W, W, W, N2, N2)


def test_a_stage_without_duration_lasts_to_the_next_and_the_last_one_epoch(tmp_path):
    path = annotated(tmp_path, (0, None, "Sleep stage W"), (60, None, "Sleep stage N2"))
    assert read_edf(path).stages == (W, W, N2)


def test_a_hole_between_stages_is_unscored(tmp_path):
    path = annotated(tmp_path, (30, 30, "Sleep stage W"), (90, 30, "Sleep stage R"))
    assert read_edf(path).stages == (None, W, None, R)


def test_an_epoch_belongs_to_the_stage_over_its_middle(tmp_path):
    path = annotated(tmp_path, (0, 44, "Sleep stage W"), (44, 46, "Sleep stage R"))
    assert read_edf(path).stages == (W, R, R)


def test_two_stages_over_one_epoch_are_refused(tmp_path):
    with pytest.raises(RecordingError, match="epoch 2 has two stages"):
        read_edf(annotated(tmp_path, (0, 60, "Sleep stage W"), (30, 30, "Sleep stage R")))


def test_an_unknown_stage_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="Sleep stage 7"):
        read_edf(annotated(tmp_path, (0, 30, "Sleep stage 7")))


def test_a_file_without_stages_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="none is a sleep stage"):
        read_edf(annotated(tmp_path, (0, 30, "Lights off")))


@pytest.mark.parametrize(("onset", "duration"), [(1e9, 30.0), (0.0, 1e11), (-60.0, 30.0)])
def test_stages_outside_a_week_are_refused(tmp_path, onset, duration):
    with pytest.raises(RecordingError, match="within a week"):
        read_edf(annotated(tmp_path, (onset, duration, "Sleep stage W")))


def test_a_real_coalesced_hypnogram_is_read_as_mne_reads_it(shared_data):
    mne = pytest.importorskip("mne")
    path = shared_data / "sleep-edf" / "SC4001EC-Hypnogram.edf"
    hypnogram = read_edf(path)
    assert hypnogram.start == datetime(1989, 4, 24, 16, 13)
    found = mne.read_annotations(path)
    for onset, duration, text in zip(found.onset, found.duration, found.description, strict=True):
        epochs = hypnogram.stages[int(onset // 30) : int((onset + duration) // 30)]
        assert set(epochs) == {Stage.parse(text)}


def test_real_hypnograms_survive_edf_csv_and_json(shared_data, tmp_path):
    hypnogram = read_edf(shared_data / "sleep-edf" / "SC4001EC-Hypnogram.edf")
    assert read_edf(write_edf(hypnogram, tmp_path / "h.edf")) == hypnogram
    assert from_csv(to_csv(hypnogram, tmp_path / "h.csv")) == hypnogram
    assert from_json(to_json(hypnogram, tmp_path / "h.json")) == hypnogram


def test_json_brings_everything_back_exactly(tmp_path):
    hypnogram = with_probabilities()
    assert from_json(to_json(hypnogram, tmp_path / "h.json")) == hypnogram


def test_csv_brings_stages_and_start_back_and_probabilities_to_six_decimals(tmp_path):
    hypnogram = with_probabilities()
    back = from_csv(to_csv(hypnogram, tmp_path / "h.csv"))
    assert (back.stages, back.start) == (hypnogram.stages, hypnogram.start)
    assert back.probabilities is not None
    assert back.probabilities[-1] is None
    np.testing.assert_allclose(back.probabilities[:-1], hypnogram.probabilities[:-1], atol=1e-6)


def test_csv_rows_are_what_a_spreadsheet_expects(tmp_path):
    path = to_csv(Hypnogram((W, None), START, ((1.0, 0.0, 0.0, 0.0, 0.0), None)), tmp_path / "h.csv")
    assert path.read_text().splitlines() == [
        "epoch,start_s,clock,stage,p_W,p_N1,p_N2,p_N3,p_R",
        "1,0,2024-02-28T23:59:30,W,1.000000,0.000000,0.000000,0.000000,0.000000",
        "2,30,2024-02-29T00:00:00,?,,,,,",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n", "epoch,start_s\n", "epoch,start_s,clock,stage,p_W,p_N1,p_N2,p_N3,p_R\n1,0,,X,,,,,\n", "\0"]
    + [
        f"epoch,start_s,clock,stage,p_W,p_N1,p_N2,p_N3,p_R\n{row}\n"
        for row in ("2,0,,W,,,,,", "1,0,,W", "1,0,x,W,,,,,")
    ]
    + ["epoch,start_s,clock,stage,p_W,p_N1,p_N2,p_N3,p_R\n1,0,,W,1,1,1,1,1\n"],
)
def test_csv_that_is_no_hypnogram_is_refused(tmp_path, text):
    path = tmp_path / "h.csv"
    path.write_text(text)
    with pytest.raises(RecordingError):
        from_csv(path)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"epoch_s": 20},
        {"stages": ["W", "Q"]},
        {"stages": 3},
        {"start": "noon"},
        {"stage_order": []},
    ],
)
def test_json_that_is_no_hypnogram_is_refused(tmp_path, change):
    path = to_json(with_probabilities(), tmp_path / "h.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RecordingError):
        from_json(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, "{}", "\xff"])
def test_json_of_another_shape_is_refused(tmp_path, text):
    path = tmp_path / "h.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordingError):
        from_json(path)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(RecordingError, match="cannot be written"):
        to_csv(night(W), tmp_path / "missing" / "h.csv")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = to_csv(night(W), tmp_path / "h.csv")
    before = path.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(RecordingError, match="no space"):
        to_csv(night(N2, N2), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_full_agreement():
    found = agreement(night(W, N2, R), night(W, N2, R))
    assert (found.n, found.accuracy, found.kappa, found.macro_f1) == (3, 1.0, 1.0, 1.0)
    assert found.f1 == {W: 1.0, N1: None, N2: 1.0, N3: None, R: 1.0}


def test_agreement_counted_by_hand():
    found = agreement(night(W, W, N2, N2, N2), night(W, N2, N2, N2, W))
    assert found.confusion[W][W] == 1
    assert found.confusion[W][N2] == 1
    assert found.confusion[N2][W] == 1
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.kappa == pytest.approx((0.6 - 0.52) / 0.48)
    assert found.f1[W] == pytest.approx(1 / 2)
    assert found.f1[N2] == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx(7 / 12)


def test_unscored_epochs_are_left_out_and_counted():
    found = agreement(night(W, None, N2), night(W, W, None))
    assert (found.n, found.unscored, found.accuracy) == (1, 2, 1.0)


def test_kappa_is_none_where_chance_agrees_fully():
    assert agreement(night(W, W), night(W, W)).kappa is None


@pytest.mark.parametrize(
    ("reference", "scored", "remark"),
    [
        ((W, W, W), (W, N2, W), "the reference has one stage only, W"),
        ((W, N2, W), (N2, N2, N2), "the scoring has one stage only, N2"),
        ((W, N2, W), (W, N2, N2), ""),
    ],
)
def test_kappa_with_one_stage_says_that_it_means_nothing(reference, scored, remark):
    found = agreement(night(*reference), night(*scored))
    assert found.kappa_remark.endswith(remark)
    assert found.to_dict()["kappa_remark"] == found.kappa_remark
    assert bool(found.kappa_remark) == bool(remark)


def test_agreement_needs_an_epoch_scored_in_both():
    with pytest.raises(InputError, match="no epoch is scored in both"):
        agreement(night(W, None), night(None, W))


def test_agreement_needs_equal_lengths():
    with pytest.raises(InputError, match="the reference has 2"):
        agreement(night(W, W), night(W))


pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs=pairs)
def test_agreement_is_what_scikit_learn_computes(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    a, b = (list(side) for side in zip(*pairs, strict=True))
    found = agreement(Hypnogram.of(a), Hypnogram.of(b))
    assert found.accuracy == pytest.approx(metrics.accuracy_score(a, b))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(a, b, average="macro"))
    assert (np.array(found.confusion) == metrics.confusion_matrix(a, b, labels=range(5))).all()
    if found.kappa is not None:
        assert found.kappa == pytest.approx(metrics.cohen_kappa_score(a, b))
    else:
        assert len(set(a) | set(b)) == 1
