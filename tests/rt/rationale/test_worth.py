"""What a statement is worth where another one is true."""

from __future__ import annotations

import numpy as np
import pytest

from eegvlm_rt.findings.measure import measure_batch
from eegvlm_rt.findings.model import Findings
from eegvlm_rt.rationale import SLOTS, check, choices, parse, segments
from eegvlm_rt.rationale.check import Verdict
from eegvlm_rt.rationale.worth import worth_of
from eegvlm_rt.signal.conditioning import condition_recording
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stages import Stage

WEIGHED = ("alpha", "spindles", "k_complexes", "slow_wave_pct", "amplitude_uv")


@pytest.fixture(scope="module")
def measured() -> list[Findings]:
    """1,200 simulated epochs."""
    epochs = []
    for seed in range(5):
        x = condition_recording(simulate_night(seed=seed, hours=2.0).samples_uv, 100.0)
        epochs.append(x[: 240 * 3000].reshape(-1, 3000))
    return list(measure_batch(np.concatenate(epochs)))


def supports(slot: str, choice: str, findings: Findings) -> bool:
    """Whether the check supports a text that states `choice`."""
    text = "".join(segments({**choices(findings, Stage.N2), slot: choice}))
    verdicts = [one.verdict for one in check(parse(text), findings) if one.claim.kind == slot]
    return verdicts == [Verdict.SUPPORTED]


@pytest.mark.parametrize("slot", WEIGHED)
def test_the_truth_is_worth_one_and_nothing_is_worth_more(slot: str) -> None:
    worth = worth_of(slot)
    assert worth is not None
    assert worth.shape == (len(SLOTS[slot].choices),) * 2
    assert np.diag(worth) == pytest.approx(1.0)
    assert worth.min() >= 0.0
    assert (worth - np.eye(len(worth))).max() <= 0.5


def test_the_rhythm_is_the_most_probable_one() -> None:
    worth = worth_of("rhythm")
    assert worth is not None
    np.testing.assert_array_equal(worth, np.eye(len(SLOTS["rhythm"].choices)))


@pytest.mark.parametrize("slot", ["previous", "course", "rule", "excluded_1", "stage"])
def test_a_slot_without_a_tolerance_is_chosen_by_probability(slot: str) -> None:
    assert worth_of(slot) is None


@pytest.mark.parametrize("slot", WEIGHED)
def test_the_worth_of_a_wrong_choice_is_half_of_how_often_the_check_supports_it(
    slot: str, measured: list[Findings]
) -> None:
    worth = worth_of(slot)
    assert worth is not None
    names = SLOTS[slot].choices
    by_truth: dict[int, list[Findings]] = {}
    for one in measured:
        by_truth.setdefault(names.index(choices(one, Stage.N2)[slot]), []).append(one)
    compared = 0
    for true, epochs in by_truth.items():
        # Classes that few epochs have say little of a share.
        if len(epochs) < 30:
            continue
        for stated in {0, true - 1, true, true + 1, len(names) - 1} & set(range(len(names))) - {true}:
            share = np.mean([supports(slot, names[stated], one) for one in epochs])
            assert worth[stated, true] == pytest.approx(0.5 * share, abs=0.17), (stated, true)
            compared += 1
    assert compared >= 4


def test_between_two_that_are_as_probable_the_one_that_both_allow_is_stated() -> None:
    worth = worth_of("k_complexes")
    assert worth is not None
    # None 45 %, doubtful 30 %, clear 25 %: "no" is true of the first two.
    assert int(np.argmax(worth @ np.array([0.45, 0.3, 0.25]))) == 0
    # None 20 %, doubtful 35 %, clear 45 %: "no" is true of little more than half.
    assert int(np.argmax(worth @ np.array([0.2, 0.35, 0.45]))) != 0
