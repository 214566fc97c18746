"""A decoder of fixed buffers gives the logits of the network it walks."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks._static_decoder import StaticDecoder


def network(kv_heads: int) -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=90,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=kv_heads,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("kv_heads", [6, 2])
@torch.inference_mode()
def test_prefill_single_tokens_and_runs_of_tokens_give_the_networks_own_logits(kv_heads: int) -> None:
    llama = network(kv_heads)
    ids = torch.randint(0, 90, (1, 23), generator=torch.Generator().manual_seed(1))
    expected = llama(input_ids=ids).logits[0]
    decoder = StaticDecoder(llama, 40)
    torch.testing.assert_close(decoder.prefill(llama.get_input_embeddings()(ids[:, :15])), expected[14])
    torch.testing.assert_close(decoder.feed(ids[0, 15:16].tolist()), expected[15])
    torch.testing.assert_close(decoder.feed(ids[0, 16:22].tolist()), expected[21])
    torch.testing.assert_close(decoder.feed(ids[0, 22:].tolist()), expected[22])
    assert decoder.length == 23


@torch.inference_mode()
def test_a_new_sequence_forgets_the_longer_one_before() -> None:
    llama = network(6)
    ids = torch.randint(0, 90, (1, 30), generator=torch.Generator().manual_seed(2))
    embeds = llama.get_input_embeddings()(ids)
    decoder = StaticDecoder(llama, 32)
    decoder.prefill(embeds)
    decoder.prefill(embeds[:, 5:12])
    found = decoder.feed(ids[0, 12:13].tolist())
    torch.testing.assert_close(found, llama(input_ids=ids[:, 5:13]).logits[0, -1])


@torch.inference_mode()
def test_a_sequence_longer_than_the_buffers_is_refused() -> None:
    decoder = StaticDecoder(network(6), 8)
    with pytest.raises(ValueError, match="9 tokens; the buffers hold 8"):
        decoder.prefill(torch.zeros(1, 9, 48))
    decoder.prefill(torch.zeros(1, 8, 48))
    with pytest.raises(ValueError, match="buffers hold 8"):
        decoder.feed([1])
