"""Several memories as one: every member says what it said, and the language model reads what it read."""

from __future__ import annotations

import pytest
import torch
from eegvlm_train.model import EegVlmForConditionalGeneration, preset
from eegvlm_train.model.joined_memory import join_memories, joined
from eegvlm_train.model.memory import NightMemory, mean_opinion

FEATURES, EPOCHS, NIGHTS = 12, 20, 3


def memory(seed: int, size: int = 4, members: int = 2) -> NightMemory:
    torch.manual_seed(seed)
    own = NightMemory(FEATURES, 5, size, members).eval()
    # A trained norm scales and shifts.
    torch.nn.init.uniform_(own.norm.weight, 0.5, 2.0)
    torch.nn.init.normal_(own.norm.bias)
    return own


def nights() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(9)
    present = (torch.rand(NIGHTS, EPOCHS, 1) > 0.3).float()
    return torch.randn(NIGHTS, EPOCHS, FEATURES), 3.0 * torch.randn(NIGHTS, EPOCHS, 5), present


@torch.no_grad()
def test_every_member_gives_the_opinions_that_it_gave() -> None:
    parts = [memory(0), memory(1, members=3)]
    whole = joined(parts)
    opinions, states = whole.read_nights(*nights())
    apart = [part.read_nights(*nights()) for part in parts]
    torch.testing.assert_close(opinions, torch.cat([each[0] for each in apart]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(states, torch.cat([each[1] for each in apart], -1), atol=1e-5, rtol=1e-4)
    assert whole.members == 5


@torch.no_grad()
def test_the_whole_gives_the_mean_of_all_members() -> None:
    parts = [memory(0), memory(1)]
    opinions, _ = joined(parts).read_nights(*nights())
    apart = torch.cat([part.read_nights(*nights())[0] for part in parts])
    torch.testing.assert_close(mean_opinion(opinions), mean_opinion(apart), atol=1e-5, rtol=1e-4)


def test_memories_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="memories: units of 6; the first has 4"):
        joined([memory(0), memory(1, size=6)])


@pytest.fixture(scope="module")
def base() -> EegVlmForConditionalGeneration:
    torch.manual_seed(2)
    return EegVlmForConditionalGeneration(preset("nano")).eval()


@torch.no_grad()
def test_the_language_model_reads_what_it_read_of_the_base(base: EegVlmForConditionalGeneration) -> None:
    own = base.memory.state_size
    states, logits = torch.randn(4, own), torch.randn(4, 5)
    before = base.night_token(states, logits)
    torch.manual_seed(3)
    other = EegVlmForConditionalGeneration(preset("nano")).eval()
    other.enhancement.load_state_dict(base.enhancement.state_dict())
    whole = join_memories(base, [other])
    more = torch.cat([states, torch.randn(4, own)], -1)
    assert whole.config.memory_members == 8
    torch.testing.assert_close(whole.night_token(more, logits), before, atol=1e-5, rtol=1e-5)


def test_a_memory_of_another_enhancement_module_is_refused(base: EegVlmForConditionalGeneration) -> None:
    torch.manual_seed(4)
    other = EegVlmForConditionalGeneration(preset("nano"))
    with pytest.raises(ValueError, match="number 1 reads another enhancement module"):
        join_memories(base, [other])


def test_a_model_without_a_memory_is_refused(base: EegVlmForConditionalGeneration) -> None:
    config = preset("nano")
    config.memory_size = 0
    with pytest.raises(ValueError, match="number 1 has no memory"):
        join_memories(base, [EegVlmForConditionalGeneration(config)])
