"""Tables of real nights: who may be fitted, what is fitted, and what a night's figures are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from eegvlm_train.cli import main
from eegvlm_train.evaluation.markdown import fill
from eegvlm_train.sleep_edf.course import fit_course, transitions_of
from eegvlm_train.sleep_edf.figures import course_of
from eegvlm_train.sleep_edf.recipe import log_powers
from eegvlm_train.sleep_edf.spectra import fit_spectra, normal_with_gaps
from eegvlm_train.sleep_edf.tables import TableNight, main_sleep, read_nights

from eegvlm_rt.simulator import sample_hypnogram
from eegvlm_rt.simulator.history import FEATURES
from eegvlm_rt.simulator.hypnogram import HABITS
from eegvlm_rt.stages import Stage

LONG_WAKE = np.zeros(200, dtype=np.int8)


def table_nights(n: int = 12, people: int = 6) -> list[TableNight]:
    """Nights drawn from the simulator's course, with powers of N3 four times those of other stages."""
    nights = []
    for number in range(n):
        rng = np.random.default_rng(number)
        stages = sample_hypnogram(rng, 500, youth=1.0)
        power = 0.3 * rng.standard_normal((500, 2, 5)) + 5.0 * number
        power[stages == Stage.N3] += np.log(4.0)
        person = f"{20 + number % people:02d}"
        nights.append(TableNight(f"SC4{number}", person, stages, power.astype(np.float32), power))
    return nights


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    nights = table_nights()
    n = [len(night.stages) for night in nights]
    features = np.concatenate([np.concatenate([night.log_power, night.relative], axis=2) for night in nights])
    people = ["07", "19", *(night.person for night in nights[2:])]
    np.savez(
        tmp_path / "bandpower.npz",
        features=features.astype(np.float32),
        y=np.concatenate([night.stages for night in nights]),
        rec=np.repeat(np.arange(len(nights)), n).astype(np.int16),
        subject=np.repeat(people, n),
        psg=np.array([f"{night.name}-PSG.edf" for night in nights]),
    )
    return tmp_path


def test_people_below_20_are_for_tests_alone(tables: Path) -> None:
    fitted, held_out = read_nights(tables, "fit"), read_nights(tables, "test")
    assert {night.person for night in held_out} == {"07", "19"}
    assert len(fitted) == 10
    assert min(night.person for night in fitted) >= "20"
    assert fitted[0].name == "SC42"
    assert fitted[0].log_power.shape == (500, 2, 5)


def test_other_people_are_refused(tables: Path) -> None:
    with pytest.raises(ValueError, match="people: 'all'"):
        read_nights(tables, "all")


def test_the_main_sleep_is_the_longest_without_an_hour_of_wake() -> None:
    nap, night = np.full(30, 2, dtype=np.int8), np.full(300, 2, dtype=np.int8)
    night[100:130] = 0
    stages = np.concatenate([LONG_WAKE, nap, LONG_WAKE, night, LONG_WAKE])
    found = main_sleep(stages)
    assert (found.start, found.stop) == (430, 730)
    assert main_sleep(LONG_WAKE) == slice(0, 0)


def test_transitions_skip_unscored_epochs() -> None:
    counts = transitions_of([np.array([1, 2, -1, 2, 3, 4])])
    total = counts.sum(axis=0)
    assert [total[1, 2], total[2, 3], total[3, 4]] == [1, 1, 1]
    assert total.sum() == 3


def test_the_course_learns_what_follows_what() -> None:
    """Nights in which N2 always follows N1 and N1 always follows N2."""
    stages = np.tile(np.array([1, 2], dtype=np.int8), 200)
    nights = [
        TableNight(str(n), "30", stages, np.zeros((400, 2, 5), np.float32), np.zeros((400, 2, 5), np.float32))
        for n in range(3)
    ]
    stages[[10, 50]] = [4, 0]
    weights = np.asarray(fit_course(nights)["weights"])
    assert weights.shape == (5, 5, len(FEATURES) + len(HABITS))
    assert (weights[1, 3, 0], weights[2, 3, 0]) == (-30.0, -30.0), "never seen, never drawn"


