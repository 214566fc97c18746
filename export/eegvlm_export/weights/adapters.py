"""LoRA adapters of peft, merged into weights one at a time as these are read.

An adapter may hold more than pairs of LoRA: whole weights (`modules_to_save`, biases, LLaVA's
`non_lora_trainables.bin`), rows of an embedding, magnitudes of DoRA. All of it is merged, or refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from eegvlm_rt.errors import CheckpointError

from .config_fields import Fields, read_json
from .layouts import adapted_name
from .shards import ADAPTER_FILES, TensorFiles

__all__ = ["PLAIN", "Adapter"]

PLAIN: Final = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""How weights are stored that nobody quantized."""

_OTHERS: Final = "non_lora_trainables.bin"
_PREFIX: Final = "base_model.model."
_PAIR: Final = ("A", "B")
_EMBEDDING_PAIR: Final = ("embedding A", "embedding B")
_ANY_NAME: Final = r"(?:\.[^.]+)?"
_PARTS: Final = (
    (rf"(?P<module>.+)\.lora_A{_ANY_NAME}\.weight", "A", "weight"),
    (rf"(?P<module>.+)\.lora_B{_ANY_NAME}\.weight", "B", "weight"),
    (rf"(?P<module>.+)\.lora_B{_ANY_NAME}\.bias", "bias", "bias"),
    (rf"(?P<module>.+)\.lora_embedding_A{_ANY_NAME}", "embedding A", "weight"),
    (rf"(?P<module>.+)\.lora_embedding_B{_ANY_NAME}", "embedding B", "weight"),
    (rf"(?P<module>.+)\.lora_magnitude_vector{_ANY_NAME}(?:\.weight)?", "magnitude", "weight"),
    (rf"(?P<module>.+)\.token_adapter\.trainable_tokens_delta{_ANY_NAME}", "rows", "weight"),
)
"""What peft adds to a module, as its names in adapter_model.safetensors say, and which weight it changes."""

_WHOLE: Final = re.compile(
    r"(?P<module>.+?)\.(?:modules_to_save(?:\.[^.]+)?|base_layer)\.(?P<rest>weight|bias)"
)
_NO_EFFECT: Final = (
    *("task_type", "base_model_name_or_path", "auto_mapping", "inference_mode", "revision", "peft_version"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "lora_dropout", "bias"),
    *("lora_bias", "megatron_config", "megatron_core", "loftq_config", "eva_config", "corda_config"),
    *("lora_ga_config", "runtime_config", "qalora_group_size", "ensure_weight_tying", "r", "rank_pattern"),
)
"""Fields that say how an adapter was trained; what came of it stands in its tensors."""

_PLAIN: Final = "plain LoRA, rsLoRA and DoRA can be merged: merge it with peft first"
_ONLY: Final[dict[str, tuple[Any, ...]]] = {
    "fan_in_fan_out": (False,),
    "layer_replication": ([],),
    "alora_invocation_tokens": ([],),
    "use_qalora": (False,),
    "use_bdlora": (False,),
    "arrow_config": (),
    "velora_config": (),
    "monteclora_config": (),
    "kasa_config": (),
    "target_parameters": ([],),
}
_CHANGED_BASE: Final = (
    "it changes the weights of the base: save the adapter with path_initial_model_for_weight_conversion"
)


@dataclass(slots=True)
class _Change:
    """What an adapter does to a weight of `module`: its tensors by what they are, the scale of a pair, the
    rows of a table that it holds."""

    module: str
    tensors: dict[str, tuple[TensorFiles, str]] = field(default_factory=dict)
    scale: float = 1.0
    rows: tuple[int, ...] = ()


