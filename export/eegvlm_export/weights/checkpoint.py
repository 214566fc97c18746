"""A trained checkpoint: configuration, weights, tokenizer and processor in one folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import torch
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration
from eegvlm_train.model.processing import EegVlmProcessor
from eegvlm_train.model.untrained import untrained_parts

from eegvlm_rt.stages import STAGES, Stage

from .reader import FileWeights

__all__ = ["Checkpoint", "Reference"]

Reference = Literal["fp32", "nf4"]

_SCORING = "scoring.json"

_TOKENIZER = "tokenizer.json"
_TRAINING = "TRAINING.md"
_NAMED = ("config.json", "processor.json", _TOKENIZER)
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint. `digest` is the SHA-256 over names and contents of its files, in order of name.

    `reference` is how the network that bundles are compared with is held in memory: "fp32", or "nf4", its
    language model in 4 bits by bitsandbytes. Nothing else needs the whole network at once.
    """

    path: Path
    config: EegVlmConfig
    processor: EegVlmProcessor
    digest: str
    reference: Reference = "fp32"

    @classmethod
    def load(cls, path: str | Path, reference: Reference = "fp32") -> Checkpoint:
        """Open a folder written by `eegvlm_train train-language` or `eegvlm_export import`.

        Raises FileNotFoundError naming what is missing, ValueError where tokenizer and network do not fit.
        """
        folder = Path(path)
        missing = [name for name in _NAMED if not (folder / name).is_file()]
        weights = sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))
        if missing or not weights:
            found_no = missing or ["safetensors weights"]
            raise FileNotFoundError(f"checkpoint: {folder} has no {', '.join(found_no)}")
        config = EegVlmConfig.from_pretrained(folder)
        processor = EegVlmProcessor.from_pretrained(folder)
        tokens, rows = processor.tokenizer.get_vocab_size(), config.text_config.vocab_size
        if tokens > rows:
            raise ValueError(f"tokenizer: {tokens} tokens; the network has {rows}")
        processor.check_length(config)
        files = sorted([*(folder / name for name in _NAMED), *weights])
        return cls(folder, config, processor, _digest(files), reference)

    @property
    def untrained(self) -> tuple[str, ...]:
        """Parts that an import left as they were, or drew at random, and that no training touched since."""
        return untrained_parts(self.config)

    @property
    def training(self) -> str:
        """What the folder's TRAINING.md says about data, teachers and hardware; empty without one."""
        note = self.path / _TRAINING
        return note.read_text(encoding="utf-8") if note.is_file() else ""

    @cached_property
    def model(self) -> EegVlmForConditionalGeneration:
        """The whole network, read when first asked for."""
        options: dict[str, Any] = {"dtype": torch.float32}
        if self.reference == "nf4":
            options |= {"quantization_config": _nf4(), "device_map": "cpu"}
        network: Any = EegVlmForConditionalGeneration.from_pretrained(self.path, **options)
        return cast("EegVlmForConditionalGeneration", network.eval())

    @property
    def language(self) -> FileWeights:
        """The weights of the language model, read from the files one by one."""
        return FileWeights(self.path)

    @property
    def scoring(self) -> dict[str, Any]:
        """What the folder's scoring.json says of temperatures and smoothing; empty without one."""
        file = self.path / _SCORING
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}

    @property
    def stage_tokens(self) -> dict[Stage, int]:
        """Token of each stage's answer."""
        ids = self.processor.prompt.stage_token_ids(self.processor.tokenizer)
        return dict(zip(STAGES, ids, strict=True))

    @property
    def tokenizer_path(self) -> Path:
        return self.path / _TOKENIZER


def _nf4() -> Any:
    """QLoRA's 4-bit NormalFloat (Dettmers et al. 2023) for the language model's layers alone."""
    from transformers import BitsAndBytesConfig

    full_precision = ["vision_tower", "enhancement", "projector", "lm_head"]
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.float32,
        llm_int8_skip_modules=full_precision,
    )


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
