"""Which rules and reasons the probabilities of a text's statements carry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.findings.measure import measure_batch
from eegvlm_rt.findings.model import Findings
from eegvlm_rt.rationale import REASONS, RULES, SLOTS, check, choices, parse, segments
from eegvlm_rt.rationale.check import Verdict
from eegvlm_rt.rationale.sureness import FINDINGS, SURE, grounds_of
from eegvlm_rt.signal.conditioning import condition_recording
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stages import Stage
from tests.rt.rationale.rationale_samples import LIGHT, QUIET

ALONE = [
    rule for rule in RULES.values() if not {one.kind for one in rule.conditions} & {"previous", "course"}
]


def certain(findings: Findings) -> dict[str, np.ndarray]:
    """Probabilities of a model that knows what is measured."""
    stated = choices(findings, Stage.N2)
    return {
        slot: np.eye(len(SLOTS[slot].choices))[SLOTS[slot].choices.index(stated[slot])] for slot in FINDINGS
    }


def texts(slot: str, indices: frozenset[int]) -> set[str]:
    return {SLOTS[slot].choices[index].strip() for index in indices}


class TestSure:
    def test_an_event_that_is_nearly_certain_carries_its_rule(self) -> None:
        grounds = grounds_of("rule", certain(LIGHT))
        assert grounds is not None
        assert {"N2.1: K-complex", "N2.2: spindle", "N2.3: spindle and K-complex"} <= texts(
            "rule", grounds.sure
        )

    def test_two_events_are_as_certain_as_both_together(self) -> None:
        shares = {
            **certain(LIGHT),
            "spindles": np.array([0.05, 0, 0.95, 0]),
            "k_complexes": np.array([0.4, 0, 0.6]),
        }
        grounds = grounds_of("rule", shares)
        assert grounds is not None
        assert "N2.2: spindle" in texts("rule", grounds.sure)
        assert {"N2.1: K-complex", "N2.3: spindle and K-complex"} <= texts("rule", grounds.unsure)

    def test_a_doubtful_event_carries_its_absence_and_its_presence(self) -> None:
        # The check supports both where only the looser thresholds find it.
        shares = {
            **certain(LIGHT),
            "spindles": np.array([0, 1.0, 0, 0]),
            "k_complexes": np.array([1.0, 0, 0]),
        }
        grounds = grounds_of("excluded_1", shares)
        assert grounds is not None
        assert {"N1: spindle", "N2: no spindle or K-complex"} <= texts("excluded_1", grounds.sure)

    def test_what_no_statement_speaks_of_is_left_to_the_model(self) -> None:
        grounds = grounds_of("rule", certain(QUIET))
        assert grounds is not None
        muscle = next(rule.text for rule in RULES.values() if rule.id == "W.3")
        assert muscle not in texts("rule", grounds.sure | grounds.unsure)

    def test_a_rule_without_conditions_is_neither(self) -> None:
        grounds = grounds_of("rule", certain(QUIET))
        assert grounds is not None
        assert not [text for text in texts("rule", grounds.sure | grounds.unsure) if ".0:" in text]
        assert not grounds.silent

    def test_a_reason_without_a_ground_is_silent(self) -> None:
        grounds = grounds_of("excluded_2", certain(QUIET))
        assert grounds is not None
        without = {reason.text for reason in REASONS.values() if not reason.conditions}
        assert texts("excluded_2", grounds.silent) == without

    def test_a_reason_that_answers_a_stage_whose_rule_is_met_is_never_dropped(self) -> None:
        grounds = grounds_of("excluded_1", certain(QUIET))
        assert grounds is not None
        overriding = {reason.text for reason in REASONS.values() if reason.overrides}
        assert not overriding & texts("excluded_1", grounds.unsure)


class TestScope:
    @pytest.mark.parametrize("slot", [*FINDINGS, "previous", "course", "stage"])
    def test_other_slots_have_no_grounds(self, slot: str) -> None:
        assert grounds_of(slot, certain(QUIET)) is None

    @pytest.mark.parametrize("missing", FINDINGS)
    def test_without_the_probabilities_of_every_finding_nothing_is_said(self, missing: str) -> None:
        shares = certain(QUIET)
        del shares[missing]
        assert grounds_of("rule", shares) is None

    @given(st.data())
    def test_sure_and_unsure_have_nothing_in_common(self, data: st.DataObject) -> None:
        weights = st.floats(0, 1)
        shares = {}
        for slot in FINDINGS:
            size = len(SLOTS[slot].choices)
            raw = np.array(data.draw(st.lists(weights, min_size=size, max_size=size))) + 1e-6
            shares[slot] = raw / raw.sum()
        for slot in ("rule", "excluded_1"):
            grounds = grounds_of(slot, shares)
            assert grounds is not None
            assert not grounds.sure & grounds.unsure
            assert not grounds.silent & (grounds.sure | grounds.unsure)


def test_what_is_sure_of_the_truth_is_supported_by_the_check() -> None:
    """Of 960 simulated epochs, stated as they are measured: a sure rule or reason is true in nine of ten."""
    x = condition_recording(simulate_night(seed=11, hours=8.0).samples_uv, 100.0)
    verdicts: list[bool] = []
    for findings in measure_batch(x[: 960 * 3000].reshape(-1, 3000)):
        shares = certain(findings)
        for rule in ALONE:
            grounds = grounds_of("rule", shares)
            assert grounds is not None
            if rule.text not in texts("rule", grounds.sure):
                continue
            stated = choices(findings, rule.stage)
            text = "".join(segments({**stated, "rule": f" {rule.text}"}))
            verdicts += [
                one.verdict is Verdict.SUPPORTED
                for one in check(parse(text), findings)
                if one.claim.kind == "rule"
            ]
    assert len(verdicts) > 1000
    assert np.mean(verdicts) > SURE
