"""From signals and answers to what the network reads: the runtime's own picture and prompt, as tensors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from eegvlm_rt.prompt import Mode, PromptSpec
from eegvlm_rt.rationale import Slot, grammar_of
from eegvlm_rt.rendering.renderer import RenderSpec, render_batch
from eegvlm_rt.signal.conditioning import Preprocessing
from eegvlm_rt.stages import Stage

from .configuration import EegVlmConfig

__all__ = ["PROCESSOR_FILES", "EegVlmProcessor", "copy_processor"]

_TOKENIZER = "tokenizer.json"
_PROCESSOR = "processor.json"
PROCESSOR_FILES = (_TOKENIZER, _PROCESSOR)


def copy_processor(source: Path, out: Path) -> None:
    """Copy the processor's files of one checkpoint into another; one without a language model has none."""
    for name in PROCESSOR_FILES:
        if (source / name).exists() and source != out:
            shutil.copy2(source / name, out / name)


@dataclass(frozen=True)
class EegVlmProcessor:
    """Picture, conditioning, prompt and tokenizer of one checkpoint."""

    tokenizer: Tokenizer
    prompt: PromptSpec
    render: RenderSpec
    preprocessing: Preprocessing

    @classmethod
    def for_config(
        cls, config: EegVlmConfig, tokenizer: Tokenizer, prompt: PromptSpec | None = None
    ) -> EegVlmProcessor:
        """The processor of a configuration. Raises InputError where tokenizer and prompt do not fit."""
        spec = prompt or PromptSpec()
        spec.stage_token_ids(tokenizer)
        return cls(
            tokenizer=tokenizer,
            prompt=spec,
            render=RenderSpec.from_dict(config.render or {}),
            preprocessing=Preprocessing.from_dict(config.preprocessing or Preprocessing().to_dict()),
        )

    def pixel_values(self, signals_uv: NDArray[np.float32]) -> Tensor:
        """Conditioned signals (n, samples) in µV -> normalized pictures (n, 3, H, W) float32."""
        return torch.from_numpy(render_batch(signals_uv, self.render, output="f32"))

    def input_ids(
        self, mode: Mode, visual_tokens: int, answer: Stage | Mapping[str, str] | None = None
    ) -> Tensor:
        """Prompt, `visual_tokens` image places, question and the answer if given: (1, T) int64."""
        segments = self.prompt.segments(mode, answer, visual_tokens=visual_tokens)
        return torch.tensor([self.prompt.encode(self.tokenizer, segments)])

    def longest_text(self, visual_tokens: int) -> int:
        """Tokens of the longest text there can be: prompt, `visual_tokens`, a question, its answer and the
        end."""

        def count(*texts: str) -> int:
            return len(self.prompt.encode(self.tokenizer, texts))

        grammar = grammar_of(self.prompt.grammar)
        shapes = [parts for parts in (grammar.parts, grammar.night_parts) if parts]
        answers = [
            max(map(count, self.prompt.stage_answers)),
            *(
                sum(max(map(count, p.choices)) if isinstance(p, Slot) else count(p.text) for p in parts)
                for parts in shapes
            ),
        ]
        questions = max(count(self.prompt.question(mode)) for mode in (Mode.DIRECT, Mode.COT))
        return count(*self.prompt.prefix_segments()) + visual_tokens + questions + max(answers) + 1

    def check_length(self, config: EegVlmConfig) -> None:
        """Raises ValueError where the longest text has more tokens than the language model has positions."""
        longest, positions = (
            self.longest_text(config.num_visual_tokens),
            config.text_config.max_position_embeddings,
        )
        if longest > positions:
            raise ValueError(
                f"max_position_embeddings: {positions}; the longest text has {longest} tokens, "
                f"{config.num_visual_tokens} of them visual: use larger patches or a longer model"
            )

    def to_dict(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt.to_dict(),
            "render": self.render.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
        }

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `tokenizer.json` and `processor.json` beside the weights."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(target / _TOKENIZER))
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (target / _PROCESSOR).write_text(text, encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> EegVlmProcessor:
        """Read what `save_pretrained` wrote; raises FileNotFoundError where a file is missing."""
        source = Path(folder)
        fields = json.loads((source / _PROCESSOR).read_text(encoding="utf-8"))
        return cls(
            tokenizer=Tokenizer.from_str((source / _TOKENIZER).read_text(encoding="utf-8")),
            prompt=PromptSpec.from_dict(fields["prompt"]),
            render=RenderSpec.from_dict(fields["render"]),
            preprocessing=Preprocessing.from_dict(fields["preprocessing"]),
        )
