"""Tensors in checkpoint files: safetensors or PyTorch's zip files, one or many, read one tensor at a time."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from eegvlm_rt.errors import CheckpointError

from .config_fields import read_json

__all__ = ["ADAPTER_FILES", "MODEL_FILES", "SHARD_BYTES", "TensorFiles", "write_shards"]

MODEL_FILES: Final = ("model.safetensors", "pytorch_model.bin", "model.bin")
"""A model's weights in the order in which transformers looks for them, each whole or by its index."""

ADAPTER_FILES: Final = ("adapter_model.safetensors", "adapter_model.bin")
SHARD_BYTES: Final = 2 << 30
_AGAIN: Final = "copy the file again"


class TensorFiles:
    """All tensors of a checkpoint folder, or of one file, by name; `unread` are weight files left aside.

    Of the `names` in a folder the first that is there is read: whole before its shards, as transformers does,
    so that an index which outlived its shards changes nothing. Files of PyTorch are mapped into memory and
    only unpickled as tensors (`weights_only`).

    Raises CheckpointError where there are no weights, a shard that an index lists is missing or holds other
    tensors than the index says, and for a file that cannot be read or holds something else than tensors.
    """

    def __init__(self, path: Path, names: Sequence[str] = MODEL_FILES) -> None:
        self._places: dict[str, Path] = {}
        self._open: dict[Path, Any] = {}
        files, listed = ([path], None) if path.is_file() else _files(path, names)
        for file in files:
            stored = set(self._handle(file).keys())
            expected = stored if listed is None else {name for name, at in listed.items() if at == file}
            for name in sorted(stored ^ expected):
                where = (
                    "its index does not list it"
                    if name in stored
                    else "its index lists it, the file lacks it"
                )
                raise CheckpointError(f"checkpoint: {file.name}", name, f"{where}: {_AGAIN}, and the index")
            self._places.update(dict.fromkeys(self._handle(file).keys(), file))
        others = set() if path.is_file() else {*path.glob("*.safetensors"), *path.glob("*.bin")}
        kinds = tuple(name.partition(".")[0] for name in names)
        self.unread = sorted(file.name for file in others - set(files) if file.name.startswith(kinds))

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        """Names file by file, so that reading them in order opens one file after the other."""
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        handle = self._handle(self._places[name])
        size = handle[name].shape if isinstance(handle, dict) else handle.get_slice(name).get_shape()
        return tuple(size)

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor as stored; raises KeyError for a name there is not."""
        handle = self._handle(self._places[name])
        values: torch.Tensor = handle[name] if isinstance(handle, dict) else handle.get_tensor(name)
        return values

    def _handle(self, file: Path) -> Any:
        if file not in self._open:
            try:
                self._open[file] = _opened(file)
            except FileNotFoundError as error:
                raise CheckpointError("checkpoint", str(file), "there is no such file") from error
            except UnpicklingError as error:
                raise CheckpointError(
                    f"checkpoint: {file.name}",
                    "holds more than tensors",
                    "give weights alone, best as safetensors",
                ) from error
            # each format has errors of its own for bytes that are not its own
            except (OSError, ValueError, RuntimeError, EOFError, SafetensorError) as error:
                reason = str(error).partition("\n")[0][:100]
                raise CheckpointError(
                    f"checkpoint: {file.name}", f"cannot be read ({reason})", _AGAIN
                ) from error
        return self._open[file]


def _opened(file: Path) -> Any:
    if file.suffix == ".safetensors":
        return safe_open(str(file), framework="pt")
    # files from before PyTorch 1.6 are no archives and cannot be mapped
    with warnings.catch_warnings(action="ignore"):
        content = torch.load(file, map_location="cpu", mmap=is_zipfile(file), weights_only=True)
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__}, no tensors by name")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(f"{name!r} is a {type(value).__name__}, no tensor by name")
    return content


def _files(folder: Path, names: Sequence[str]) -> tuple[list[Path], dict[str, Path] | None]:
    """The files to read, and where an index says that each tensor is."""
    for name in names:
        if (folder / name).is_file():
            return [folder / name], None
        index = folder / f"{name}.index.json"
        if not index.is_file():
            continue
        places = read_json(index).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
            raise CheckpointError(f"checkpoint: {index.name}", "weight_map", f"names no files: {_AGAIN}")
        listed = {name: folder / Path(file).name for name, file in places.items()}
        files = list(dict.fromkeys(listed.values()))
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise CheckpointError(
                "checkpoint", f"{folder} has no {', '.join(missing)}", "copy it beside the index"
            )
        return files, listed
    raise CheckpointError(
        "checkpoint",
        f"{folder} has no {names[0]} and no {names[1]}",
        "give the folder that holds the weights",
    )


def write_shards(
    tensors: Iterable[tuple[str, torch.Tensor]], folder: Path, *, shard_bytes: int = SHARD_BYTES
) -> list[Path]:
    """Write tensors as `model-00001.safetensors` ... with their index, holding about one shard in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    places: dict[str, str] = {}
    shard: dict[str, torch.Tensor] = {}
    size = total = 0

    def write() -> None:
        file = folder / f"model-{len(files) + 1:05d}.safetensors"
        save_file(shard, file, metadata={"format": "pt"})
        places.update(dict.fromkeys(shard, file.name))
        files.append(file)
        shard.clear()

    for name, tensor in tensors:
        bytes_ = tensor.numel() * tensor.element_size()
        if shard and size + bytes_ > shard_bytes:
            write()
            size = 0
        shard[name] = tensor.contiguous().clone()
        size += bytes_
        total += bytes_
    if shard:
        write()
    index = {"metadata": {"total_size": total}, "weight_map": places}
    text = json.dumps(index, indent=2) + "\n"
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    return files