class Adapter:
    """A folder of peft: `adapter_config.json`, `adapter_model.*`, and LLaVA's `non_lora_trainables.bin`.

    Weights are called as in a checkpoint of EEG-VLM, whatever program the adapter was trained with. Raises
    CheckpointError naming what is missing, cannot be merged, or is not known.
    """

    def __init__(self, folder: Path, ignored: Iterable[str] = ()) -> None:
        self.folder = folder
        self._changes: dict[str, _Change] = {}
        fields = Fields(read_json(folder / "adapter_config.json"), "adapter_config", ignored)
        kind = fields.text("peft_type", "LORA")
        if kind != "LORA":
            raise CheckpointError("adapter_config.peft_type", kind, _PLAIN)
        fields.without_effect(*_NO_EFFECT)
        for name, accepted in _ONLY.items():
            fields.only(name, *accepted, cure=_PLAIN)
        fields.only("init_lora_weights", True, False, "gaussian", "eva", "orthogonal", cure=_CHANGED_BASE)
        self._alpha = fields.number("lora_alpha", 8.0)
        self._alphas = _patterns(fields, "alpha_pattern")
        self._root = fields.flag("use_rslora", False)
        dora = fields.flag("use_dora", False)
        rows = fields.value("trainable_token_indices", {})
        saved = fields.value("modules_to_save", [])
        fields.finish()
        self._read(TensorFiles(folder, ADAPTER_FILES))
        if (folder / _OTHERS).is_file():
            self._read(TensorFiles(folder / _OTHERS))
        self._finish(saved, rows, dora=dora)

    @property
    def names(self) -> frozenset[str]:
        """Every weight that the adapter changes or holds whole."""
        return frozenset(self._changes)

    def whole(self, name: str) -> tuple[int, ...] | None:
        """The shape of a weight that the adapter holds whole; None for any other."""
        change = self._changes.get(name)
        if change is None or "whole" not in change.tensors:
            return None
        files, stored = change.tensors["whole"]
        return files.shape(stored)

    def apply(self, name: str, weight: Tensor | None) -> Tensor:
        """The weight with the adapter in it, in the precision it has: W + scale * B A; `weight` is None where
        the base has none. Raises CheckpointError where shapes do not fit.
        """
        change = self._changes.get(name)
        if change is None or not change.tensors:
            assert weight is not None
            return weight
        tensors = {part: files.tensor(stored) for part, (files, stored) in change.tensors.items()}
        quantized = [
            tensor.dtype
            for tensor in (*tensors.values(), weight)
            if tensor is not None and tensor.dtype not in PLAIN
        ]
        if quantized:
            raise CheckpointError(
                f"weight: {name}", quantized[0], "give the weights as they were before they were quantized"
            )
        base = tensors.get("whole", weight)
        if base is None:
            raise CheckpointError("adapter", name, "it changes a weight that the base does not have")
        dtype = base.dtype if weight is None else weight.dtype
        try:
            merged = _merged(base.float(), tensors, change)
        except (RuntimeError, IndexError) as error:
            raise CheckpointError(
                "adapter",
                name,
                f"its shape does not fit the base, {tuple(base.shape)}: give the adapter's own base",
            ) from error
        return merged.to(dtype)

    def _read(self, files: TensorFiles) -> None:
        for stored in files:
            module, part, own = _parsed(stored)
            name = adapted_name(own)
            if name is None:
                continue
            change = self._changes.setdefault(name, _Change(module))
            if part in change.tensors:
                raise CheckpointError(
                    "adapter", stored, f"{name} is there twice: keep one adapter in the folder"
                )
            change.tensors[part] = files, stored

    def _scale(self, change: _Change, part: str) -> float:
        """alpha / r of a pair, with the alpha that its module has; alpha / sqrt(r) for rsLoRA."""
        files, stored = change.tensors[part]
        rank = files.shape(stored)[0]
        alpha = next((value for key, value in self._alphas if key.fullmatch(change.module)), self._alpha)
        return alpha / (rank**0.5 if self._root else rank)

    def _finish(self, saved: Any, rows: Any, *, dora: bool) -> None:
        """Scales and rows, once all tensors are known. Raises CheckpointError for what is left half."""
        for name, change in self._changes.items():
            parts = set(change.tensors)
            for pair in (_PAIR, _EMBEDDING_PAIR):
                if parts & set(pair) and not parts >= set(pair):
                    raise CheckpointError(
                        "adapter", name, f"it has one of {' and '.join(pair)}: save it again, whole"
                    )
                if parts >= set(pair):
                    change.scale = self._scale(change, pair[0])
            if dora != ("magnitude" in parts) and parts & {*_PAIR, "magnitude"}:
                raise CheckpointError(
                    "adapter", name, f"use_dora is {dora}, its tensors say otherwise: save it again"
                )
            if "rows" in parts:
                change.rows = _rows_of(rows, change)
                if len(parts) > 1:
                    raise CheckpointError("adapter", name, _PLAIN)
            elif "magnitude" in parts and "embedding A" in parts:
                raise CheckpointError("adapter", name, f"DoRA of an embedding; {_PLAIN}")
        for name, change in self._changes.items():
            if "bias" in change.tensors:
                beside = self._changes.get(name.removesuffix(".bias") + ".weight", change)
                change.scale = beside.scale
        for module in saved if isinstance(saved, list) else []:
            if not any(re.search(rf"(^|\.){re.escape(str(module))}$", one) for one in self._wholes()):
                raise CheckpointError(
                    "adapter_config.modules_to_save", module, "the adapter lacks it: save it again"
                )

    def _wholes(self) -> set[str]:
        """Modules, and those around them, of which a weight is there whole."""
        modules = {change.module for change in self._changes.values() if "whole" in change.tensors}
        return {module.rsplit(".", depth)[0] for module in modules for depth in range(module.count(".") + 1)}


