"""LoRA adapters, merged into weights one at a time as these are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from torch import Tensor

from .shards import TensorFiles

__all__ = ["Adapter"]

_PAIR: Final = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")
_OTHERS: Final = "non_lora_trainables.bin"


class Adapter:
    """A folder of peft: `adapter_config.json`, `adapter_model.*`, and LLaVA's `non_lora_trainables.bin`.

    Raises FileNotFoundError where one is missing, ValueError for another kind of adapter than plain LoRA.
    """

    def __init__(self, folder: Path) -> None:
        from peft import LoraConfig, PeftConfig

        config = PeftConfig.from_pretrained(str(folder))
        if (
            not isinstance(config, LoraConfig)
            or config.use_dora
            or config.rank_pattern
            or config.alpha_pattern
        ):
            raise ValueError(f"adapter: {folder.name}; plain LoRA of one rank can be merged")
        self._scale = config.lora_alpha / (config.r**0.5 if config.use_rslora else config.r)
        self._files = TensorFiles(folder)
        self._pairs: dict[str, dict[str, str]] = {}
        for name in self._files:
            found = _PAIR.fullmatch(name)
            if found:
                self._pairs.setdefault(f"{found[1]}.weight", {})[found[2]] = name
        others = folder / _OTHERS
        self._others = TensorFiles(others) if others.is_file() else None
        self._whole = {
            name.removeprefix("base_model.").removeprefix("model.")
            if name.startswith("base_model.")
            else name: name
            for name in self._others or ()
        }
        self.used: set[str] = set()

    def apply(self, name: str, weight: Tensor) -> Tensor:
        """The weight called `name` in the base checkpoint, with the adapter in it: W + alpha / r * B A."""
        if name in self._whole and self._others is not None:
            weight = self._others.tensor(self._whole[name]).to(weight.dtype)
            self.used.add(name)
        pair = self._pairs.get(name)
        if pair is None:
            return weight
        self.used.add(name)
        a, b = (self._files.tensor(pair[part]).float() for part in "AB")
        return (weight.float() + self._scale * (b @ a)).to(weight.dtype)

    @property
    def unused(self) -> list[str]:
        """What the adapter holds and no weight asked for."""
        return sorted((set(self._pairs) | set(self._whole)) - self.used)

    def extra(self, known: set[str]) -> list[tuple[str, Tensor]]:
        """Whole weights of the adapter that the base does not have."""
        found = [(name, path) for name, path in self._whole.items() if name not in known]
        self.used |= {name for name, _ in found}
        return [(name, self._others.tensor(path)) for name, path in found if self._others is not None]
