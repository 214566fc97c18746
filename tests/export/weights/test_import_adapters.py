"""Adapters as peft writes them: merged as peft merges them, or refused by name; nothing is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from eegvlm_export.weights.layouts import adapted_name
from peft.tuners.lora import LoraConfig
from safetensors.torch import load_file, save_file

from eegvlm_rt.errors import CheckpointError
from tests.export.weights.llava_models import (
    imported,
    largest_difference,
    llama_tokenizer,
    random_llava,
    reloaded,
    save_llava,
    stored,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`.*:UserWarning"),
    # peft takes the bias of a pair for a shard
    pytest.mark.filterwarnings(r"ignore:Adapter 'default'.*lora_B\.bias"),
]

QV = ["q_proj", "v_proj"]
MERGED: dict[str, dict[str, Any]] = {
    "plain": {},
    "every projection": {"target_modules": "all-linear"},
    "vision tower and projector": {"target_modules": ["fc1", "linear_1", "linear_2", "out_proj"]},
    "rsLoRA": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "DoRA and rsLoRA": {"use_dora": True, "use_rslora": True},
    "patterns of rank and alpha": {
        "rank_pattern": {r"layers\.1\.self_attn\.q_proj": 2},
        "alpha_pattern": {"v_proj": 32, r"layers\.1\.self_attn\.q_proj": 5},
    },
    "one layer": {"layers_to_transform": [1], "layers_pattern": "layers"},
    "biases of all": {"bias": "all"},
    "biases of what is adapted": {"bias": "lora_only", "target_modules": ["q_proj", "linear_1"]},
    "biases in the pair": {"lora_bias": True, "target_modules": ["linear_1"]},
    "biases in the pair, rsLoRA, other alpha": {
        "lora_bias": True,
        "use_rslora": True,
        "alpha_pattern": {"linear_2": 3},
        "target_modules": ["linear_1", "linear_2"],
    },
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "whole tables": {"modules_to_save": ["lm_head", "embed_tokens"]},
    "whole projector": {"modules_to_save": ["multi_modal_projector"]},
    "rows of the embedding": {"trainable_token_indices": [5, 6, 9]},
    "rows of both tables": {"trainable_token_indices": {"embed_tokens": [5, 6], "lm_head": [7]}},
    "orthogonal start": {"init_lora_weights": "orthogonal"},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "DoRA of an embedding": ({"use_dora": True, "target_modules": ["embed_tokens"]}, "DoRA of an embedding"),
    "PiSSA": ({"init_lora_weights": "pissa"}, "init_lora_weights: pissa; .*path_initial_model"),
    "OLoRA": ({"init_lora_weights": "olora"}, "init_lora_weights: olora"),
}


def trained(folder: Path, out: Path, **options: Any) -> transformers.LlavaForConditionalGeneration:
    """Writes an adapter on the model in `folder` with every trained number moved; the model peft merges."""
    base = transformers.LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(11)
    config = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": QV} | options)
    adapted = peft.get_peft_model(base, config)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    adapted.save_pretrained(out)
    merged = adapted.merge_and_unload().eval()
    for parameter in merged.parameters():
        parameter.requires_grad_(False)
    return merged


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    file = folder / "adapter_config.json"
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llava(random_llava(), tmp_path_factory.mktemp("adapters") / "base")


@pytest.fixture
def plain(base: Path, tmp_path: Path) -> Path:
    trained(base, tmp_path / "lora")
    return tmp_path / "lora"


def merged_here(base: Path, adapter: Path, tmp_path: Path) -> Path:
    """The base imported with the adapter, below a folder of this test's own."""
    link = tmp_path / "base"
    link.symlink_to(base, target_is_directory=True)
    return imported(link, adapter=adapter).path


@pytest.mark.parametrize("kind", MERGED)
def test_it_is_merged_as_peft_merges_it(kind: str, base: Path, tmp_path: Path) -> None:
    merged = trained(base, tmp_path / "lora", **MERGED[kind])
    plain = reloaded(base)
    out = merged_here(base, tmp_path / "lora", tmp_path)
    assert largest_difference(merged, out) < 1e-4
    assert largest_difference(plain, out) > 1e-3
    weights = stored(out)
    for name, value in merged.state_dict().items():
        ours = weights[str(adapted_name(name))]
        torch.testing.assert_close(ours[: len(value)], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_cannot_be_merged_is_refused_by_name(kind: str, base: Path, tmp_path: Path) -> None:
    options, message = REFUSED[kind]
    trained(base, tmp_path / "lora", **options)
    with pytest.raises(CheckpointError, match=message):
        merged_here(base, tmp_path / "lora", tmp_path)
    assert not list(tmp_path.glob("*imported*"))


def test_other_methods_of_peft_are_refused(base: Path, tmp_path: Path) -> None:
    model = transformers.LlavaForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    config = peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    peft.get_peft_model(model, config).save_pretrained(tmp_path / "ia3")
    with pytest.raises(CheckpointError, match="peft_type: IA3"):
        merged_here(base, tmp_path / "ia3", tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"base_model\.model\.model\.language_model\.", "base_model.model.language_model.model."),
        (r"base_model\.model\.model\.language_model\.", "base_model.model.model."),
        (r"base_model\.model\.model\.language_model\.", "language_model.model."),
        (r"lora_([AB])\.weight", r"lora_\1.default.weight"),
    ],
    ids=["transformers before 4.52", "LLaVA's own", "without peft's prefix", "a raw dump"],
)
def test_names_are_mapped_on_both_sides(old: str, new: str, base: Path, plain: Path, tmp_path: Path) -> None:
    merged = trained(base, tmp_path / "again")
    file = plain / "adapter_model.safetensors"
    save_file({re.sub(old, new, name): value for name, value in load_file(file).items()}, file)
    assert largest_difference(merged, merged_here(base, plain, tmp_path)) < 1e-4


