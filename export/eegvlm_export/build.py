"""Checkpoint to bundle: make the files, measure them, hold the gates, publish."""

from __future__ import annotations

import dataclasses
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from eegvlm_train.evaluation.epoch_sets import load_set
from eegvlm_train.evaluation.evaluate import load_answerer

import eegvlm_rt
from eegvlm_rt.bundle import (
    Bundle,
    ComponentSource,
    LanguageModelShape,
    Manifest,
    draft_fields,
    write_bundle,
)
from eegvlm_rt.errors import BundleError
from eegvlm_rt.prompt import Mode
from eegvlm_rt.rendering.renderer import RENDERER_VERSION
from eegvlm_rt.stages import STAGES

from .bundle_files import make_components
from .card import write_card
from .gates import GateResult, GatesFailedError, check_gates, shortcomings
from .graphs.language import head_dim, kv_heads
from .graphs.onnx_files import OPSET
from .measure.parity import measure_parity
from .measure.scorer_agreement import checkpoint_answers, kappa_gates, kappa_losses, scored_answers
from .quantize.epochs import SIMULATED, load_epochs
from .recipe import Recipe
from .weights.checkpoint import Checkpoint
from .weights.reference import pictures

__all__ = ["Exported", "Measurements", "export_bundle"]

_PACKAGES: Final = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "tokenizers", "numpy")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """What an export measured of a bundle, published or not; `speed_ms` are medians on this machine, never
    published. `untrained` are parts of the checkpoint that nobody trained.
    """

    manifest: Manifest
    figures: Mapping[str, Any]
    gates: tuple[GateResult, ...]
    speed_ms: Mapping[str, float]
    weight_errors: Mapping[str, float] = field(default_factory=dict)
    untrained: tuple[str, ...] = ()

    @property
    def shortcomings(self) -> list[str]:
        """Why it is a draft at best; empty where every gate passed."""
        return shortcomings(self.gates, self.untrained)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported(Measurements):
    """A published bundle, and what was measured of it."""

    bundle: Bundle


