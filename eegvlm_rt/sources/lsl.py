"""One channel of a lab streaming layer (LSL) stream.

The inlet of mne-lsl is used rather than its `StreamLSL`: that one recovers a lost stream without saying so
and overwrites what was not fetched in time; here a lost stream is an event, and so is its return.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SourceAbsentError, SourceError, UnitError
from ..extras import install_command
from ..signal.conditioning import check_sfreq
from .chunk import SourceEventKind
from .edf_channel import channel_error
from .live import STALL_S, LiveSource, nothing

if TYPE_CHECKING:
    from types import ModuleType

    from .live import Samples

__all__ = ["LslSource", "microvolts_per_unit"]

BUFFER_S = 360
LOOK_S = 2.0
_SEARCH_S = 0.25
_OTHERS_S = 1.0
_UNSEEN = 2
_CONFIGURATIONS = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")
"""Where liblsl looks for its configuration, in this order, after the environment."""
_UNITS_UV = {
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts", "-6"), 1.0),
    **dict.fromkeys(("mv", "millivolt", "millivolts", "-3"), 1e3),
    **dict.fromkeys(("v", "volt", "volts", "0"), 1e6),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts", "-9"), 1e-3),
}


class LslSource(LiveSource):
    """A stream found by its name, and by its source id where several bear the name.

    Timestamps are LSL's, corrected to this host's LSL clock (`clocksync`), so that they stay comparable when
    the sender comes back on another clock. A stream that comes back must bear the same source id, if it had
    one: another of its name may be another bed's. The unit of the channel is taken from the stream's
    description (its name, or MNE's power of ten of a volt) unless `unit` says it. Up to 360 s wait to be
    fetched.

    Args:
        stream: name of the stream.
        channel: label; None takes the only channel of type EEG.
        unit: uV, mV, V or nV where the stream does not say.
        timeout_s: how long to search for the stream, and after how many quiet seconds it has stalled.
        source_id: the stream's unique id.

    Raises:
        SourceError: mne-lsl is missing, no such stream or several. ChannelError: unknown or ambiguous
        channel. UnitError: no unit. SamplingRateError: rate not supported.
    """

    def __init__(
        self,
        stream: str,
        channel: str | None = None,
        *,
        unit: str | None = None,
        timeout_s: float = STALL_S,
        source_id: str | None = None,
    ) -> None:
        super().__init__(f"lsl:{stream}", timeout_s)
        self._lsl = _library()
        self._stream, self._source_id, self._unit = stream, source_id, unit
        self._inlet: Any = None
        self._uid = ""
        self._look_at_s, self._unseen, self._away = LOOK_S, 0, False
        self._index, self._scale_uv = 0, 1.0
        found = self._search(self.timeout_s)
        if found and self._source_id is None:
            found = self._search(_OTHERS_S, least=2)
        if not found:
            others = sorted({info.name for info in self._lsl.resolve_streams(timeout=1.0)})
            listed = ", ".join(repr(name) for name in others) or "none"
            raise SourceAbsentError(
                "lsl stream", stream, f"not found in {self.timeout_s:g} s; streams that are there: {listed}"
            )
        if len(found) > 1:
            ids = ", ".join(repr(info.source_id) for info in found)
            raise SourceError(
                "lsl stream", stream, f"{len(found)} have this name; add ?source_id= with one of: {ids}"
            )
        self._open(found[0], channel)
        self._tell(SourceEventKind.CONNECTED)

    @property
    def clock_offset_s(self) -> float | None:
        """Seconds that are added to the sender's clock, as now estimated; None while it is away."""
        try:
            return None if self._inlet is None else float(self._inlet.time_correction(timeout=1.0))
        except (TimeoutError, RuntimeError):
            return None

    def clock_s(self) -> float:
        """This host's LSL clock."""
        return float(self._lsl.local_clock())

    def _poll(self) -> Samples:
        if self._inlet is None and not self._reopen():
            return nothing()
        try:
            data, times_s = self._inlet.pull_chunk(timeout=0.0, max_samples=65536)
        except RuntimeError as error:
            self._leave(str(error))
            return nothing()
        if not len(times_s):
            self._look()
            return nothing()
        self._look_at_s, self._unseen = LOOK_S, 0
        if self._away:
            self._away = False
            self._tell(SourceEventKind.RECONNECTED)
        samples = np.asarray(data[:, self._index], dtype=np.float64) * self._scale_uv
        # The library writes the next chunk into the array that it gives.
        return samples, np.array(times_s, dtype=np.float64)

    def _look(self) -> None:
        """See what became of a sender that is quiet: one that is gone does not always close its connection.

        The connection is kept where there is no new sender: after a network's outage it still brings what was
        sent meanwhile.
        """
        if self._quiet_s() < self._look_at_s:
            return
        self._look_at_s = self._quiet_s() + LOOK_S
        found = {str(info.uid) for info in self._search(_SEARCH_S)}
        self._unseen = 0 if found else self._unseen + 1
        if found and self._uid not in found:
            self._leave("the sender began anew")
        elif self._unseen == _UNSEEN:
            self._miss("the sender is not to be found" + self._namesakes())

    def _stalled(self) -> None:
        if self._inlet is not None and self._unseen == 0 and self._quiet_s() > 2 * self.timeout_s:
            self._leave("the sender is there and sends nothing: the stream is opened anew")

    def _namesakes(self) -> str:
        """What is to be said of streams that bear the name and are not the one: they may be another bed's."""
        found = self._lsl.resolve_streams(timeout=_SEARCH_S, name=self._stream, minimum=1)
        ids = sorted({str(info.source_id) for info in found} - {self._source_id or ""})
        return f"; of this name there is {', '.join(map(repr, ids))}, for ?source_id=" if ids else ""

    def _leave(self, why: str) -> None:
        self._drop()
        self._miss(why)

    def _miss(self, why: str) -> None:
        if not self._away:
            self._away = True
            self._tell(SourceEventKind.DISCONNECTED, why)

    def _release(self) -> None:
        self._drop()

    def _reopen(self) -> bool:
        found = self._search(_SEARCH_S)
        if len(found) != 1:
            return False
        before = self.sfreq
        try:
            self._open(found[0], self.channel)
        except (RuntimeError, TimeoutError):
            self._drop()
            return False
        if self.sfreq != before:
            raise SourceError("sfreq", self.sfreq, f"the stream came back at another rate than {before:g} Hz")
        self._away = False
        self._tell(SourceEventKind.RECONNECTED)
        return True

    def _search(self, timeout_s: float, least: int = 1) -> list[Any]:
        found = self._lsl.resolve_streams(
            timeout=timeout_s, name=self._stream, source_id=self._source_id or None, minimum=least
        )
        return sorted(found, key=lambda info: str(info.source_id))

    def _open(self, info: Any, channel: str | None) -> None:
        inlet = self._lsl.StreamInlet(
            info, max_buffered=BUFFER_S, recover=False, processing_flags=["clocksync"]
        )
        self._inlet = inlet
        try:
            inlet.open_stream(timeout=self.timeout_s)
            described = inlet.get_sinfo(timeout=self.timeout_s)
            self._uid, self._source_id = str(described.uid), str(described.source_id) or self._source_id
            if described.dtype in (str, "string"):
                raise SourceError(
                    "lsl stream", self._stream, "it carries text; name the stream of the samples"
                )
            if float(described.sfreq) == 0.0:
                cure = "it has no nominal rate (LSL's IRREGULAR_RATE); let the sender state its rate in Hz"
                raise SourceError("lsl stream", self._stream, cure)
            self.sfreq = check_sfreq(float(described.sfreq))
            names = tuple(described.get_channel_names() or map(str, range(described.n_channels)))
            self._index = _pick(names, described.get_channel_types() or (), channel)
            self.channel = names[self._index]
            units = described.get_channel_units()
            self._scale_uv = microvolts_per_unit(
                self.channel, self._unit or (units[self._index] if units else None)
            )
        except (InputError, TimeoutError, RuntimeError):
            self._drop()
            raise
        self._source_id = str(described.source_id) or None

    def _drop(self) -> None:
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.close_stream()
            del inlet


def _library() -> ModuleType:
    known = "mne_lsl.lsl" in sys.modules
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mne_lsl import lsl
    except ImportError as error:
        raise SourceError("lsl", str(error), f"mne-lsl is needed: {install_command('lsl')}") from error
    if not known:
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
