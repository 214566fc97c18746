"""Settings of a training run: a recipe file, then single values from the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml

__all__ = [
    "ALIGNMENTS",
    "LABELS",
    "NIGHT_OPINIONS",
    "TUNING",
    "VISUAL_TOKENS",
    "LanguageSettings",
    "MemorySettings",
    "RunSettings",
    "VisionSettings",
    "load_settings",
    "make_settings",
]

LABELS = ("teacher", "intended")
NIGHT_OPINIONS = ("context", "consensus")
TUNING = ("full", "lora", "qlora")
VISUAL_TOKENS = ("both", "fused", "low", "high")
ALIGNMENTS = ("time", "broadcast")


def _one_of(name: str, value: str, names: Sequence[str]) -> None:
    if value not in names:
        raise ValueError(f"{name}: {value!r}; use one of {', '.join(names)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What every step shares. Rates are per optimizer step; `max_minutes` ends the cosine early.

    `labels` are the stages that are learned: the teachers' soft ones, or those a simulated night intended.
    """

    preset: str = "nano"
    labels: str = "teacher"
    seed: int = 0
    batch_size: int = 64
    steps: int = 20000
    max_minutes: float | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    beta2: float = 0.98
    warmup_steps: int = 300
    final_rate_share: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    balance: float = 0.3
    workers: int = 2
    log_every: int = 20
    validate_every_minutes: float = 10.0
    checkpoint_every_minutes: float = 5.0
    validation_epochs: int = 1024
    compile: bool = False
    max_shard_size: str = "5GB"

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "log_every", "validation_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)}; give 1 or more")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay: {self.ema_decay}; give 0 (no average) to below 1")
        if not 0.0 <= self.balance <= 1.0:
            raise ValueError(f"balance: {self.balance}; give 0 (as in the data) to 1 (every stage alike)")
        _one_of("labels", self.labels, LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionSettings(RunSettings):
    """Steps 1 and 2. `gain_share` of the pictures get a log-uniform gain; weights are those of the loss
    terms: `findings_weight` and `local_weight` for the CLIP tower, `head_...` for the enhancement module,
    whose stages agree less with the teacher the more it must say beside them. `rows` replaces the number of
    rows that the preset folds its picture into, `patch_height` and `patch_width` the pixels of its CLIP
    patches.
    """

    rows: int | None = None
    patch_height: int | None = None
    patch_width: int | None = None

    gain_low: float = 0.4
    gain_high: float = 2.5
    gain_share: float = 0.7
    flip_share: float = 0.0
    findings_weight: float = 0.5
    tower_weight: float = 0.5
    local_weight: float = 0.5
    head_findings_weight: float = 0.0
    head_local_weight: float = 0.05

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)
        if (self.patch_height is None) != (self.patch_width is None):
            sides = f"{self.patch_height} x {self.patch_width}"
            raise ValueError(f"patch_height, patch_width: {sides}; give both or none")

    @property
    def patch_shape(self) -> tuple[int, int] | None:
        """Height and width of a CLIP patch in pixels, None for the preset's."""
        if self.patch_height is None or self.patch_width is None:
            return None
        return self.patch_height, self.patch_width


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings(RunSettings):
    """The night memory: courses of `window` epochs, of which `absent_share` lose some; `dropout` of what was
    read of each epoch; `rearranged_share` and `noise` as in `MemoryBatches`. Every night is read
    `gain_copies` times more, each time with a gain drawn log-uniformly.

    It learns the opinion of the teacher who knows the night (`night_opinion` "context"), or the weighted
    mean of all teachers ("consensus")."""

    night_opinion: str = "context"
    batch_size: int = 64
    steps: int = 3000
    learning_rate: float = 2e-3
    balance: float = 0.0
    warmup_steps: int = 100
    window: int = 160
    absent_share: float = 0.3
    rearranged_share: float = 1.0
    noise: float = 0.3
    dropout: float = 0.2
    gain_copies: int = 2
    gain_low: float = 0.35
    gain_high: float = 2.8

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)
        _one_of("night_opinion", self.night_opinion, NIGHT_OPINIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSettings(RunSettings):
    """Step 3. Token weights: `literal_weight` where the grammar leaves no choice, 1 in a slot,
    `stage_weight` in the slots that settle the stage. `sharpen` is the power put on the teacher's
    probabilities. `findings_noise` is the share of texts that state some findings wrongly and go on from
    there. `cot_weight` 0 trains without a chain of thought. `visual_tokens` replaces the preset's,
    `alignment` "broadcast" gives every patch the mean of the high-level features, not that of its own time.
    `memory_share` of the samples know their night by the memory's token, and learn the stages of who knows it
    too: the teacher's (`night_opinion` as for the memory), of which `memory_opinion` is replaced by what the
    memory itself says.

    `tuning`: every weight of the language model ("full"), adapters of rank `lora_rank` beside it ("lora"),
    or the same beside layers held in 4 bits ("qlora"). `learning_rate` is that of what is tuned,
    `projector_rate` that of projector and embeddings where it differs; `tower_rate_share` 0 leaves the tower
    as it is. The adapters' defaults are those of EEG-VLM (arXiv 2511.19155): rank 128, alpha 256.
    """

    visual_tokens: str | None = None
    alignment: str | None = None
    memory_share: float = 0.5
    night_opinion: str = "context"
    memory_opinion: float = 0.0
    tower_rate_share: float = 0.1
    train_enhancement: bool = False
    tuning: str = "full"
    projector_rate: float | None = None
    lora_rank: int = 128
    lora_alpha: int = 256
    lora_dropout: float = 0.05
    gradient_checkpointing: bool = False
    literal_weight: float = 0.02
    stage_weight: float = 2.0
    cot_weight: float = 1.0
    direct_weight: float = 1.0
    sharpen: float = 1.0
    findings_noise: float = 0.0

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)
        _one_of("tuning", self.tuning, TUNING)
        _one_of("night_opinion", self.night_opinion, NIGHT_OPINIONS)
        if not 0.0 <= self.memory_opinion <= 1.0:
            raise ValueError(f"memory_opinion: {self.memory_opinion}; give 0 (teachers) to 1 (memory)")
        if self.visual_tokens is not None:
            _one_of("visual_tokens", self.visual_tokens, VISUAL_TOKENS)
        if self.alignment is not None:
            _one_of("alignment", self.alignment, ALIGNMENTS)
        if self.lora_rank < 1:
            raise ValueError(f"lora_rank: {self.lora_rank}; give 1 or more")
        if self.tuning == "qlora" and self.ema_decay:
            raise ValueError(f"ema_decay: {self.ema_decay}; 4-bit weights are not averaged, give 0")
        if self.cot_weight + self.direct_weight <= 0.0:
            raise ValueError("cot_weight, direct_weight: both are 0; give one of them a weight")