def export_bundle(
    checkpoint_path: str | Path,
    destination: str | Path,
    recipe: Recipe,
    *,
    model_id: str | None = None,
    calibration: str | Path = SIMULATED,
    parity: str | Path = SIMULATED,
    evaluations: Sequence[str] = (),
    evaluation_modes: Sequence[Mode] = tuple(Mode),
    threads: int = 2,
    overwrite: bool = False,
    draft: bool = False,
    keep: Path | None = None,
    progress: Progress = lambda _: None,
) -> Exported:
    """Export the checkpoint folder to the bundle folder `destination`.

    `calibration` and `parity` are "sim" or a folder of stored nights; `evaluations` names scored
    sets ("real:FOLDER"). Quantised weights are kept in the folder `keep`, where an interrupted export is gone
    on with. Everything is measured through the runtime, on files as they will be published.

    With `draft`, a bundle that fails a gate, or has a part that an import left untrained, is published too:
    its manifest says why, its name ends in "-draft", and whatever is made with it says so.

    Raises GatesFailedError, with nothing published, for such a bundle otherwise, before any work where a part
    is untrained; FileNotFoundError and ValueError for what cannot be read; eegvlm_rt.errors.BundleError where
    `destination` cannot be written.
    """
    if os.path.lexists(destination) and not overwrite:
        raise BundleError("destination", str(destination), "exists; remove it or ask to overwrite it")
    references = {source.partition(":")[0]: load_set(source) for source in evaluations}
    checkpoint = Checkpoint.load(checkpoint_path, recipe.reference)
    if checkpoint.untrained and not draft:
        raise GatesFailedError((), checkpoint.untrained)
    processor = checkpoint.processor
    with tempfile.TemporaryDirectory(prefix="eegvlm-export-") as folder:
        work = Path(folder)
        progress("exporting graphs")

        def calibrate() -> Any:
            epochs = load_epochs(
                calibration, recipe.calibration_epochs, processor.preprocessing, "calibration"
            )
            return pictures(epochs, processor.render)

        components, weight_errors = make_components(
            checkpoint, recipe, work, calibrate, work=keep, progress=progress
        )
        manifest = _manifest(checkpoint, recipe, model_id or checkpoint.config.preset_name)
        sources = {"calibration": calibration, "parity": parity}
        manifest["provenance"]["epochs"] = {
            purpose: "simulated" if source == SIMULATED else "stored nights"
            for purpose, source in sources.items()
        }
        staged = write_bundle(work / "staged", components=components, **manifest)

        progress(f"comparing {recipe.parity_epochs} epochs with the checkpoint")
        epochs = load_epochs(parity, recipe.parity_epochs, processor.preprocessing, "parity")
        measured = measure_parity(
            staged, checkpoint, epochs, reasoning_epochs=recipe.reasoning_epochs, threads=threads
        )
        accuracy, losses = {}, {}
        for name, scored in references.items():
            progress(f"evaluating {len(scored)} {name} epochs")
            accuracy[name] = scored_answers(
                load_answerer(staged.path, threads=threads), scored, evaluation_modes
            )
            before = checkpoint_answers(checkpoint, scored, evaluation_modes)
            losses[name] = kappa_losses(before, accuracy[name])
        size = {name: component.file.bytes for name, component in staged.manifest.components.items()}
        size["total"] = sum(entry.bytes for entry in staged.manifest.files())
        figures = {**measured.parity, "accuracy": accuracy, "kappa_loss": losses, "bytes": size}
        if weight_errors:
            figures["weight_error"] = {"max": max(weight_errors.values())}
        results = check_gates([*recipe.gates, *kappa_gates(recipe, losses)], figures)
        measurements = Measurements(
            manifest=staged.manifest,
            figures=figures,
            gates=results,
            speed_ms=measured.speed_ms,
            weight_errors=weight_errors,
            untrained=checkpoint.untrained,
        )
        if measurements.shortcomings and not draft:
            raise GatesFailedError(results, checkpoint.untrained, measurements)

        progress("publishing a draft" if measurements.shortcomings else "publishing")
        if measurements.shortcomings:
            manifest |= draft_fields(manifest["model_id"], measurements.shortcomings)
        card = write_card(
            work / "README.md",
            replace(staged.manifest, model_id=manifest["model_id"], draft=tuple(manifest.get("draft", ()))),
            measured.parity,
            accuracy,
            results,
            checkpoint.training,
        )
        components["card"] = ComponentSource(card, "none", file="README.md")
        bundle = write_bundle(
            destination,
            components=components,
            parity={**measured.parity, "gates": _passed(results)},
            accuracy=accuracy,
            overwrite=overwrite,
            **manifest,
        )
    fields = {item.name: getattr(measurements, item.name) for item in dataclasses.fields(measurements)}
    return Exported(**fields | {"manifest": bundle.manifest, "bundle": bundle})


def _manifest(checkpoint: Checkpoint, recipe: Recipe, model_id: str) -> dict[str, Any]:
    config, text = checkpoint.config, checkpoint.config.text_config
    processor = checkpoint.processor
    return {
        "model_id": model_id,
        "render": processor.render.to_dict(),
        "preprocessing": processor.preprocessing.to_dict(),
        "prompt": processor.prompt.to_dict(),
        "stage_tokens": {stage.name: checkpoint.stage_tokens[stage] for stage in STAGES},
        "visual_tokens": config.num_visual_tokens,
        "hidden_size": text.hidden_size,
        "lm": LanguageModelShape(
            num_layers=text.num_hidden_layers,
            num_kv_heads=kv_heads(text),
            head_dim=head_dim(text),
            vocab_size=text.vocab_size,
        ),
        "scoring": checkpoint.scoring,
        "provenance": {
            "checkpoint_sha256": checkpoint.digest,
            "recipe": recipe.to_dict(),
            "renderer": RENDERER_VERSION,
            "opset": OPSET,
            "eegvlm_rt": eegvlm_rt.__version__,
            "python": platform.python_version(),
            "packages": {name: version(name) for name in _PACKAGES},
        },
    }


def _passed(results: tuple[GateResult, ...]) -> dict[str, dict[str, Any]]:
    return {
        result.gate.figure: {"wanted": result.gate.wanted, "value": result.value, "passed": result.passed}
        for result in results
    }
