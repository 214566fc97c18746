"""Stored tensors: which files are read, that every one has its place, and that none is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from eegvlm_export.weights.checkpoint import Checkpoint
from eegvlm_export.weights.import_llava import main
from eegvlm_export.weights.shards import TensorFiles
from safetensors.torch import save_file

from eegvlm_rt.errors import CheckpointError
from eegvlm_rt.files import FOLDER_MARK
from eegvlm_rt.files.seal import is_ours
from tests.export.weights.llava_models import (
    VISION,
    Tensors,
    imported,
    largest_difference,
    random_llava,
    reloaded,
    save_llava,
    small_convnext,
    stored,
)

UP = "language_model.model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llava(random_llava(), tmp_path_factory.mktemp("weights") / "llava")


@pytest.fixture
def source(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "llava"))


def rewrite(source: Path, change: Callable[[Tensors], Any]) -> Path:
    tensors = stored(source)
    change(tensors)
    save_file(
        {name: value.contiguous().clone() for name, value in tensors.items()}, source / "model.safetensors"
    )
    return source


def shards(source: Path) -> list[Path]:
    """The whole file of `source` as two shards and their index."""
    tensors = stored(source)
    names = sorted(tensors)
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, source / file)
        places |= dict.fromkeys(part, file)
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (source / "model.safetensors").unlink()
    return sorted(source.glob("model-*.safetensors"))


def test_a_whole_file_is_read_though_an_index_outlived_its_shards(source: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00009.safetensors"}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    result = imported(source)
    assert largest_difference(reloaded(source), result.path) < 1e-4


def test_what_is_not_read_is_told(source: Path) -> None:
    torch.save({"lm_head.weight": torch.zeros(1)}, source / "pytorch_model.bin")
    shutil.copy(source / "model.safetensors", source / "model-00001-of-00002.safetensors")
    notes = imported(source).notes
    assert "not read: model-00001-of-00002.safetensors, pytorch_model.bin" in notes
    assert TensorFiles(source / "model.safetensors").unread == []


def test_shards_are_read_by_their_index(source: Path) -> None:
    expected = reloaded(source)
    shards(source)
    assert largest_difference(expected, imported(source).path) < 1e-4


def test_a_tensor_that_the_index_does_not_list_is_refused(source: Path) -> None:
    first = shards(source)[0]
    index = json.loads((source / "model.safetensors.index.json").read_text())
    lost = next(name for name, file in index["weight_map"].items() if file == first.name)
    del index["weight_map"][lost]
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=f"{first.name}: {lost}; its index does not list it"):
        imported(source)
    index["weight_map"] |= {lost: first.name, "no.such.weight": first.name}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"no\.such\.weight; its index lists it"):
        imported(source)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_pytorch_old_and_new(zipped: bool, source: Path) -> None:
    expected = reloaded(source)
    torch.save(stored(source), source / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    (source / "model.safetensors").unlink()
    assert largest_difference(expected, imported(source).path) < 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(UP), f"no weight {UP}"),
        (lambda t: t.pop(next(name for name in t if "class_emb" in name)), r"no weight .*class_emb"),
        (lambda t: t.update({UP: t[UP][:-1]}), r"up_proj.*\(95, 64\); .*\(96, 64\)"),
        (lambda t: t.update({UP: t[UP].to(torch.int8)}), "int8; .*quantized"),
        (lambda t: t.update({UP: t[UP].to(torch.float8_e4m3fn)}), "float8_e4m3fn; .*quantized"),
        (lambda t: t.update({UP: t[UP] / 0}), "inf or nan"),
        (lambda t: t.update({f"{UP}.absmax": torch.ones(1)}), "absmax"),
        (lambda t: t.update({"language_model.model.layers.2.mlp.up_proj.weight": t[UP]}), r"layers\.2\."),
        (lambda t: t.update({UP.removeprefix("language_model."): t[UP]}), "same place in the network"),
        (lambda t: t.update({"language_model.transformer.h.0.weight": t[UP]}), r"transformer\.h\.0"),
        (lambda t: t.update({"mm_projector.4.weight": t[UP]}), r"mm_projector\.4"),
    ],
)  # fmt: skip
def test_a_tensor_without_its_place_and_a_place_without_its_tensor(
    change: Callable[[Tensors], Any], message: str, source: Path
) -> None:
    rewrite(source, change)
    with pytest.raises(CheckpointError, match=message):
        imported(source)
    assert not list(source.parent.glob("*imported*"))


def frequencies(theta: float, dtype: torch.dtype) -> torch.Tensor:
    return (1.0 / theta ** (torch.arange(0, 16, 2).float() / 16)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_frequencies_that_older_versions_saved_are_those_of_the_configuration(
    dtype: torch.dtype, source: Path
) -> None:
    name = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq"
    rewrite(source, lambda t: t.update({name: frequencies(10000.0, dtype)}))
    imported(source)
    other = Path(shutil.copytree(source, source.with_name("other")))
    rewrite(other, lambda t: t.update({name: frequencies(500000.0, dtype)}))
    with pytest.raises(CheckpointError, match=r"rotary_emb\.inv_freq: other numbers; .*config\.json"):
        imported(other)


def test_positions_must_count(source: Path) -> None:
    name = "vision_tower.vision_model.embeddings.position_ids"
    rewrite(source, lambda t: t.update({name: torch.arange(17)[None]}))
    imported(source)
    other = Path(shutil.copytree(source, source.with_name("other")))
    rewrite(other, lambda t: t.update({name: torch.arange(17).flip(0)[None]}))
    with pytest.raises(CheckpointError, match="position_ids: other numbers"):
        imported(other)


def test_tied_tables_that_differ_are_refused(tmp_path: Path) -> None:
    def tied(fields: dict[str, Any]) -> None:
        fields["tie_word_embeddings"] = fields["text_config"]["tie_word_embeddings"] = True

    source = save_llava(random_llava(), tmp_path / "llava", tied)
    with pytest.raises(CheckpointError, match="tie_word_embeddings: True; lm_head is another table"):
        imported(source)


def test_a_tower_of_its_own_is_not_replaced_by_clip_and_this_is_told(source: Path, tmp_path: Path) -> None:
    torch.manual_seed(8)
    clip = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VISION))
    clip.save_pretrained(tmp_path / "clip")
    result = imported(source, clip=tmp_path / "clip")
    assert any("tower of its own" in note for note in result.notes)
    assert largest_difference(reloaded(source), result.path) < 1e-4


def test_an_enhancement_network_of_another_kind_is_refused(source: Path, tmp_path: Path) -> None:
    kind = transformers.ConvNextV2Config(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    transformers.ConvNextV2Model(kind).save_pretrained(tmp_path / "v2")
    with pytest.raises(CheckpointError, match=r"enhancement_config\.model_type.*convnextv2"):
        imported(source, enhancement=tmp_path / "v2")


def test_nothing_that_is_there_is_replaced(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "thesis.txt").write_text("mine")
    for target, why in (
        (kept, "is there already"),
        (kept / "thesis.txt", "no folder"),
        (source, "lies in the input"),
    ):
        assert main([str(source), "-o", str(target)]) == 2
        assert why in capsys.readouterr().err
    assert (kept / "thesis.txt").read_text() == "mine"
    assert largest_difference(reloaded(source), imported(source).path) < 1e-4


def test_a_folder_is_replaced_where_that_is_asked_for_and_never_one_that_is_read(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_convnext().save_pretrained(tmp_path / "net")
    out = tmp_path / "out"
    given = [str(source), "--enhancement", str(tmp_path / "net")]
    assert main([*given, "-o", str(out)]) == 0
    (out / "note.txt").write_text("an older import")
    assert main([*given, "-o", str(out)]) == 2
    assert main([*given, "-o", str(out), "--overwrite"]) == 0
    assert not (out / "note.txt").exists()
    assert is_ours(out / FOLDER_MARK)
    assert largest_difference(reloaded(source), out) < 1e-4
    for target in (source, tmp_path / "net", source / "inside"):
        assert main([*given, "-o", str(target), "--overwrite"]) == 2
        assert "the input" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, "net", "out"])


def test_the_imported_folder_is_a_checkpoint(source: Path) -> None:
    loaded = Checkpoint.load(imported(source).path)
    assert len(loaded.stage_tokens) == 5
    assert loaded.config.image_token_id == loaded.processor.tokenizer.token_to_id("<image>")