Settings = TypeVar("Settings", bound=RunSettings)


def _convert(cls: type[RunSettings], name: str, text: str) -> Any:
    kinds = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    if name not in kinds:
        raise ValueError(f"{name}: no such setting; use one of {', '.join(kinds)}")
    return yaml.safe_load(text) if kinds[name] != "str" else text


def load_settings(cls: type[Settings], recipe: str | Path | None, overrides: dict[str, str]) -> Settings:
    """Defaults, then the recipe (a shipped name such as "nano-vision", or a YAML file), then `overrides`.

    Raises ValueError for an unknown setting and FileNotFoundError for an unknown recipe.
    """
    values: dict[str, Any] = {}
    if recipe is not None:
        content = yaml.safe_load(_recipe_text(recipe)) or {}
        if not isinstance(content, Mapping):
            raise ValueError(f"recipe: {recipe}; give settings, one NAME: VALUE a line")
        values |= content
    return make_settings(cls, values | {name: _convert(cls, name, text) for name, text in overrides.items()})


def _recipe_text(recipe: str | Path) -> str:
    folder = files(__package__).joinpath("recipes")
    shipped = folder.joinpath(f"{recipe}.yaml")
    if shipped.is_file():
        return shipped.read_text(encoding="utf-8")
    if Path(recipe).is_file():
        return Path(recipe).read_text(encoding="utf-8")
    names = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())
    raise FileNotFoundError(f"recipe: {recipe}; give a YAML file, or one of {', '.join(names)}")


def make_settings(cls: type[Settings], values: Mapping[str, Any], start: Settings | None = None) -> Settings:
    """Settings with some values other than those of `start`, or than the defaults.

    Raises ValueError for an unknown setting.
    """
    types = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such setting; use {', '.join(types)}")
    typed: dict[str, Any] = {
        name: float(value)
        if types[name].startswith("float") and isinstance(value, str | int) and not isinstance(value, bool)
        else value
        for name, value in values.items()
    }
    return cls(**typed) if start is None else dataclasses.replace(start, **typed)
