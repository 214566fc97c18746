"""LLaVA-1.5 in every layout it comes in: the imported network gives the source network's numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import peft
import pytest
import torch
import transformers
from eegvlm_export.cli import main
from eegvlm_export.weights.checkpoint import Checkpoint
from eegvlm_export.weights.import_llava import import_checkpoint
from eegvlm_export.weights.layouts import llava_name
from eegvlm_train.model.tokenizer import build_tokenizer, model_vocabulary
from safetensors.torch import load_file, save_file

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
}
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def llava() -> transformers.LlavaForConditionalGeneration:
    torch.manual_seed(3)
    rows = model_vocabulary(build_tokenizer())
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION),
        text_config=transformers.LlamaConfig(vocab_size=rows, tie_word_embeddings=False, **TEXT),
        image_token_id=3,
        vision_feature_layer=-2,
    )
    model = transformers.LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def written(model: torch.nn.Module, folder: Path, **options: object) -> Path:
    """What transformers itself writes, with a tokenizer."""
    model.save_pretrained(folder, **options)  # type: ignore[operator]
    build_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def tensors(folder: Path) -> Tensors:
    found: Tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def plain(model: transformers.LlavaForConditionalGeneration) -> tuple[Tensors, Tensors, Tensors]:
    """Language model, vision tower and projector under the names of their own classes."""
    inner = model.model
    language = {f"model.{k}": v for k, v in inner.language_model.state_dict().items()}
    language["lm_head.weight"] = model.lm_head.weight.detach()
    return language, inner.vision_tower.state_dict(), inner.multi_modal_projector.state_dict()


def relaid(model: transformers.LlavaForConditionalGeneration, folder: Path, layout: str) -> Path:
    """The checkpoint in a layout that older programs wrote."""
    language, vision, projector = ({k: v.contiguous() for k, v in part.items()} for part in plain(model))
    folder.mkdir()
    build_tokenizer().save(str(folder / "tokenizer.json"))
    vision = {f"vision_model.{name.removeprefix('vision_model.')}": value for name, value in vision.items()}
    if layout == "old":
        named = {f"language_model.{k}": v for k, v in language.items()}
        named |= {f"vision_tower.{k}": v for k, v in vision.items()}
        named |= {f"multi_modal_projector.{k}": v for k, v in projector.items()}
        (folder / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))
        save_file(named, folder / "model.safetensors")
        return folder
    if layout == "new":
        named = {
            (
                "lm_head.weight"
                if k == "lm_head.weight"
                else f"model.language_model.{k.removeprefix('model.')}"
            ): v
            for k, v in language.items()
        }
        named |= {f"model.vision_tower.{k}": v for k, v in vision.items()}
        named |= {f"model.multi_modal_projector.{k}": v for k, v in projector.items()}
        (folder / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))
        save_file(named, folder / "model.safetensors")
        return folder
    layers = {"linear_1": "0", "linear_2": "2"}
    projected = {
        f"model.mm_projector.{layers[k.partition('.')[0]]}.{k.partition('.')[2]}": v
        for k, v in projector.items()
    }
    fields = model.config.text_config.to_dict() | {
        "model_type": "llava_llama",
        "mm_vision_tower": "clip",
        "mm_vision_select_layer": -2,
        "mm_projector_type": "mlp2x_gelu",
    }
    (folder / "config.json").write_text(json.dumps(fields, default=str))
    first = {k: v for k, v in language.items() if ".1." not in k}
    second = {k: v for k, v in language.items() if k not in first} | projected
    places = {}
    for number, part in enumerate((first, second), 1):
        name = f"pytorch_model-{number:05d}-of-00002.bin"
        torch.save(part, folder / name)
        places |= dict.fromkeys(part, name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    return folder


def clip_folder(model: transformers.LlavaForConditionalGeneration, folder: Path) -> Path:
    """The tower as a CLIP model of transformers, text side and all."""
    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    clip = transformers.CLIPModel(
        transformers.CLIPConfig(vision_config=VISION, text_config=text | {"vocab_size": 16})
    )
    clip.vision_model.load_state_dict(
        {k.removeprefix("vision_model."): v for k, v in plain(model)[1].items()}, strict=False
    )
    clip.save_pretrained(folder)
    return folder


def convnext_folder(folder: Path) -> tuple[transformers.ConvNextModel, Path]:
    torch.manual_seed(5)
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    model = transformers.ConvNextForImageClassification(config).eval()
    model.save_pretrained(folder)
    return model.convnext, folder


def equal(model: transformers.LlavaForConditionalGeneration, folder: Path) -> None:
    """The language model, and what the projector makes of the tower, are the source's."""
    ours = Checkpoint.load(folder).model
    ids = torch.tensor([[1, 5, 9, 100, 40]])
    picture = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = model.config.text_config.vocab_size
        expected = model(input_ids=ids).logits
        torch.testing.assert_close(ours.language_model(input_ids=ids).logits[..., :rows], expected)
        states = model.model.vision_tower(picture, output_hidden_states=True).hidden_states[-2][:, 1:]
        projected = model.model.multi_modal_projector(states)
        found = ours.visual(picture).visual_tokens[:, : projected.shape[1]]
        torch.testing.assert_close(found, projected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", ["transformers", "old", "new"])
def test_the_hugging_face_layouts(
    llava: transformers.LlavaForConditionalGeneration, layout: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    if layout == "transformers":
        written(llava, source, max_shard_size="100KB")
        assert len(list(source.glob("*.safetensors"))) > 2
    else:
        relaid(llava, source, layout)
    drawn = import_checkpoint(source, tmp_path / "out").untrained
    assert all(name.startswith("enhancement.") for name in drawn)
    equal(llava, tmp_path / "out")


def test_the_original_layout_with_clip_and_convnext_apart(
    llava: transformers.LlavaForConditionalGeneration, tmp_path: Path
) -> None:
    source = relaid(llava, tmp_path / "source", "original")
    clip = clip_folder(llava, tmp_path / "clip")
    convnext, enhancement = convnext_folder(tmp_path / "convnext")
    drawn = import_checkpoint(
        source, tmp_path / "out", clip=clip, enhancement=enhancement, shard_bytes=100_000
    ).untrained
    equal(llava, tmp_path / "out")
    assert {name.split(".")[1] for name in drawn} == {"to_high", "stage_head"}
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 2
    picture = torch.randn(1, 3, 56, 56)
    ours = Checkpoint.load(tmp_path / "out").model.enhancement.backbone
    with torch.no_grad():
        torch.testing.assert_close(ours(picture).pooler_output, convnext(picture).pooler_output)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_a_lora_adapter_is_merged_as_peft_merges_it(
    llava: transformers.LlavaForConditionalGeneration, tmp_path: Path
) -> None:
    source = relaid(llava, tmp_path / "source", "original")
    language = transformers.LlamaForCausalLM(llava.config.text_config)
    language.load_state_dict(plain(llava)[0])
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
    adapted = peft.get_peft_model(language, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1)
    adapted.save_pretrained(tmp_path / "lora")
    trained = {
        f"base_model.model.model.mm_projector.{number}.{part}": torch.randn_like(
            llava.model.multi_modal_projector.get_parameter(f"{layer}.{part}")
        )
        for number, layer in ((0, "linear_1"), (2, "linear_2"))
        for part in ("weight", "bias")
    }
    torch.save(trained, tmp_path / "lora" / "non_lora_trainables.bin")
    clip = clip_folder(llava, tmp_path / "clip")
    import_checkpoint(source, tmp_path / "out", clip=clip, adapter=tmp_path / "lora")
    ours = Checkpoint.load(tmp_path / "out").model
    ids = torch.tensor([[1, 5, 9, 100, 40]])
    with torch.no_grad():
        expected = adapted.merge_and_unload()(input_ids=ids).logits
        found = ours.language_model(input_ids=ids).logits[..., : expected.shape[-1]]
    torch.testing.assert_close(found, expected)
    wanted = trained["base_model.model.model.mm_projector.2.bias"]
    torch.testing.assert_close(ours.projector.linear_2.bias.detach(), wanted)


def test_weights_of_another_model_are_named() -> None:
    with pytest.raises(ValueError, match=r"transformer\.h\.0"):
        llava_name("transformer.h.0.attn.c_attn.weight")
    assert llava_name("model.layers.0.self_attn.rotary_emb.inv_freq") is None


def test_a_missing_tower_and_a_missing_shard_are_told(
    llava: transformers.LlavaForConditionalGeneration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = relaid(llava, tmp_path / "source", "original")
    assert main(["import", str(source), "-o", str(tmp_path / "out")]) == 2
    assert re.search(r"vision_tower.*--clip", capsys.readouterr().err)
    (source / "pytorch_model-00002-of-00002.bin").unlink()
    assert main(["import", str(source), "-o", str(tmp_path / "out")]) == 2
    assert "pytorch_model-00002" in capsys.readouterr().err
