"""A trained checkpoint: configuration, weights and tokenizer in one folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration
from tokenizers import Tokenizer

from eegvlm_rt.preprocess import Preprocessing
from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.render import RenderSpec
from eegvlm_rt.stages import STAGES, Stage

__all__ = ["Checkpoint"]

_TOKENIZER = "tokenizer.json"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A loaded checkpoint. `digest` is the SHA-256 over names and contents of its files, in order of name."""

    path: Path
    model: EegVlmForConditionalGeneration
    tokenizer: Tokenizer
    digest: str

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Load `config.json`, safetensors weights and `tokenizer.json` of a folder, in single precision.

        Raises FileNotFoundError naming what is missing, ValueError where tokenizer and network do not fit.
        """
        folder = Path(path)
        weights = sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))
        for name in ("config.json", _TOKENIZER):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"checkpoint: {folder} has no {name}")
        if not weights:
            raise FileNotFoundError(f"checkpoint: {folder} has no safetensors weights")
        model = EegVlmForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        if tokenizer.get_vocab_size() > model.config.text_config.vocab_size:
            raise ValueError(
                f"tokenizer: {tokenizer.get_vocab_size()} tokens; the network has "
                f"{model.config.text_config.vocab_size}"
            )
        digest = hashlib.sha256()
        for file in sorted([folder / "config.json", folder / _TOKENIZER, *weights]):
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as handle:
                while block := handle.read(1 << 20):
                    digest.update(block)
        return cls(folder, model, tokenizer, digest.hexdigest())

    @property
    def config(self) -> EegVlmConfig:
        return cast("EegVlmConfig", self.model.config)

    @property
    def render(self) -> RenderSpec:
        """The picture the network was trained on."""
        return RenderSpec() if self.config.render is None else RenderSpec.from_dict(self.config.render)

    @property
    def preprocessing(self) -> Preprocessing:
        """The conditioning it was trained on."""
        given = self.config.preprocessing
        return Preprocessing() if given is None else Preprocessing.from_dict(given)

    @property
    def prompt(self) -> PromptSpec:
        """The prompt it was trained on."""
        return PromptSpec()

    @property
    def stage_tokens(self) -> dict[Stage, int]:
        """Token of each stage's answer."""
        return dict(zip(STAGES, self.prompt.stage_token_ids(self.tokenizer), strict=True))

    @property
    def tokenizer_path(self) -> Path:
        return self.path / _TOKENIZER