def test_a_fit_of_simulated_nights_gives_a_simulator_of_the_same_kind(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "fitted"
    assert main(["fit-simulator", str(tables), str(out)]) == 0
    course = json.loads((out / "course.json").read_text(encoding="utf-8"))
    spectra = json.loads((out / "spectra.json").read_text(encoding="utf-8"))
    assert "10 nights of 6 people" in course["source"]
    assert course["features"] == [*FEATURES, *HABITS]
    mean = np.asarray(spectra["channels"]["EEG Pz-Oz"]["mean"]).reshape(5, 5)
    np.testing.assert_allclose(mean[3] - mean[2], np.log(4.0), atol=0.1)
    assert np.asarray(spectra["channels"]["EEG Fpz-Cz"]["factors"]).shape == (25, 8)
    assert np.asarray(json.loads((out / "transitions.json").read_text("utf-8"))["counts"]).shape == (3, 5, 5)


def test_an_unknown_scale_of_a_night_changes_no_spectrum() -> None:
    nights = table_nights()
    louder = [
        TableNight(one.name, one.person, one.stages, one.log_power + 2.0 * i, one.relative)
        for i, one in enumerate(nights)
    ]
    first, second = (fit_spectra(one)["channels"]["EEG Fpz-Cz"]["mean"] for one in (nights, louder))
    np.testing.assert_allclose(first, second, atol=2e-3)


def test_what_a_night_lacks_is_expected_from_what_it_has() -> None:
    rng = np.random.default_rng(0)
    rows = rng.multivariate_normal([1.0, 5.0], [[1.0, 0.9], [0.9, 1.0]], 4000)
    # Nights of a high first value lack the second: their plain mean is too low.
    gaps = rows.copy()
    gaps[gaps[:, 0] > 1.0, 1] = np.nan
    mean, covariance = normal_with_gaps(gaps)
    assert np.nanmean(gaps[:, 1]) < 4.5
    np.testing.assert_allclose(mean, [1.0, 5.0], atol=0.12)
    np.testing.assert_allclose(covariance, [[1.0, 0.9], [0.9, 1.0]], atol=0.15)


def test_the_figures_of_a_night() -> None:
    stages = np.array([1] * 2 + [2] * 100 + [3] * 40 + [4] * 20 + [2] * 100 + [0] * 4 + [4] * 40)
    found = course_of(stages)
    assert found["REM latency, min"] == 71.0
    assert found["REM periods"] == 2.0
    assert found["REM period, min"] == 15.0
    assert found["cycle, min"] == 72.0
    assert found["W bouts per hour"] == pytest.approx(1 / (306 / 120))
    assert found["N3 in the first half, share"] == pytest.approx(1.0)
    assert found["N3 share"] == pytest.approx(40 / 306)


@pytest.mark.parametrize("sfreq", [50.0, 100.0, 200.0, 256.0])
def test_log_powers_do_not_depend_on_scale_and_little_on_the_rate(sfreq: float) -> None:
    t = np.arange(round(300 * sfreq)) / sfreq
    x = sum(a * np.sin(2 * np.pi * f * t) for f, a in ((2, 20), (6, 5), (10, 10), (14, 3), (20, 2)))
    powers = log_powers(x, sfreq)
    assert powers.shape == (10, 5)
    np.testing.assert_allclose(powers, log_powers(7.0 * x + 100.0, sfreq), atol=1e-3)
    assert powers[4, 0] - powers[4, 2] == pytest.approx(np.log(4.0), abs=0.1)
    assert powers[4].argmax() == 0


def test_realism_sets_the_simulator_beside_the_tables(
    tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eegvlm_train.sleep_edf.comparison._DRAWN_NIGHTS", 20)
    out = tmp_path / "compared"
    assert main(["realism", "--tables", str(tables), "--nights", "1", "--out", str(out)]) == 0
    report = json.loads((out / "realism-tables.json").read_text(encoding="utf-8"))
    assert report["n"] == {"20-82": 10, "00-19": 2, "simulated": 1}
    latency = report["course"]["20-82"]["REM latency, min"]
    assert latency["simulated"][0] <= latency["simulated"][1] <= latency["simulated"][2]
    # The tables of this test are drawn from the simulator's own course.
    assert report["course"]["20-82"]["changes per hour"]["distance"] < 0.6
    n2 = report["spectra"]["EEG Pz-Oz"]["20-82"]["N2"]
    assert set(n2) == {"delta", "theta", "alpha", "sigma", "beta"}
    assert "people 20-82, KS distance" in capsys.readouterr().out
    filled = fill("<!-- table: realism-course -->\n<!-- end -->\n", {"realism-tables": report})
    assert "| REM latency, min |" in filled
    filled = fill("<!-- table: realism-bands -->\n<!-- end -->\n", {"realism-tables": report})
    assert "| EEG Fpz-Cz, 00-19, N3 |" in filled


def test_realism_asks_for_something_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["realism", "--out", str(tmp_path)]) == 2
    assert "--tables" in capsys.readouterr().err