def drop(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "adapter_model.safetensors"
        save_file({name: v for name, v in load_file(file).items() if not re.search(pattern, name)}, file)

    return change


def rename(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "adapter_model.safetensors"
        save_file({name.replace(old, new): value for name, value in load_file(file).items()}, file)

    return change


def cut(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    save_file({name: value[:, :-1].contiguous() for name, value in load_file(file).items()}, file)


def broken(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    save_file({name: value / 0.0 for name, value in load_file(file).items()}, file)


def packed(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    save_file({name: value.to(torch.int8) for name, value in load_file(file).items()}, file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop(r"layers\.0.*q_proj\.lora_B"), "has one of A and B"),
        (rename("layers.1.", "layers.7."), r"layers\.7\."),
        (rename("q_proj", "query"), "self_attn.query"),
        (rename("model.language_model", "transformer"), "adapter: transformer.*no weight of LLaVA-1.5"),
        (cut, "shape does not fit"),
        (broken, "inf or nan"),
        (packed, "quantized"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "no adapter_model.safetensors"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "no adapter_config.json"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    change: Callable[[Path], None], message: str, base: Path, plain: Path, tmp_path: Path
) -> None:
    change(plain)
    with pytest.raises(CheckpointError, match=message):
        merged_here(base, plain, tmp_path)
    assert not list(tmp_path.glob("*imported*"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modules_to_save", ["lm_head"]),
        ("use_dora", True),
        ("fan_in_fan_out", True),
        ("target_parameters", ["mlp.experts"]),
        ("layer_replication", [[0, 2]]),
        ("alora_invocation_tokens", [3, 4]),
        ("kasa_config", {"beta": 1}),
        ("a_method_of_tomorrow", {"on": True}),
        ("lora_alpha", "16"),
        ("alpha_pattern", {"(": 4}),
    ],
)
def test_a_field_that_its_tensors_do_not_bear_out_is_refused(
    field: str, value: Any, base: Path, plain: Path, tmp_path: Path
) -> None:
    edited(plain, lambda fields: fields.update({field: value}))
    with pytest.raises(CheckpointError, match=field):
        merged_here(base, plain, tmp_path)


def test_rows_that_are_not_as_many_as_named_are_refused(base: Path, tmp_path: Path) -> None:
    trained(base, tmp_path / "lora", trainable_token_indices=[5, 6])
    edited(tmp_path / "lora", lambda fields: fields.update(trainable_token_indices=[5]))
    with pytest.raises(CheckpointError, match="trainable_token_indices"):
        merged_here(base, tmp_path / "lora", tmp_path)


def test_tied_tables_that_an_adapter_changes_are_refused(tmp_path: Path) -> None:
    source = save_llava(random_llava(text_fields={"tie_word_embeddings": True}), tmp_path / "tied")
    trained(source, tmp_path / "plain")
    merged = trained(source, tmp_path / "plain")
    assert largest_difference(merged, imported(source, adapter=tmp_path / "plain").path) < 1e-4
    trained(source, tmp_path / "rows", trainable_token_indices=[5])
    with pytest.raises(CheckpointError, match=r"tie_word_embeddings: .*embed_tokens"):
        imported(source.rename(tmp_path / "again"), adapter=tmp_path / "rows")


def test_a_table_that_grew_in_training_keeps_its_rows(tmp_path: Path) -> None:
    tokenizer = llama_tokenizer()
    rows = tokenizer.get_vocab_size()
    source = save_llava(
        random_llava(text_fields={"vocab_size": rows}), tmp_path / "base", tokenizer=tokenizer
    )
    model = transformers.LlavaForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
    tokenizer.add_tokens(["<spindle>", "<k-complex>"])
    model.resize_token_embeddings(tokenizer.get_vocab_size(), mean_resizing=False)
    adapted = peft.get_peft_model(
        model, LoraConfig(r=4, target_modules=QV, modules_to_save=["lm_head", "embed_tokens"])
    )
    adapted.save_pretrained(tmp_path / "lora")
    with pytest.raises(CheckpointError, match=f"adapter: {rows + 2} rows.*tokenizer.json"):
        imported(source, adapter=tmp_path / "lora")
    tokenizer.save(str(tmp_path / "lora" / "tokenizer.json"))
    out = imported(source, adapter=tmp_path / "lora").path
    table = stored(out)["language_model.model.embed_tokens.weight"]
    trained_rows = adapted.merge_and_unload().get_input_embeddings().weight.detach()
    torch.testing.assert_close(table[: rows + 2], trained_rows)
