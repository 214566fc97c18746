"""ONNX Runtime's providers and session options where the user brings their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["OrtOptions", "ort_options"]

Provider = str | tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OrtOptions:
    """What the user asked of ONNX Runtime; None keeps what this package chooses.

    Attributes:
        providers: in order of preference, as `onnxruntime.InferenceSession` takes them.
        session_options: used for every graph, as it is.
    """

    providers: tuple[Provider, ...] | None = None
    session_options: ort.SessionOptions | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the providers."""
        if self.providers is None:
            return ("CPUExecutionProvider",)
        return tuple(entry if isinstance(entry, str) else entry[0] for entry in self.providers)


def ort_options(
    providers: Sequence[Provider] | None, session_options: ort.SessionOptions | None
) -> OrtOptions:
    """The user's providers and options, checked against the ONNX Runtime that is installed.

    Raises:
        InputError: no provider, one that this ONNX Runtime does not have, or options of another type.
    """
    import onnxruntime as ort

    if session_options is not None and not isinstance(session_options, ort.SessionOptions):
        raise InputError(
            "session_options", type(session_options).__name__, "give an onnxruntime.SessionOptions, or None"
        )
    if providers is None:
        return OrtOptions(None, session_options)
    entries = [] if isinstance(providers, str) or not isinstance(providers, Sequence) else list(providers)
    if not entries or not all(map(_is_provider, entries)):
        cure = 'give a list of names, or of (name, options), as in ["CPUExecutionProvider"]'
        raise InputError("providers", providers, cure)
    options = OrtOptions(tuple(entries), session_options)
    available = ort.get_available_providers()
    for name in options.names:
        if name not in available:
            cure = f"this ONNX Runtime has {', '.join(available)}; other packages of it have others"
            raise InputError("providers", name, cure)
    return options


def _is_provider(entry: object) -> bool:
    if isinstance(entry, str):
        return True
    return (
        isinstance(entry, tuple)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and isinstance(entry[1], dict)
    )
