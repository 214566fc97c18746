"""A trained checkpoint: configuration, weights, tokenizer and processor in one folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration
from eegvlm_train.model.processing import EegVlmProcessor

from eegvlm_rt.stages import STAGES, Stage

__all__ = ["Checkpoint"]

_TOKENIZER = "tokenizer.json"
_TRAINING = "TRAINING.md"
_NAMED = ("config.json", "processor.json", _TOKENIZER)
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A loaded checkpoint. `digest` is the SHA-256 over names and contents of its files, in order of name."""

    path: Path
    model: EegVlmForConditionalGeneration
    processor: EegVlmProcessor
    digest: str

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Load a folder written by `eegvlm_train train-language`, in single precision.

        Raises FileNotFoundError naming what is missing, ValueError where tokenizer and network do not fit.
        """
        folder = Path(path)
        missing = [name for name in _NAMED if not (folder / name).is_file()]
        weights = sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))
        if missing or not weights:
            found_no = missing or ["safetensors weights"]
            raise FileNotFoundError(f"checkpoint: {folder} has no {', '.join(found_no)}")
        model = EegVlmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        processor = EegVlmProcessor.from_pretrained(folder)
        tokens, rows = processor.tokenizer.get_vocab_size(), model.config.text_config.vocab_size
        if tokens > rows:
            raise ValueError(f"tokenizer: {tokens} tokens; the network has {rows}")
        files = sorted([*(folder / name for name in _NAMED), *weights])
        return cls(folder, model, processor, _digest(files))

    @property
    def training(self) -> str:
        """What the folder's TRAINING.md says about data, teachers and hardware; empty without one."""
        note = self.path / _TRAINING
        return note.read_text(encoding="utf-8") if note.is_file() else ""

    @property
    def config(self) -> EegVlmConfig:
        return cast("EegVlmConfig", self.model.config)

    @property
    def stage_tokens(self) -> dict[Stage, int]:
        """Token of each stage's answer."""
        ids = self.processor.prompt.stage_token_ids(self.processor.tokenizer)
        return dict(zip(STAGES, ids, strict=True))

    @property
    def tokenizer_path(self) -> Path:
        return self.path / _TOKENIZER


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
