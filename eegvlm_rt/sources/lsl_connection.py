"""One connection to an LSL stream: opened, checked, and pulled from."""

from __future__ import annotations

import math
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SourceError, UnitError
from ..extras import install_command
from ..signal.conditioning import check_sfreq
from .edf_channel import channel_error

if TYPE_CHECKING:
    from types import ModuleType

    from .live import Samples

__all__ = ["LslConnection", "lsl_library", "microvolts_per_unit"]

BUFFER_S = 360
_CONFIGURATIONS = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")
"""Where liblsl looks for its configuration, in this order, after the environment."""
_UNITS_UV = {
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts", "-6"), 1.0),
    **dict.fromkeys(("mv", "millivolt", "millivolts", "-3"), 1e3),
    **dict.fromkeys(("v", "volt", "volts", "0"), 1e6),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts", "-9"), 1e-3),
}


@dataclass(frozen=True, slots=True)
class LslConnection:
    """A connection that is open.

    Attributes:
        inlet: of mne-lsl.
        uid: of the sender's outlet: another one where the sender began anew.
        source_id: of the sender, None where it has none.
        sfreq: nominal rate in Hz.
        channel: its label, `index` its place among the channels.
        scale_uv: µV of one of its units.
    """

    inlet: Any
    uid: str
    source_id: str | None
    sfreq: float
    channel: str
    index: int
    scale_uv: float

    @classmethod
    def open(cls, info: Any, channel: str | None, *, unit: str | None, timeout_s: float) -> LslConnection:
        """Connect to the stream of a description that was found.

        Raises:
            TimeoutError, RuntimeError: the sender does not answer. SourceError: text, or no rate.
            ChannelError, UnitError, SamplingRateError: as they say.
        """
        inlet = lsl_library().StreamInlet(
            info, max_buffered=BUFFER_S, recover=False, processing_flags=["clocksync"]
        )
        try:
            inlet.open_stream(timeout=timeout_s)
            described = inlet.get_sinfo(timeout=timeout_s)
            if described.dtype in (str, "string"):
                cure = "it carries text; name the stream of the samples"
                raise SourceError("lsl stream", info.name, cure)
            if float(described.sfreq) == 0.0:
                cure = "it has no nominal rate (LSL's IRREGULAR_RATE); let the sender state its rate in Hz"
                raise SourceError("lsl stream", info.name, cure)
            names = tuple(described.get_channel_names() or map(str, range(described.n_channels)))
            index = _pick(names, described.get_channel_types() or (), channel)
            units = described.get_channel_units()
            return cls(
                inlet,
                str(described.uid),
                str(described.source_id) or None,
                check_sfreq(float(described.sfreq)),
                names[index],
                index,
                microvolts_per_unit(names[index], unit or (units[index] if units else None)),
            )
        except (InputError, TimeoutError, RuntimeError):
            inlet.close_stream()
            raise

    @property
    def has_samples(self) -> bool:
        """Whether samples wait to be pulled."""
        return bool(self.inlet.samples_available)

    def pull(self) -> Samples:
        """What has come, in µV, with its timestamps; raises RuntimeError where the connection is lost."""
        data, times_s = self.inlet.pull_chunk(timeout=0.0, max_samples=65536)
        # The library writes the next chunk into the array that it gives.
        samples_uv = np.asarray(data[:, self.index], dtype=np.float64) * self.scale_uv
        return samples_uv, np.array(times_s, dtype=np.float64)

    def close(self) -> None:
        """Let go of the sender."""
        self.inlet.close_stream()


def lsl_library() -> ModuleType:
    is_loaded = "mne_lsl.lsl" in sys.modules
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mne_lsl import lsl
    except ImportError as error:
        raise SourceError("lsl", str(error), f"mne-lsl is needed: {install_command('lsl')}") from error
    if not is_loaded:
        _silence(lsl)
    return lsl  # type: ignore[no-any-return]


def _silence(lsl: ModuleType) -> None:
    """Keep what liblsl writes to stderr off it, but for what ends the process: connections that are lost and
    found are events here. A configuration of the user's stays in force; one that sets its own [log] wins.
    """
    text = ""
    for place in (os.environ.get("LSLAPICFG", ""), *_CONFIGURATIONS):
        path = Path(place).expanduser()
        if place and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            break
    if "[log]" not in text.lower():
        lsl.set_config_content(f"{text}\n[log]\nlevel = -3\n")


def _pick(names: tuple[str, ...], kinds: tuple[str, ...], channel: str | None) -> int:
    if channel is not None:
        if names.count(channel) != 1:
            raise channel_error(names, channel, "the stream has no such channel, or several")
        return names.index(channel)
    eeg = [i for i, kind in enumerate(kinds) if str(kind).lower() == "eeg"] or list(range(len(names)))
    if len(eeg) != 1:
        raise channel_error(names, None, f"{len(eeg)} channels; name one")
    return eeg[0]


def microvolts_per_unit(channel: str, unit: str | None) -> float:
    """Of a unit as LSL streams write them; raises UnitError, naming the channel, for none or another."""
    scale = _UNITS_UV.get(str(unit).strip().lower(), math.nan)
    if math.isnan(scale):
        raise UnitError(
            "unit",
            unit,
            f"the stream gives no voltage for {channel!r}; say uV, mV, V or nV (unit, --unit)",
        )
    return scale
