"""What a manifest says of the model that the runtime must know: checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from ..calibration.parameters import Scoring
from ..errors import BundleError, InputError
from ..prompt import PromptSpec
from ..rationale.grammar import grammar_of
from ..rendering.renderer import RenderSpec
from ..signal.conditioning import Preprocessing

if TYPE_CHECKING:
    from ..bundle.manifest import Manifest

__all__ = ["EPOCH_SAMPLES", "Specs"]

EPOCH_SAMPLES: Final = 3000


@dataclass(frozen=True, slots=True)
class Specs:
    """How a model's signal is conditioned and drawn, what it is asked, and how its answers are scored."""

    preprocessing: Preprocessing
    render: RenderSpec
    prompt: PromptSpec
    scoring: Scoring

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Those of a manifest; raises BundleError where this runtime does not know one."""
        try:
            preprocessing = Preprocessing.from_dict(dict(manifest.preprocessing))
            render = RenderSpec.from_dict(manifest.render)
            prompt = PromptSpec.from_dict(manifest.prompt)
            grammar_of(prompt.grammar)
            scoring = Scoring.from_dict(manifest.scoring)
        except (InputError, TypeError) as error:
            raise BundleError("manifest", str(error), "export the bundle again with this version") from error
        if render.channels != 1 or preprocessing.sfreq * 30 != EPOCH_SAMPLES:
            raise BundleError("manifest", manifest.model_id, "this runtime reads one channel at 100 Hz")
        return cls(preprocessing, render, prompt, scoring)
