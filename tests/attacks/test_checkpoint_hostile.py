"""Checkpoints and adapters of strangers: every one is refused by a typed error, and no code in it runs."""

from __future__ import annotations

import json
import pickle
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from eegvlm_export.weights.import_llava import import_checkpoint, main
from eegvlm_export.weights.llava_config import read_llava
from eegvlm_export.weights.shards import TensorFiles
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import CheckpointError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KNOWN = (
    *(
        "model_type",
        "text_config",
        "vision_config",
        "vision_feature_layer",
        "rope_scaling",
        "rope_parameters",
    ),
    *("rope_theta", "hidden_size", "num_attention_heads", "num_hidden_layers", "mm_vision_tower", "head_dim"),
    *("mm_hidden_size", "image_aspect_ratio", "sliding_window", "bos_token_id", "tie_word_embeddings"),
    *("patch_size", "image_size", "hidden_act", "rms_norm_eps", "layer_types", "quantization_config"),
)
FIELDS = st.dictionaries(st.sampled_from(KNOWN), JSON, max_size=6)


class Runs:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    fields=FIELDS, inner=FIELDS, place=st.sampled_from(["", "text_config", "vision_config", "rope_scaling"])
)
def test_any_configuration_is_read_or_refused(
    fields: dict[str, object], inner: dict[str, object], place: str
) -> None:
    # any other error fails the test
    with suppress(CheckpointError):
        read_llava(fields | ({place: inner} if place else {}))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1}{'])
def test_a_configuration_that_is_no_object_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        import_checkpoint(tmp_path / "source", tmp_path / "out")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 60)
        + json.dumps({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}).encode(),
    ],
)
def test_a_safetensors_file_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        TensorFiles(tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_does_not(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"w": Runs(mark)}, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: holds more than tensors; .*safetensors"):
        TensorFiles(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [[1], {"w": 1}, {"w": {"deeper": torch.zeros(1)}}, {1: torch.zeros(1)}])
def test_a_pickle_of_something_else_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: cannot be read"):
        TensorFiles(tmp_path)


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Runs(mark)))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: "):
        TensorFiles(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "index", [{}, {"weight_map": []}, {"weight_map": {"w": 1}}, {"weight_map": {"w": "../../etc/passwd"}}]
)
def test_an_index_names_files_beside_it_alone(index: object, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"weight_map|has no passwd"):
        TensorFiles(tmp_path)


def test_the_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert main([str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
