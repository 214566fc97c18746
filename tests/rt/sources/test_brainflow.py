"""Boards driven by BrainFlow: its synthetic board and its playback of a recorded file."""

from __future__ import annotations

import time

import numpy as np
import pytest

from eegvlm_rt.errors import ChannelError, SourceError, SourceStalledError
from eegvlm_rt.sources import ChunkSource, open_source
from eegvlm_rt.sources.brainflow import BrainFlowSource
from eegvlm_rt.streaming import StreamEventKind as Kind


def gather(source: ChunkSource, enough: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    samples, times, kinds = [], [], []
    for chunk in source.chunks():
        samples.extend(chunk.samples)
        times.extend(chunk.timestamps)
        kinds.extend(event.kind for event in chunk.events)
        if len(samples) >= enough:
            break
    return np.array(samples), np.array(times), kinds


def test_the_synthetic_board_streams_microvolts_on_the_unix_clock():
    with BrainFlowSource("synthetic", "C3") as source:
        assert isinstance(source, ChunkSource)
        assert (source.name, source.sfreq, source.channel) == ("brainflow:synthetic", 250.0, "C3")
        samples, times, kinds = gather(source, 100)
    assert np.isfinite(samples).all()
    assert 1.0 < np.ptp(samples) < 1e4
    assert np.all(np.diff(times) >= 0)
    assert abs(times[-1] - time.time()) < 60
    assert kinds == ["connected"]


def test_without_a_channel_the_first_of_the_board_is_taken():
    with open_source("brainflow:synthetic") as source:
        assert source.channel == "Fz"


def test_a_played_file_gives_the_recorded_samples_and_then_stalls_open(tmp_path):
    recorded = tmp_path / "night.csv"
    with BrainFlowSource("synthetic", "Cz") as source:
        source._board.add_streamer(f"file://{recorded}:w")
        gather(source, 200)
    table = np.loadtxt(recorded, delimiter="\t")
    spec = f"brainflow:playback_file?file={recorded}&master_board=synthetic"
    played = []
    with open_source(spec, "Cz", timeout_s=1.0) as source:
        with pytest.raises(SourceStalledError):
            played.extend(chunk.samples for chunk in source.chunks())
        with pytest.raises(SourceStalledError):
            list(source.chunks())
    played = np.concatenate(played)
    assert 50 < len(played) <= len(table)
    np.testing.assert_allclose(played, table[: len(played), 3], atol=1e-4)


@pytest.mark.parametrize("size", [5, 25])
def test_a_board_that_stamps_packets_loses_nothing(tmp_path, tiny_stager, size):
    """A played file whose samples have the timestamp of their packet's arrival, as Bluetooth boards give."""
    n = 750
    table = np.zeros((n, 32))
    table[:, 0] = np.arange(n) % 256
    table[:, 1] = np.arange(n)
    table[:, 30] = 1.7e9 + (np.arange(n) // size) * size / 250.0
    recorded = tmp_path / "packets.csv"
    np.savetxt(recorded, table, fmt="%.6f", delimiter="\t")
    options = {"file": str(recorded), "master_board": "synthetic"}
    chunks, events = [], []
    with BrainFlowSource("playback_file", "1", timeout_s=1.0, options=options) as source:
        # BrainFlow stamps anew what it plays, unless it is told not to before it begins.
        source._board.stop_stream()
        source._board.config_board("old_timestamps")
        source._board.get_board_data()
        source._board.start_stream(10_000)
        with pytest.raises(SourceStalledError):
            chunks.extend(source.chunks())
    with tiny_stager.stream(250.0, on_event=events.append) as night:
        for chunk in chunks:
            night.take(chunk)
        (prediction,) = night.close()
    samples = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_array_equal(samples, table[: len(samples), 1])
    assert len(samples) > n - size - 2
    assert night.night.dropped_samples == 0
    assert prediction.quality.missing_share == pytest.approx(1 - len(samples) / 7500, abs=0.001)
    assert {event.kind for event in events} <= {Kind.SOURCE, Kind.STAMPS, Kind.UNIT}


def test_a_board_that_stopped_is_opened_anew_and_that_is_told():
    with BrainFlowSource("synthetic", "C3", timeout_s=0.5) as source:
        gather(source, 50)
        source._board.stop_stream()
        with pytest.raises(SourceStalledError):
            gather(source, 10**6)
        samples, times, kinds = gather(source, 50)
    assert kinds == ["stalled", "disconnected", "reconnected"]
    assert np.isfinite(samples).all()
    assert abs(times[-1] - time.time()) < 60


def test_a_unit_that_the_board_gets_wrong_is_put_right():
    with BrainFlowSource("synthetic", "C3", unit="nV") as source:
        small, _, _ = gather(source, 100)
    assert np.ptp(small) < 10


def test_an_unknown_board_lists_the_boards():
    with pytest.raises(SourceError, match=r"use one of: .*cyton.*synthetic"):
        BrainFlowSource("toaster")


def test_an_unknown_channel_lists_the_channels():
    with pytest.raises(ChannelError, match="'Fz', 'C3'"):
        BrainFlowSource("synthetic", "Fp99")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"colour": "red"}, "use one of: serial_port"), ({"ip_port": "x"}, "whole number")],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        BrainFlowSource("synthetic", options=options)


def test_a_board_that_cannot_be_opened_is_a_source_error(tmp_path):
    options = {"file": str(tmp_path / "none.csv"), "master_board": "synthetic"}
    with pytest.raises(SourceError, match="cannot be opened"):
        BrainFlowSource("playback_file", options=options)
