"""At the rule the loss is that of every draw the teacher might have made, weighed as the teacher would."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from eegvlm_train.steps.language import LanguageStep
from torch.nn import functional as F

RULES = torch.tensor([3, 7, 11])
PLACES = torch.tensor([3, 4])


def loss_with(shares: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    step = SimpleNamespace(rule_ids=RULES)
    batch = SimpleNamespace(stage_place=PLACES, rule_shares=shares)
    return LanguageStep.with_rule_shares(step, torch.zeros(2, 5), logits, batch)  # type: ignore[arg-type]


def test_only_the_place_of_the_rule_changes_and_a_certain_teacher_is_plain_cross_entropy() -> None:
    logits = torch.randn(2, 6, 20, generator=torch.Generator().manual_seed(0))
    found = loss_with(torch.eye(3)[[1, 2]], logits)
    for row, (place, rule) in enumerate(zip(PLACES.tolist(), (7, 11), strict=True)):
        expected = F.cross_entropy(logits[row, place - 1], torch.tensor(rule))
        torch.testing.assert_close(found[row, place - 1], expected)
        found[row, place - 1] = 0.0
    assert (found == 0).all()


def test_an_unsure_teacher_is_the_mean_of_sure_ones() -> None:
    logits = torch.randn(2, 6, 20, generator=torch.Generator().manual_seed(1))
    sure = [loss_with(torch.eye(3)[[rule, rule]], logits) for rule in range(3)]
    unsure = loss_with(torch.tensor([[0.2, 0.5, 0.3]]).expand(2, -1), logits)
    torch.testing.assert_close(unsure, 0.2 * sure[0] + 0.5 * sure[1] + 0.3 * sure[2])
