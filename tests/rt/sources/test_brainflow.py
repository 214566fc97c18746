"""Boards driven by BrainFlow: its synthetic board and its playback of a recorded file."""

from __future__ import annotations

import time

import numpy as np
import pytest

from eegvlm_rt.errors import ChannelError, SourceError, SourceStalledError
from eegvlm_rt.sources import ChunkSource, open_source
from eegvlm_rt.sources.brainflow import BrainFlowSource


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
