"""A recipe: the precision of each part, how much is measured, and the gates a bundle must pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from .gates import Gate, parse_gates
from .quantize.four_bits import METHODS, Method

__all__ = ["LANGUAGE_PRECISIONS", "TOWER_PRECISIONS", "Recipe", "load_recipe"]

TOWER_PRECISIONS: Final = ("fp32", "fp16", "fp16_half", "int8")
LANGUAGE_PRECISIONS: Final = (
    *("fp32", "fp16", "int8", "int4"),
    *("fp16_half", "int4_half"),
    *("fp32_fused", "fp16_fused", "int4_fused"),
    *("fp16_half_fused", "int4_half_fused"),
)
TENSORRT_BLOCKS: Final = (64, 128)
"""Weights that share a 4-bit scale in TensorRT:
https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/quantized-types-schemes.html"""

Reference = Literal["fp32", "nf4"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a checkpoint becomes a bundle.

    `tower` and `llm` are the precisions a device loads by default, `tower_variants` and `llm_variants` lie
    beside them. "fp16" is half-precision weights and single-precision arithmetic, "_half" half-precision
    arithmetic, for GPUs; "_fused" has ONNX Runtime's own operators, the others are for TensorRT too.
    `block_size` weights share one scale in int4 and int8 language models; `method` makes the 4-bit ones;
    `reference` is how the checkpoint is held to be compared with ("nf4" where memory is short); `head` is the
    precision of the last product, "fp32", "fp16" or "int8". `grey` lets first convolutions read one plane of
    the picture. At most `kappa_loss` of Cohen's kappa may be lost on each evaluated set. `calibration_epochs`
    set the scales of an int8 tower.
    """

    tower: str = "fp16"
    tower_variants: tuple[str, ...] = ()
    llm: str = "int4"
    llm_variants: tuple[str, ...] = ()
    block_size: int = 32
    method: Method = "search"
    reference: Reference = "fp32"
    head: str = "fp16"
    grey: bool = False
    kappa_loss: float = 0.01
    calibration_epochs: int = 64
    parity_epochs: int = 500
    reasoning_epochs: int = 100
    gates: tuple[Gate, ...] = field(default=())

    def __post_init__(self) -> None:
        for name, precisions in (("tower", TOWER_PRECISIONS), ("llm", LANGUAGE_PRECISIONS)):
            chosen = (getattr(self, name), *getattr(self, f"{name}_variants"))
            wrong = [value for value in chosen if value not in precisions]
            if wrong or len(set(chosen)) != len(chosen):
                raise ValueError(
                    f"{name}: {', '.join(map(str, chosen))}; use each of {', '.join(precisions)} at most once"
                )
        if self.head not in ("fp32", "fp16", "int8"):
            raise ValueError(f"head: {self.head!r}; use fp32, fp16 or int8")
        if self.method not in METHODS:
            raise ValueError(f"method: {self.method!r}; use one of {', '.join(METHODS)}")
        if self.method == "hqq" and {"int4", "int4_half"} & set(self.llm_precisions):
            raise ValueError("method: hqq; its zero points are for int4_fused, TensorRT reads int4")
        if self.reference not in ("fp32", "nf4"):
            raise ValueError(f"reference: {self.reference!r}; use fp32 or nf4")
        if self.block_size < 16 or self.block_size & (self.block_size - 1):
            raise ValueError(f"block_size: {self.block_size}; use a power of two from 16")
        if "int4_half" in self.llm_precisions and self.block_size not in TENSORRT_BLOCKS:
            raise ValueError(f"block_size: {self.block_size}; int4_half is for TensorRT: use 64 or 128")
        if not 0 <= self.reasoning_epochs <= self.parity_epochs or self.parity_epochs < 1:
            raise ValueError(
                f"parity_epochs: {self.parity_epochs}, reasoning_epochs: {self.reasoning_epochs}; "
                "give at least one parity epoch, and at most as many with reasoning"
            )
        if self.calibration_epochs < 1:
            raise ValueError(f"calibration_epochs: {self.calibration_epochs}; give at least 1")

    @property
    def tower_precisions(self) -> tuple[str, ...]:
        """The default first."""
        return (self.tower, *self.tower_variants)

    @property
    def llm_precisions(self) -> tuple[str, ...]:
        """The default first."""
        return (self.llm, *self.llm_variants)

    def with_precision(self, part: str, precision: str) -> Recipe:
        """The recipe with another default of "tower" or "llm"; raises ValueError for another part."""
        if part not in ("tower", "llm"):
            raise ValueError(f"precision: {part!r}; write tower=PRECISION or llm=PRECISION")
        variants = tuple(value for value in getattr(self, f"{part}_variants") if value != precision)
        changes: dict[str, Any] = {part: precision, f"{part}_variants": variants}
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields without the gates."""
        named = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "gates"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}


def load_recipe(name: str | Path) -> Recipe:
    """A recipe shipped with the package ("nano"), or a YAML file.

    Raises FileNotFoundError for an unknown name, ValueError for an unknown field or a value that makes no
    sense.
    """
    shipped = files(__package__).joinpath("recipes", f"{name}.yaml")
    if shipped.is_file():
        text = shipped.read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise FileNotFoundError(
            f"recipe: {name}; give the path of a YAML file, or one of {', '.join(_shipped())}"
        )
    content = yaml.safe_load(text) or {}
    if not isinstance(content, Mapping):
        raise ValueError(f"recipe {name}: give a mapping of fields")
    values = dict(content)
    gates = parse_gates(values.pop("gates", {}))
    names = {item.name for item in fields(Recipe)}
    unknown = sorted(map(str, set(values) - names))
    if unknown:
        raise ValueError(f"recipe {name}: {', '.join(unknown)}; known fields are {', '.join(sorted(names))}")
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Recipe(**(values | lists), gates=gates)


def _shipped() -> list[str]:
    folder = files(__package__).joinpath("recipes")
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )
