"""Tensors in checkpoint files: safetensors or PyTorch's zip files, one or many, read one tensor at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from safetensors.torch import save_file

__all__ = ["SHARD_BYTES", "TensorFiles", "write_shards"]

_SUFFIXES: Final = ("model.safetensors", "pytorch_model.bin", "model.bin")
_SINGLES: Final = (*_SUFFIXES, "adapter_model.safetensors", "adapter_model.bin", "non_lora_trainables.bin")
SHARD_BYTES: Final = 2 << 30


class TensorFiles:
    """All tensors of a checkpoint folder, or of one file, by name.

    Files of PyTorch are mapped into memory and only unpickled as tensors (`weights_only`). Raises
    FileNotFoundError where there are no weights, or a shard that an index lists is missing.
    """

    def __init__(self, path: Path) -> None:
        self._places: dict[str, Path] = {}
        self._open: dict[Path, Any] = {}
        for file in [path] if path.is_file() else _files(path):
            self._places.update(dict.fromkeys(self._handle(file).keys(), file))

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        """Names file by file, so that reading them in order opens one file after the other."""
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor as stored; raises KeyError for a name there is not."""
        handle = self._handle(self._places[name])
        found: torch.Tensor = handle[name] if isinstance(handle, dict) else handle.get_tensor(name)
        return found

    def _handle(self, file: Path) -> Any:
        if file not in self._open:
            if file.suffix == ".safetensors":
                self._open[file] = safe_open(str(file), framework="pt")
            else:
                self._open[file] = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        return self._open[file]


def _files(folder: Path) -> list[Path]:
    for index in (folder / f"{name}.index.json" for name in _SINGLES):
        if index.is_file():
            named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            files = [folder / Path(name).name for name in dict.fromkeys(named)]
            missing = [file.name for file in files if not file.is_file()]
            if missing:
                raise FileNotFoundError(f"checkpoint: {folder} has no {', '.join(missing)}")
            return files
    for name in _SINGLES:
        if (folder / name).is_file():
            return [folder / name]
    raise FileNotFoundError(f"checkpoint: {folder} has no safetensors weights and no pytorch_model.bin")


def write_shards(
    tensors: Iterable[tuple[str, torch.Tensor]], folder: Path, *, shard_bytes: int = SHARD_BYTES
) -> list[Path]:
    """Write tensors as `model-00001.safetensors` ... with their index, holding about one shard in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    places: dict[str, str] = {}
    held: dict[str, torch.Tensor] = {}
    size = total = 0

    def write() -> None:
        file = folder / f"model-{len(files) + 1:05d}.safetensors"
        save_file(held, file, metadata={"format": "pt"})
        places.update(dict.fromkeys(held, file.name))
        files.append(file)
        held.clear()

    for name, tensor in tensors:
        bytes_ = tensor.numel() * tensor.element_size()
        if held and size + bytes_ > shard_bytes:
            write()
            size = 0
        held[name] = tensor.contiguous().clone()
        size += bytes_
        total += bytes_
    if held:
        write()
    index = {"metadata": {"total_size": total}, "weight_map": places}
    text = json.dumps(index, indent=2) + "\n"
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    return files
