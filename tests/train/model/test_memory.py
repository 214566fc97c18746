"""The night memory: causal, one small state, the same step by step as over a night."""

from __future__ import annotations

import pytest
import torch
from eegvlm_train.model import EegVlmForConditionalGeneration, preset
from eegvlm_train.model.memory import NightMemory, mean_opinion

FEATURES, EPOCHS, NIGHTS = 12, 20, 3


@pytest.fixture(scope="module")
def memory() -> NightMemory:
    torch.manual_seed(0)
    return NightMemory(FEATURES, 5, size=4, members=3).eval()


def nights(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(NIGHTS, EPOCHS, FEATURES, generator=generator)
    logits = 3.0 * torch.randn(NIGHTS, EPOCHS, 5, generator=generator)
    present = (torch.rand(NIGHTS, EPOCHS, 1, generator=generator) > 0.3).float()
    return features, logits, present


@torch.no_grad()
def test_epoch_by_epoch_is_the_same_as_a_whole_night(memory: NightMemory) -> None:
    features, logits, present = nights()
    opinions, states = memory.read_nights(features, logits, present)
    whole = mean_opinion(opinions)
    state = torch.zeros(NIGHTS, memory.state_size)
    for epoch in range(EPOCHS):
        given, state = memory(features[:, epoch], logits[:, epoch], present[:, epoch], state)
        torch.testing.assert_close(given, whole[:, epoch], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(state, states[:, epoch], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(given.exp().sum(-1), torch.ones(NIGHTS), atol=1e-4, rtol=0.0)


@torch.no_grad()
def test_a_night_goes_on_from_a_state(memory: NightMemory) -> None:
    features, logits, present = nights()
    opinions, states = memory.read_nights(features, logits, present)
    tail, after = memory.read_nights(features[:, 8:], logits[:, 8:], present[:, 8:], states[:, 7])
    torch.testing.assert_close(tail, opinions[:, :, 8:])
    torch.testing.assert_close(after, states[:, 8:])


@torch.no_grad()
def test_nothing_that_comes_later_changes_an_epoch(memory: NightMemory) -> None:
    features, logits, present = nights()
    before, _ = memory.read_nights(features, logits, present)
    changed = features.clone()
    changed[:, 10:] += 1.0
    present[:, 10:] = 1.0
    after, _ = memory.read_nights(changed, logits, present)
    assert torch.equal(before[:, :, :10], after[:, :, :10])
    assert not torch.equal(before[:, :, 10:], after[:, :, 10:])


@torch.no_grad()
def test_what_an_absent_epoch_holds_does_not_matter_but_that_time_has_passed_does(
    memory: NightMemory,
) -> None:
    features, logits, present = nights()
    present[:, 5] = 0.0
    other_features, other_logits = features.clone(), logits.clone()
    other_features[:, 5], other_logits[:, 5] = 7.0, torch.arange(5.0)
    expected, states = memory.read_nights(features, logits, present)
    found, same = memory.read_nights(other_features, other_logits, present)
    assert torch.equal(expected, found)
    assert torch.equal(states, same)
    assert not torch.equal(states[:, 4], states[:, 5])


def test_nanos_state_is_of_a_few_kilobytes_and_gives_one_token() -> None:
    model = EegVlmForConditionalGeneration(preset("nano")).eval()
    config = model.config
    assert model.memory.state_size * 4 <= 4096
    with torch.no_grad():
        logits, token, state = model.remember(
            torch.randn(2, config.pooled_size),
            torch.randn(2, 5),
            torch.ones(2, 1),
            torch.zeros(2, model.memory.state_size),
        )
        expected = model.memory_token(torch.cat([state, logits.softmax(-1)], dim=-1))
    assert token.shape == (2, config.text_config.hidden_size)
    torch.testing.assert_close(token, expected)


@pytest.mark.parametrize("name", ["edge", "paper"])
def test_the_papers_sizes_have_no_memory(name: str) -> None:
    with torch.device("meta"):
        model = EegVlmForConditionalGeneration(preset(name))
    assert not any("memory" in weight for weight in model.state_dict())