def _merged(base: Tensor, tensors: dict[str, Tensor], change: _Change) -> Tensor:
    """A weight in single precision with all that an adapter does to it. RuntimeError where shapes differ."""
    if set(_PAIR) <= set(tensors):
        a, b = (tensors[part].float() for part in _PAIR)
        if a.ndim != 2 or b.ndim != 2 or (len(b), a.shape[1]) != tuple(base.shape):
            raise RuntimeError("shapes")
        base = base + change.scale * (b @ a)
        if "magnitude" in tensors:
            # DoRA (Liu et al. 2024): the sum gives each output its direction, the magnitude its length
            magnitude = tensors["magnitude"].float().flatten()
            base = base * (magnitude / base.norm(dim=1))[:, None]
    if set(_EMBEDDING_PAIR) <= set(tensors):
        a, b = (tensors[part].float() for part in _EMBEDDING_PAIR)
        if (a.shape[1], len(b)) != tuple(base.shape):
            raise RuntimeError("shapes")
        base = base + change.scale * (b @ a).T
    if "bias" in tensors:
        if tensors["bias"].shape != base.shape:
            raise RuntimeError("shapes")
        base = base + change.scale * tensors["bias"].float()
    if "rows" in tensors:
        base = base.index_copy(0, torch.tensor(change.rows), tensors["rows"].float())
    return base


def _parsed(stored: str) -> tuple[str, str, str]:
    """The module that a stored tensor belongs to, what it is, and the name of the weight that it changes."""
    name = stored.removeprefix(_PREFIX)
    for pattern, part, target in _PARTS:
        match = re.fullmatch(pattern, name)
        if match:
            return match["module"], part, f"{match['module']}.{target}"
    match = _WHOLE.fullmatch(name)
    if match:
        return match["module"], "whole", f"{match['module']}.{match['rest']}"
    return name.rpartition(".")[0], "whole", name


def _patterns(fields: Fields, name: str) -> list[tuple[re.Pattern[str], float]]:
    """Numbers by pattern of a module's name, which peft matches against its end."""
    numbers = fields.part(name)
    if numbers is None:
        return []
    try:
        return [(re.compile(rf"(.*\.)?({key})"), numbers.number(key, 1.0)) for key in numbers]
    except re.error as error:
        raise CheckpointError(
            fields.path(name), str(error), "give names of modules, or regular expressions"
        ) from None


def _rows_of(indices: Any, change: _Change) -> tuple[int, ...]:
    """Which rows of a table an adapter holds: a list for the embedding, or one for each module by name."""
    if isinstance(indices, dict):
        indices = next(
            (rows for module, rows in indices.items() if f".{change.module}".endswith(f".{module}")), None
        )
    files, stored = change.tensors["rows"]
    count = files.shape(stored)[0]
    whole = isinstance(indices, list) and all(type(row) is int and row >= 0 for row in indices)
    if not whole or len(indices) != count:
        raise CheckpointError(
            "adapter_config.trainable_token_indices", indices, f"give the {count} rows of {change.module}"
        )
    return tuple(indices)
