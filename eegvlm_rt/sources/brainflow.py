"""One EEG channel of a board that BrainFlow drives."""

from __future__ import annotations

import time
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SourceAbsentError, SourceError
from ..extras import install_command
from ..signal.conditioning import check_sfreq
from ..signal.units import to_microvolts
from .chunk import SourceEventKind
from .edf_channel import channel_error
from .live import STALL_S, LiveSource, nothing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from .live import Samples

__all__ = ["BrainFlowSource"]

BUFFER_S = 360
AGAIN_S = 2.0
_TEXTS = ("serial_port", "mac_address", "ip_address", "serial_number", "other_info", "file")
_NUMBERS = ("ip_port", "timeout")


class BrainFlowSource(LiveSource):
    """A BrainFlow board, by name ("synthetic", "cyton", "playback_file") or number.

    BrainFlow gives EEG in µV and a timestamp per sample in seconds of the Unix clock. A board that ends, as a
    playback file does, is a stall: BrainFlow does not say which it was.

    Args:
        board: name or number of `BoardIds`.
        channel: label ("C3") or, where the board has no labels, number of the EEG channel from 1; None takes
            the first.
        unit: of the board's numbers where BrainFlow is wrong about them; None is µV.
        timeout_s: after how many quiet seconds it has stalled. The session is then opened anew, except that
            of a played file, which would begin again.
        options: serial_port, mac_address, ip_address, ip_port, serial_number, timeout, other_info, file, and
            master_board (name or number of the board that made a playback file).

    Raises:
        SourceError: brainflow is missing, an unknown board or option, or a board that cannot be opened.
        ChannelError: unknown channel. SamplingRateError: rate not supported.
    """

    def __init__(
        self,
        board: str | int,
        channel: str | None = None,
        *,
        unit: str | None = None,
        timeout_s: float = STALL_S,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"brainflow:{board}", timeout_s)
        self._shim = _library()
        self._unit = unit or "uV"
        to_microvolts(np.zeros(0), self._unit)
        number = self._number(board)
        parameters = self._parameters(options or {})
        described = number if parameters.master_board == _unset(self._shim) else parameters.master_board
        self._error = self._shim.BrainFlowError
        try:
            kind = self._shim.BoardShim
            kind.disable_board_logger()
            self.sfreq = check_sfreq(float(kind.get_sampling_rate(described)))
            rows = [int(row) for row in kind.get_eeg_channels(described)]
            self._row, self.channel = _pick(rows, self._labels(described, len(rows)), channel)
            self._clock = int(kind.get_timestamp_channel(described))
            self._board = kind(number, parameters)
            self._board.prepare_session()
        except self._error as error:
            raise self._refusal(board, error) from error
        try:
            self._board.start_stream(int(BUFFER_S * self.sfreq))
        except self._error as error:
            self._release()
            raise self._refusal(board, error) from error
        self._lost, self._again_at = False, 0.0
        self._plays = parameters.master_board != _unset(self._shim)
        self._tell(SourceEventKind.CONNECTED)

    def clock_s(self) -> float:
        """The Unix clock."""
        return time.time()

    def _poll(self) -> Samples:
        try:
            if self._lost:
                if time.monotonic() < self._again_at:
                    return nothing()
                self._again_at = time.monotonic() + AGAIN_S
                self._board.prepare_session()
                self._board.start_stream(int(BUFFER_S * self.sfreq))
                self._lost = False
                self._tell(SourceEventKind.RECONNECTED)
            data = self._board.get_board_data()
        except self._error as error:
            if not self._lost:
                self._lose(str(error))
            self._release()
            return nothing()
        samples_uv = to_microvolts(data[self._row], self._unit).astype(np.float64)
        return samples_uv, np.array(data[self._clock], dtype=np.float64)

    def _stalled(self) -> None:
        if not (self._lost or self._plays):
            self._lose("quiet for too long: the session is opened anew")

    def _lose(self, why: str) -> None:
        self._lost = True
        self._again_at = 0.0
        self._tell(SourceEventKind.DISCONNECTED, why)
        self._release()

    def _release(self) -> None:
        try:
            if self._board.is_prepared():
                self._board.release_session()
        except self._error:
            pass

    def _labels(self, described: int, count: int) -> list[str]:
        try:
            return [str(name) for name in self._shim.BoardShim.get_eeg_names(described)]
        except self._error:
            return [str(i + 1) for i in range(count)]

    def _number(self, board: str | int) -> int:
        boards = {kind.name.removesuffix("_BOARD").lower(): int(kind.value) for kind in self._shim.BoardIds}
        text = str(board).strip().lower().replace("-", "_")
        numbers = {str(number): number for number in boards.values()}
        board_id = boards.get(text.removesuffix("_board"), numbers.get(text))
        if board_id is None:
            listed = ", ".join(sorted(name for name in boards if name != "no"))
            raise SourceError("brainflow board", board, f"use one of: {listed}")
        return board_id

    def _parameters(self, options: Mapping[str, str]) -> Any:
        parameters = self._shim.BrainFlowInputParams()
        for name, value in options.items():
            if name == "master_board":
                parameters.master_board = self._number(value)
            elif name in _TEXTS:
                setattr(parameters, name, value)
            elif name in _NUMBERS:
                try:
                    setattr(parameters, name, int(value))
                except ValueError:
                    raise InputError(f"brainflow {name}", value, "give a whole number") from None
            else:
                names = ", ".join((*_TEXTS, *_NUMBERS, "master_board"))
                raise SourceError("brainflow option", name, f"use one of: {names}")
        return parameters

    def _refusal(self, board: str | int, error: Exception) -> SourceAbsentError:
        return SourceAbsentError(
            "brainflow board", board, f"cannot be opened: {error}; check the board and its options"
        )


def _library() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module("pkg_resources")
            from brainflow import board_shim
    except ImportError as error:
        cure = f"brainflow and setuptools<81 are needed: {install_command('brainflow')}"
        raise SourceError("brainflow", str(error), cure) from error
    return board_shim  # type: ignore[no-any-return]


def _unset(shim: ModuleType) -> int:
    return int(shim.BrainFlowInputParams().master_board)


def _pick(rows: list[int], labels: list[str], channel: str | None) -> tuple[int, str]:
    if not rows:
        raise channel_error((), channel, "the board has no EEG channel")
    if channel is None:
        return rows[0], labels[0]
    place_of = {label.casefold(): i for i, label in enumerate(labels)}
    place_of |= {str(i + 1): i for i in range(len(rows))}
    if channel.casefold() not in place_of:
        raise channel_error(labels, channel, "the board has no such channel")
    place = place_of[channel.casefold()]
    return rows[place], labels[place]
