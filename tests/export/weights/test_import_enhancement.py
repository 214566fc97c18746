"""A module that was trained here comes to a LLaVA with its pictures, its stages and its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from eegvlm_export.weights.checkpoint import Checkpoint
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration, EegVlmProcessor
from eegvlm_train.model.assembly import NIGHT_TOKEN
from eegvlm_train.model.tokenizer import build_tokenizer, model_vocabulary
from eegvlm_train.model.trace import TraceConfig

from eegvlm_rt.errors import CheckpointError
from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.rendering.renderer import RenderSpec
from tests.export.weights.llava_models import imported, random_llava, save_llava

PROMPT = PromptSpec(night=NIGHT_TOKEN)
TOKENIZER = build_tokenizer(PROMPT)


def small(**fields: Any) -> EegVlmForConditionalGeneration:
    """What `train-memory` leaves: eyes of its own size, a trace reader of two rows unless told otherwise."""
    torch.manual_seed(11)
    trace = TraceConfig(
        rows=2, image_size=56, stem_size=8, hidden_sizes=(8, 12), strides=(2, 7), depths=(1, 1)
    )
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    given = {
        "vision_config": transformers.CLIPVisionConfig(**sizes, image_size=56, patch_size=14),
        "enhancement_config": trace,
        "text_config": transformers.LlamaConfig(vocab_size=model_vocabulary(TOKENIZER), **text),
        "memory_size": 6,
        "memory_members": 2,
        "render": RenderSpec(width=56, height=56, rows=2, uv_range=80.0).to_dict(),
    }
    return EegVlmForConditionalGeneration(EegVlmConfig(**given | fields)).eval()


def saved(model: EegVlmForConditionalGeneration, folder: Path) -> Path:
    model.save_pretrained(folder)
    prompt = PROMPT if model.config.memory_size else PromptSpec()
    EegVlmProcessor.for_config(model.config, TOKENIZER, prompt).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llava(random_llava(), tmp_path_factory.mktemp("llava") / "llava")


def test_a_trace_reader_brings_its_pictures_its_memory_and_a_place_for_its_token(
    source: Path, tmp_path: Path
) -> None:
    module = small()
    result = imported(source, enhancement=saved(module, tmp_path / "memory"), out=tmp_path / "out")
    loaded = Checkpoint.load(result.path)
    assert loaded.config.render == module.config.render
    assert loaded.processor.prompt.night == NIGHT_TOKEN
    assert loaded.untrained == ("language_model",)
    assert {name.partition(".")[0] for name in result.untrained} == {"memory_token"}
    whole = loaded.model
    pixels = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        theirs, ours = module.enhancement(pixels), whole.enhancement(pixels)
        torch.testing.assert_close(ours.stage_logits, theirs.stage_logits)
        # Features of 16 numbers in those of 32: the rest is zero until it is trained.
        torch.testing.assert_close(ours.high[..., :16], theirs.high)
        assert not ours.high[..., 16:].any()
        state = torch.zeros(2, module.memory.state_size)
        present = torch.ones(2, 1)
        before = module.memory(theirs.pooled, theirs.stage_logits, present, state)
        after = whole.memory(ours.pooled, ours.stage_logits, present, state)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)
    assert whole.visual(pixels).visual_tokens.shape == (2, 32, 64)


def test_a_convolutional_module_is_widened_to_the_tower_and_says_the_same(
    source: Path, tmp_path: Path
) -> None:
    kind = transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    module = small(enhancement_config=kind, memory_size=0)
    result = imported(source, enhancement=saved(module, tmp_path / "plain"), out=tmp_path / "out")
    assert result.untrained == ()
    pixels = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours = Checkpoint.load(result.path).model.enhancement(pixels).stage_logits
        torch.testing.assert_close(ours, module.enhancement(pixels).stage_logits)


def test_what_the_module_lacks_of_training_is_not_forgotten(source: Path, tmp_path: Path) -> None:
    module = small(untrained=["enhancement", "language_model"])
    result = imported(source, enhancement=saved(module, tmp_path / "random"), out=tmp_path / "out")
    assert Checkpoint.load(result.path).untrained == ("enhancement", "language_model")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 112}, "--enhancement: reads pictures of 112 x 112; the tower sees 56 x 56: train one with"),
        ({"width": 64}, "--enhancement: features of 64; the tower's have 32: train one with --base"),
    ],
)
def test_a_module_that_does_not_fit_the_tower_is_refused(
    source: Path, tmp_path: Path, fields: dict[str, int], message: str
) -> None:
    size, width = fields.get("size", 56), fields.get("width", 16)
    sizes = {"hidden_size": width, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    module = small(
        vision_config=transformers.CLIPVisionConfig(**sizes, image_size=size, patch_size=size // 4),
        enhancement_config=TraceConfig(
            rows=2, image_size=size, stem_size=8, hidden_sizes=(8, 12), strides=(2, 7), depths=(1, 1)
        ),
        render=RenderSpec(width=size, height=size, rows=2).to_dict(),
    )
    with pytest.raises(CheckpointError) as caught:
        imported(source, enhancement=saved(module, tmp_path / "other"), out=tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()
