"""The errors of the runtime: one small tree, every message names the field, the value and the cure."""

from __future__ import annotations

import reprlib

__all__ = [
    "BackendError",
    "BundleError",
    "ChannelError",
    "CheckpointError",
    "DraftWarning",
    "EegVlmError",
    "InputError",
    "IntegrityError",
    "JournalError",
    "KernelMissingError",
    "OutputError",
    "RationaleError",
    "RecordingError",
    "RecordingWarning",
    "SamplingRateError",
    "SignatureError",
    "SourceAbsentError",
    "SourceError",
    "SourceStalledError",
    "UnitError",
]

_WHOLE = 400
"""Characters up to which a text is shown as it is: the cause that another library gives fits."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 160
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 12


def _short(value: object) -> str:
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no number of more than sys.get_int_max_str_digits()
        return "a number of thousands of digits"


class EegVlmError(Exception):
    """Root of the tree. `field` is what was wrong, `value` what it held, `cure` what would be right."""

    def __init__(self, field: str, value: object, cure: str) -> None:
        super().__init__(field, value, cure)
        self.field = field
        self.value = value
        self.cure = cure

    def __str__(self) -> str:
        value = self.value
        if isinstance(value, bytes):
            # Bytes of a file are shown as its text, other bytes as U+FFFD.
            text = value.decode("ascii", errors="replace").strip()
            value = "".join(one if one.isprintable() else "\ufffd" for one in text)
        if isinstance(value, str) and len(value) <= _WHOLE:
            shown = value if value and value.isprintable() else repr(value)
        else:
            shown = _short(value)
        return f"{self.field}: {shown}; {self.cure}"


class InputError(EegVlmError, ValueError):
    """A value handed to the library cannot be used."""


class KernelMissingError(EegVlmError, ImportError):
    """The compiled renderer is not beside the Python files."""


class UnitError(InputError):
    """Samples whose size does not fit the unit they were given in."""


class SamplingRateError(InputError):
    """A sampling rate outside what the conditioning filters support."""


class ChannelError(InputError):
    """A channel that the recording does not have; `available` lists those it has."""

    def __init__(self, field: str, value: object, cure: str, available: tuple[str, ...] = ()) -> None:
        super().__init__(field, value, cure)
        self.available = available


class RecordingError(InputError):
    """A recording file that cannot be read; `path` is where it was looked for."""

    def __init__(self, field: str, value: object, cure: str, path: str = "") -> None:
        super().__init__(field, value, cure)
        self.path = path


class RecordingWarning(UserWarning):
    """A recording or hypnogram of which something was left out, or taken for granted."""


class DraftWarning(UserWarning):
    """A model that was published as a draft: it fell short of its gates, or a part was never trained."""


class OutputError(InputError):
    """A file that must not be written: it is an input, or it is there and eegvlm-rt did not write it."""


class SourceError(InputError):
    """A live source that cannot be found, opened or understood."""


class SourceAbsentError(SourceError):
    """A live source that is not there now; to look for it again later may find it."""


class SourceStalledError(SourceError):
    """A live source that went quiet; it is still open. `seconds` is how long nothing came."""

    def __init__(self, field: str, value: object, cure: str, seconds: float = 0.0) -> None:
        super().__init__(field, value, cure)
        self.seconds = seconds


class CheckpointError(InputError):
    """A checkpoint or adapter of a training program with something in it that cannot be used here."""


class BundleError(EegVlmError):
    """A bundle whose manifest or layout is not what the schema asks for."""


class IntegrityError(BundleError):
    """A bundle file whose size or digest differs from its manifest, or that leaves the bundle folder."""


class SignatureError(BundleError):
    """A bundle that is not signed by a key this device trusts."""


class JournalError(EegVlmError):
    """A journal that cannot be begun, read or gone on with; `path` is its file."""

    def __init__(self, field: str, value: object, cure: str, path: str = "") -> None:
        super().__init__(field, value, cure)
        self.path = path


class RationaleError(EegVlmError, ValueError):
    """A text that is no path of the rationale grammar; `position` is the first character off it."""

    def __init__(self, field: str, value: object, cure: str, position: int = 0) -> None:
        super().__init__(field, value, cure)
        self.position = position


class BackendError(EegVlmError):
    """The inference backend failed or does not fit the bundle."""
