"""LoRA beside the language model: what is trained, what is written, and that it merges alike everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from eegvlm_export.weights.adapters import Adapter
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration, EegVlmProcessor
from eegvlm_train.model.lora import add_adapters, merge, merged_state, quantize, save_adapter
from eegvlm_train.model.tokenizer import build_tokenizer, model_vocabulary
from eegvlm_train.settings import LanguageSettings
from torch import nn
from transformers import CLIPVisionConfig, ConvNextConfig, LlamaConfig

from eegvlm_rt.rendering.renderer import RenderSpec

SETTINGS = LanguageSettings(tuning="lora", lora_rank=4, lora_alpha=12, lora_dropout=0.0, ema_decay=0.0)
TOKENIZER = build_tokenizer()


def tiny() -> EegVlmForConditionalGeneration:
    torch.manual_seed(3)
    config = EegVlmConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            patch_size=28,
            image_size=112,
        ),
        enhancement_config=ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2),
        text_config=LlamaConfig(
            vocab_size=model_vocabulary(TOKENIZER),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            pad_token_id=0,
            tie_word_embeddings=False,
        ),
        render=RenderSpec(width=112, height=112, rows=2).to_dict(),
    )
    return EegVlmForConditionalGeneration(config).eval()


def trained(settings: LanguageSettings) -> EegVlmForConditionalGeneration:
    """The tiny model as a training would leave it: every trained weight moved."""
    model = tiny()
    add_adapters(model, settings)
    torch.manual_seed(5)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.05 * torch.randn_like(p))
                p.copy_(p.half().float())
    return model


def answer(model: EegVlmForConditionalGeneration) -> torch.Tensor:
    ids = torch.tensor([[3] * model.config.num_visual_tokens + [7, 8, 9]])
    pixels = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids, pixel_values=pixels).logits
    return logits


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base checkpoint and an adapter trained on it."""
    base, adapter = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("adapter")
    model = tiny()
    model.save_pretrained(base)
    EegVlmProcessor.for_config(model.config, TOKENIZER).save_pretrained(base)
    save_adapter(trained(SETTINGS), SETTINGS, adapter)
    return base, adapter


def test_adapters_and_embeddings_are_trained_and_layers_are_not() -> None:
    model = tiny()
    add_adapters(model, SETTINGS)
    language = {name for name, p in model.language_model.named_parameters() if p.requires_grad}
    assert {name for name in language if "lora_" not in name} == {
        "model.embed_tokens.weight",
        "lm_head.weight",
    }
    assert len({name for name in language if "lora_A" in name}) == 2 * 7
    assert torch.equal(answer(model), answer(tiny()))


def test_merged_weights_answer_as_the_adapters_do() -> None:
    model = trained(SETTINGS)
    merged = tiny()
    merged.load_state_dict(merged_state(model, SETTINGS.lora_alpha / SETTINGS.lora_rank))
    torch.testing.assert_close(answer(merged), answer(model), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(answer(merged), answer(tiny()), atol=1e-3)


def test_an_adapter_merges_into_its_checkpoint(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, adapter = folders
    merge(base, adapter, tmp_path)
    merged = EegVlmForConditionalGeneration.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(answer(merged), answer(trained(SETTINGS)), atol=2e-3, rtol=2e-3)
    assert EegVlmProcessor.from_pretrained(tmp_path).tokenizer.to_str() == TOKENIZER.to_str()


def test_the_exporter_merges_it_alike(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, folder = folders
    merge(base, folder, tmp_path)
    merged = EegVlmForConditionalGeneration.from_pretrained(tmp_path).state_dict()
    adapter = Adapter(folder)
    weights = EegVlmForConditionalGeneration.from_pretrained(base).state_dict()
    for name, weight in weights.items():
        torch.testing.assert_close(adapter.apply(name, weight), merged[name], atol=1e-6, rtol=1e-5)
    assert adapter.names <= set(weights)


def test_an_adapter_of_another_model_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    _, adapter = folders
    other = tiny()
    other.config.text_config.num_hidden_layers = 1
    EegVlmForConditionalGeneration(other.config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"adapter: language_model\.model\.layers\.1\..*has no such weight"):
        merge(tmp_path, adapter, tmp_path / "out")


def test_layers_in_four_bits_stay_near_and_are_not_merged() -> None:
    settings = LanguageSettings(tuning="qlora", lora_rank=4, lora_alpha=8, ema_decay=0.0)
    model = tiny()
    add_adapters(model, settings)
    model.to("cpu")
    packed = [m for name, m in model.named_modules() if name.endswith("base_layer")]
    assert len(packed) == 2 * 7
    assert all(layer.weight.dtype == torch.uint8 for layer in packed)
    plain = answer(tiny())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        error = (answer(model).float() - plain).norm() / plain.norm()
    assert 0.0 < error.item() < 0.2
    with pytest.raises(ValueError, match="in 4 bits; merge its adapter"):
        merged_state(model, 2.0)


def test_layers_that_four_bits_cannot_hold_are_named() -> None:
    model = tiny()
    wrong = nn.Linear(96, 64, bias=False)
    model.language_model.model.layers[0].mlp.down_proj = wrong
    with pytest.raises(ValueError, match="tuning: 'qlora' with layers of 96 x 64; 4-bit weights"):
        quantize(model.language_model)
