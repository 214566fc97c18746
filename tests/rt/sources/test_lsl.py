"""A live LSL stream: mne-lsl's player and outlets on the loopback are the device."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

import mne
import numpy as np
import pytest

from eegvlm_rt.errors import ChannelError, SourceError, SourceStalledError, UnitError
from eegvlm_rt.sources import ChunkSource, SourceEventKind
from eegvlm_rt.sources.lsl import LslSource, microvolts_per_unit
from eegvlm_rt.streaming import StreamEventKind as Kind
from tests.rt.sources.lsl_loopback import PlayerLSL, StreamInfo, StreamOutlet

if TYPE_CHECKING:
    from collections.abc import Callable

    from eegvlm_rt.sources import Chunk
    from eegvlm_rt.streaming import StreamEvent

SFREQ = 256.0
_numbers = count()


@pytest.fixture
def stream() -> str:
    """A name no other stream has."""
    return f"amp-{os.getpid()}-{next(_numbers)}"


def raw(seconds: float = 30.0) -> mne.io.BaseRaw:
    info = mne.create_info(["Fpz", "Cz"], SFREQ, "eeg", verbose="error")
    ramp = np.arange(round(seconds * SFREQ)) * 1e-8
    return mne.io.RawArray(np.stack([ramp, -ramp]), info, verbose="error")


def player(stream: str) -> PlayerLSL:
    return PlayerLSL(raw(), chunk_size=16, name=stream, source_id=stream, n_repeat=np.inf)


def outlet(
    stream: str, unit: str | None = "microvolts", sfreq: float = SFREQ, source_id: str | None = None
) -> StreamOutlet:
    info = StreamInfo(stream, "eeg", 1, sfreq, "float32", source_id or stream)
    info.set_channel_names(["Fpz"])
    info.set_channel_types(["eeg"])
    if unit is not None:
        info.set_channel_units([unit])
    return StreamOutlet(info)


def gather(source: LslSource, enough: int) -> tuple[np.ndarray, np.ndarray, list[Chunk]]:
    taken = []
    for chunk in source.chunks():
        taken.append(chunk)
        if sum(map(len, taken)) >= enough:
            break
    samples = np.concatenate([chunk.samples for chunk in taken])
    return samples, np.concatenate([chunk.timestamps for chunk in taken]), taken


def listen(source: LslSource, seconds: float) -> list[Chunk]:
    """What comes in some time, whether it stalls or not."""
    taken: list[Chunk] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(SourceStalledError):
            for chunk in source.chunks():
                taken.append(chunk)
                if time.monotonic() >= until:
                    break
    return taken


def kinds(chunks: list[Chunk]) -> list[str]:
    return [event.kind for chunk in chunks for event in chunk.events]


def test_a_played_recording_arrives_in_microvolts_at_its_rate(stream):
    with player(stream), LslSource(stream, "Cz", timeout_s=20) as source:
        assert isinstance(source, ChunkSource)
        assert (source.name, source.sfreq, source.channel) == (f"lsl:{stream}", SFREQ, "Cz")
        samples, times, chunks = gather(source, 128)
        assert source.clock_offset_s == pytest.approx(0.0, abs=0.05)
    np.testing.assert_allclose(np.diff(samples), -0.01, atol=1e-6)
    assert np.median(np.diff(times)) == pytest.approx(1 / SFREQ, abs=1e-3)
    assert kinds(chunks) == ["connected"]


def test_what_was_handed_out_is_not_overwritten_by_what_comes_later(stream):
    device = outlet(stream)
    with LslSource(stream, timeout_s=5) as source:
        taken: list[Chunk] = []
        for number, chunk in enumerate(source.chunks()):
            taken.append(chunk)
            if number == 5:
                break
            places = np.arange(1 + 32 * number, 33 + 32 * number)
            device.push_chunk(np.asarray(places[:, None], dtype=np.float32), places / SFREQ)
    samples = np.concatenate([chunk.samples for chunk in taken])
    times = np.concatenate([chunk.timestamps for chunk in taken])
    assert len(samples) > 64
    np.testing.assert_array_equal(samples, np.arange(1, 1 + len(samples)))
    np.testing.assert_allclose(np.diff(times), 1 / SFREQ, atol=1e-3)


def test_a_lost_stream_and_its_return_are_events_and_samples_go_on(stream):
    first = player(stream).start()
    with LslSource(stream, "Fpz", timeout_s=20) as source:
        _, before, _ = gather(source, 16)
        first.stop()
        seen = []
        for chunk in source.chunks():
            seen.append(chunk)
            if SourceEventKind.DISCONNECTED in kinds(seen):
                break
        with player(stream):
            _, after, chunks = gather(source, 32)
    assert kinds(seen + chunks) == ["disconnected", "reconnected"]
    assert after[0] > before[-1]


def test_a_quiet_stream_is_a_stall_and_stays_open(stream):
    device = outlet(stream, unit=None)
    with LslSource(stream, unit="uV", timeout_s=0.5) as source:
        with pytest.raises(SourceStalledError, match="nothing came for") as caught:
            list(source.chunks())
        assert caught.value.seconds >= 0.5
        source.timeout_s = 5.0
        device.push_chunk(np.full((8, 1), 12.5, dtype=np.float32))
        samples, _, chunks = gather(source, 8)
    np.testing.assert_array_equal(samples, 12.5)
    assert "stalled" in kinds(chunks)


class TestNothingIsLostWhileTheStreamIsOpenedAnew:
    """A sender that pauses for longer than two timeouts is connected to a second time, beside the first."""

    def take(self, source: LslSource, until: Callable[[list[Chunk]], bool]) -> list[Chunk]:
        """What comes, through all stalls, until something is so."""
        taken: list[Chunk] = []
        end = time.monotonic() + 60
        while not until(taken):
            assert time.monotonic() < end
            with suppress(SourceStalledError):
                for chunk in source.chunks():
                    taken.append(chunk)
                    if until(taken):
                        break
        return taken

    def samples(self, source: LslSource, count: int) -> list[Chunk]:
        return self.take(source, lambda taken: sum(map(len, taken)) >= count)

    def pause(self, source: LslSource) -> list[Chunk]:
        return self.take(source, lambda _: source.is_opening_anew)

    def send(self, device: StreamOutlet, first: int, count: int) -> None:
        places = np.arange(first, first + count)
        device.push_chunk(np.asarray(places[:, None], dtype=np.float32), places / SFREQ)

    def opened_anew(self, chunks: list[Chunk]) -> bool:
        return any("opened anew" in event.detail for chunk in chunks for event in chunk.events)

    def test_what_it_sends_at_that_moment_and_later_comes_once_and_in_order(self, stream):
        device = outlet(stream)
        with LslSource(stream, timeout_s=0.3) as source:
            device.wait_for_consumers(timeout=5)
            self.send(device, 0, 64)
            taken = self.samples(source, 64)
            taken += self.pause(source)
            for burst in range(10):
                self.send(device, 64 + 128 * burst, 128)
                taken += self.samples(source, 128)
            assert not source.is_opening_anew
        samples = np.concatenate([chunk.samples for chunk in taken])
        np.testing.assert_array_equal(samples, np.arange(64 + 10 * 128))
        assert self.opened_anew(taken)
        assert kinds(taken).count("disconnected") == kinds(taken).count("reconnected") >= 1

    def test_again_and_again(self, stream):
        device = outlet(stream)
        with LslSource(stream, timeout_s=0.3) as source:
            device.wait_for_consumers(timeout=5)
            taken: list[Chunk] = []
            for turn in range(3):
                self.send(device, 100 * turn, 100)
                taken += self.samples(source, 100)
                taken += self.pause(source)
            self.send(device, 300, 100)
            taken += self.samples(source, 100)
        samples = np.concatenate([chunk.samples for chunk in taken])
        np.testing.assert_array_equal(samples, np.arange(400))

    def test_a_sender_that_began_anew_beside_the_old_one_brings_all_of_both(self, stream):
        old = outlet(stream)
        with LslSource(stream, timeout_s=20) as source:
            old.wait_for_consumers(timeout=5)
            self.send(old, 0, 100)
            taken = self.samples(source, 100)
            del old
            new = outlet(stream)
            taken += self.take(source, lambda _: new.has_consumers)
            self.send(new, 100, 500)
            taken += self.samples(source, 500)
        samples = np.concatenate([chunk.samples for chunk in taken])
        np.testing.assert_array_equal(samples, np.arange(600))


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1.0), ("mV", 1e3), ("-9", 1e-3), ("volts", 1e6)])
def test_the_unit_of_the_stream_is_turned_into_microvolts(unit, factor):
    assert microvolts_per_unit("Fpz", unit) == factor


def test_a_stream_without_a_unit_is_asked_for_one(stream):
    device = outlet(stream, None)
    with pytest.raises(UnitError, match="say uV, mV, V or nV"):
        LslSource(stream, timeout_s=5)
    del device


@pytest.mark.parametrize(
    ("sfreq", "dtype", "message"),
    [(0.0, "float32", "no nominal rate"), (SFREQ, "string", "carries text")],
)
def test_a_stream_without_a_rate_or_with_text_names_the_cure(stream, sfreq, dtype, message):
    device = StreamOutlet(StreamInfo(stream, "eeg", 1, sfreq, dtype, stream))
    with pytest.raises(SourceError, match=message) as caught:
        LslSource(stream, "0", unit="uV", timeout_s=5)
    assert "\n" not in str(caught.value)
    assert "Error:" not in str(caught.value)
    del device


def test_whole_numbers_are_read(stream):
    device = StreamOutlet(StreamInfo(stream, "eeg", 1, SFREQ, "int16", stream))
    with LslSource(stream, "0", unit="uV", timeout_s=5) as source:
        device.push_chunk(np.full((8, 1), 7, dtype=np.int16))
        np.testing.assert_array_equal(gather(source, 8)[0], 7.0)


def test_packets_whose_samples_are_stamped_as_they_go_lose_nothing(stream, tiny_stager):
    """A sender that has a packet every 47 ms, and pushes its 12 samples one after the other."""
    device = outlet(stream)
    sent = np.arange(4 * SFREQ, dtype=np.float32)

    def send() -> None:
        began = time.monotonic()
        for first in range(0, len(sent), 12):
            time.sleep(max(0.0, began + (first + 12) / SFREQ - time.monotonic()))
            for value in sent[first : first + 12]:
                device.push_sample(np.array([value], dtype=np.float32))

    events: list[StreamEvent] = []
    with LslSource(stream, timeout_s=5) as source:
        device.wait_for_consumers(timeout=5)
        sender = threading.Thread(target=send)
        sender.start()
        chunks = gather(source, len(sent))[2]
        sender.join()
    with tiny_stager.stream(SFREQ, on_event=events.append) as night:
        for chunk in chunks:
            night.take(chunk)
        (prediction,) = night.close()
    np.testing.assert_array_equal(np.concatenate([chunk.samples for chunk in chunks]), sent)
    assert night.night.dropped_samples == 0
    assert prediction.quality.missing_share == pytest.approx(1 - len(sent) / (30 * SFREQ), abs=0.02)
    assert {event.kind for event in events} <= {Kind.SOURCE, Kind.STAMPS, Kind.UNIT}


def test_a_chunk_keeps_its_timestamps_when_the_next_one_comes(stream):
    device = outlet(stream)
    with LslSource(stream, timeout_s=5) as source:
        device.push_chunk(np.full((8, 1), 1.0, dtype=np.float32), timestamp=100.0)
        first = gather(source, 8)[2]
        before = [chunk.timestamps.copy() for chunk in first]
        device.push_chunk(np.full((8, 1), 2.0, dtype=np.float32), timestamp=200.0)
        gather(source, 8)
    for chunk, stamps in zip(first, before, strict=True):
        np.testing.assert_array_equal(chunk.timestamps, stamps)


def test_the_library_writes_nothing_to_stderr(capfd, stream):
    device = outlet(stream)
    with LslSource(stream, timeout_s=1) as source:
        device.push_chunk(np.full((8, 1), 1.0, dtype=np.float32))
        gather(source, 8)
        del device
        listen(source, 2)
    assert capfd.readouterr().err == ""


def test_a_channel_that_is_not_there_lists_those_that_are(stream):
    with player(stream), pytest.raises(ChannelError, match="2 channels; name one; channels: 'Fpz', 'Cz'"):
        LslSource(stream, timeout_s=5)


def test_a_missing_stream_names_those_that_are_there(stream):
    other = outlet(stream)
    with pytest.raises(SourceError, match=f"not found in 0.2 s; streams that are there: .*{stream}"):
        LslSource("nobody", timeout_s=0.2)
    del other


def test_two_streams_of_one_name_are_not_guessed_between(stream):
    devices = [outlet(stream, source_id=f"{stream}-bed-{bed}") for bed in (1, 2)]
    with pytest.raises(SourceError, match=f"2 have this name; .*'{stream}-bed-1', '{stream}-bed-2'"):
        LslSource(stream, timeout_s=5)
    with LslSource(stream, source_id=f"{stream}-bed-2", timeout_s=5) as source:
        devices[1].push_chunk(np.full((8, 1), 2.0, dtype=np.float32))
        np.testing.assert_array_equal(gather(source, 8)[0], 2.0)


def test_the_stream_of_another_bed_does_not_take_the_place_of_one_that_is_gone(stream):
    device = outlet(stream, source_id=f"{stream}-bed-1")
    with LslSource(stream, timeout_s=1) as source:
        device.push_chunk(np.full((8, 1), 1.0, dtype=np.float32))
        gather(source, 8)
        del device
        other = outlet(stream, source_id=f"{stream}-bed-2")
        seen = listen(source, 6)
        assert not any(map(len, seen))
        assert not other.has_consumers
    missed = [event.detail for chunk in seen for event in chunk.events if event.kind == "disconnected"]
    assert len(missed) == 1


def test_a_closed_source_says_so(stream):
    device = outlet(stream)
    source = LslSource(stream, timeout_s=5)
    source.close()
    source.close()
    with pytest.raises(SourceError, match="closed"):
        next(source.chunks())
    del device
