"""Values of the wrong kind from Python: a typed error that names the field, and nothing silently lost."""

from __future__ import annotations

import json
import math
import pickle
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from eegvlm_rt.errors import BundleError, InputError, SamplingRateError, UnitError
from eegvlm_rt.hypnogram import Hypnogram, agreement, from_csv, to_csv
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def stager(tmp_path_factory) -> Stager:
    folder = tmp_path_factory.mktemp("models") / "nano"
    write_tiny_bundle(folder)
    return Stager.load(folder, mode="head", threads=1)


@pytest.fixture(scope="module")
def epoch() -> np.ndarray:
    return simulate_night(3, hours=0.1).samples_uv[:3000]


MASKED = np.ma.masked_array(np.arange(3000.0) % 50, mask=np.arange(3000) < 2000)
RAGGED = [[1.0], [2.0, 3.0]]


@pytest.mark.parametrize("x", [MASKED, RAGGED], ids=["masked", "ragged"])
def test_samples_that_numpy_would_change_or_refuse_are_refused(stager, epoch, x):
    with pytest.raises(InputError, match=r"^x: "):
        stager.predict_epoch(x, 100)
    with pytest.raises(InputError, match=r"^source: "):
        stager.predict_recording(x, sfreq=100)
    with pytest.raises(InputError, match=r"^x: "):
        stager.predict_conditioned(x, stager.predict_epoch(epoch, 100).quality)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"unit": ["uV"]}, UnitError),
        ({"sfreq": 10**400}, SamplingRateError),
        ({"start_s": math.nan}, InputError),
        ({"start_s": math.inf}, InputError),
        ({"start_s": "0"}, InputError),
        ({"index": 1.5}, InputError),
        ({"index": math.inf}, InputError),
        ({"deadline_s": "1"}, InputError),
    ],
)
def test_a_wrong_argument_is_named(stager, epoch, wrong, error):
    with pytest.raises(error, match=f"^{next(iter(wrong))}: "):
        stager.predict_epoch(epoch, **{"sfreq": 100, **wrong})


def test_numpy_numbers_stay_fit_for_json(stager, epoch):
    prediction = stager.predict_epoch(epoch, np.int32(100), index=np.int64(7), start_s=np.float32(210))
    told = json.loads(json.dumps(prediction.to_dict(), allow_nan=False))
    assert (told["index"], told["start_s"]) == (7, 210.0)


@pytest.mark.parametrize("name", [None, 3, 1.5, ["nano"]])
def test_a_bundle_that_is_no_name_and_no_path_is_refused(name):
    with pytest.raises(BundleError, match=r"^bundle: "):
        Stager.load(name)


def test_results_travel_between_processes(stager, epoch):
    prediction = stager.predict_epoch(epoch, 100, mode="cot")
    assert pickle.loads(pickle.dumps(prediction)) == prediction
    found = agreement(Hypnogram.of([0, 1, 2]), Hypnogram.of([0, 1, 1]))
    assert pickle.loads(pickle.dumps(found)) == found


def test_csv_keeps_a_start_between_seconds(tmp_path: Path):
    night = Hypnogram.of([0, 2], datetime(2020, 5, 1, 22, 0, 0, 500_000))
    assert from_csv(to_csv(night, tmp_path / "h.csv")).start == night.start
