"""A night is remembered the same way however it comes in, and an epoch alone needs no night."""

from __future__ import annotations

from dataclasses import replace

import mne
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt import Stager, StreamOptions
from eegvlm_rt.errors import InputError
from eegvlm_rt.journal import Journal
from eegvlm_rt.memory import RESET_EPOCHS, MemoryState
from eegvlm_rt.prediction import AnsweredBy, Outcome
from eegvlm_rt.rationale import NightContext
from eegvlm_rt.signal.conditioning import Preprocessing
from eegvlm_rt.sources.rows import rows_of
from eegvlm_rt.stages import Stage
from tests.rt.tiny_bundle import write_tiny_bundle

EPOCH = 3000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("memory") / "tiny", memory=12).path


@pytest.fixture(scope="module")
def stager(bundle):
    return Stager.load(bundle, mode="head")


def night(epochs, seed=0):
    """White noise whose strength wanders, (epochs * 3000,) in microvolts at 100 Hz."""
    rng = np.random.default_rng(seed)
    strength = np.repeat(np.exp(np.cumsum(rng.normal(0, 0.3, epochs))), EPOCH)
    return (20.0 * strength * rng.standard_normal(epochs * EPOCH)).astype(np.float32)


def numbers(predictions):
    return [(p.stage, dict(p.probabilities), p.memory, p.night, p.outcome) for p in predictions]


def test_a_recording_is_a_chain_of_epochs(stager):
    x = night(7)
    whole = list(stager.predict_recording(x, sfreq=100.0))
    memory, chain = stager.new_memory(), []
    for row in rows_of(x, Preprocessing(), channel=None, sfreq=100.0, unit="uV"):
        p = stager.predict_conditioned(
            row.x, row.quality, index=row.index, start_s=row.start_s, memory=memory
        )
        chain.append(p)
        memory = p.memory
    assert numbers(chain) == numbers(whole)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(97, 9000), min_size=1, max_size=8), mode=st.sampled_from(["head", "direct"])
)
def test_a_stream_remembers_as_a_recording_does_whatever_its_pieces(bundle, sizes, mode):
    x = night(5, seed=3)
    stager = Stager.load(bundle, mode=mode)
    whole = list(stager.predict_recording(x, sfreq=100.0))
    stream = stager.stream(100.0)
    streamed, place, turn = [], 0, 0
    while place < len(x):
        size = sizes[turn % len(sizes)]
        streamed += stream.push(x[place : place + size])
        place, turn = place + size, turn + 1
    streamed += stream.flush()
    assert numbers(streamed) == numbers(whole)


def test_with_memory_the_stage_is_the_memorys_and_the_epochs_own_stays_beside_it(stager):
    with_memory = list(stager.predict_recording(night(6), sfreq=100.0))
    alone = list(stager.predict_recording(night(6), sfreq=100.0, memory=False))
    for p, single in zip(with_memory, alone, strict=True):
        assert p.source is AnsweredBy.MEMORY
        assert p.stage is p.night.stage
        assert p.head == single.head
        assert single.source is AnsweredBy.HEAD
        assert single.night is None
        assert single.memory is None
    assert any(p.probabilities != single.probabilities for p, single in zip(with_memory, alone, strict=True))


def test_the_head_says_the_same_in_every_mode_and_every_batch(bundle):
    x = night(6)
    heads = [
        [p.head for p in Stager.load(bundle, mode=mode).predict_recording(x, sfreq=100.0, batch=batch)]
        for mode, batch in (("head", 1), ("head", 5), ("direct", 1), ("cot", 1))
    ]
    assert all(head == heads[0] for head in heads[1:])


def test_mode_head_opens_neither_tower_nor_language_model(bundle, monkeypatch):
    opened = []
    from eegvlm_rt.backends import session

    real = session.make_session
    for module in ("onnx_head", "onnx_memory", "onnx_tower", "onnx_lm"):
        monkeypatch.setattr(
            f"eegvlm_rt.backends.{module}.make_session",
            lambda graph, *, name, **more: (opened.append(name), real(graph, name=name, **more))[1],
        )
    list(Stager.load(bundle, mode="head").predict_recording(night(2), sfreq=100.0))
    assert sorted(opened) == ["head", "memory"]


def test_an_epoch_without_a_signal_moves_time_on_and_nothing_else(stager):
    x = night(6)
    x[2 * EPOCH : 3 * EPOCH] = np.nan
    p = list(stager.predict_recording(x, sfreq=100.0))
    assert p[2].outcome is Outcome.GAP
    assert p[2].night is None
    assert p[2].memory.absent == 1
    assert p[2].memory.context.previous is None
    assert p[3].memory.absent == 0


def test_a_quarter_of_an_hour_without_a_signal_begins_a_new_night(stager):
    x = np.concatenate([night(2), np.full(RESET_EPOCHS * EPOCH, np.nan, np.float32), night(2, seed=9)])
    p = list(stager.predict_recording(x, sfreq=100.0))
    last_absent = p[1 + RESET_EPOCHS].memory
    assert np.array_equal(last_absent.numbers, stager.new_memory().numbers)
    assert last_absent.context == NightContext()
    fresh = stager.predict_conditioned(
        *(lambda row: (row.x, row.quality))(
            list(rows_of(x, Preprocessing(), channel=None, sfreq=100.0, unit="uV"))[2 + RESET_EPOCHS]
        ),
        memory=stager.new_memory(),
    )
    assert fresh.probabilities == p[2 + RESET_EPOCHS].probabilities


def test_time_that_only_the_timestamps_tell_of_passes_in_a_stream_too(stager):
    """A device that is silent for epochs, stamps packets, and loses samples: as the array with NaN."""
    x = night(4, seed=3)
    place = np.arange(len(x))
    place[2 * EPOCH :] += RESET_EPOCHS * EPOCH
    stamps = 1e6 + place // 10 * 10 / 100.0
    stream = stager.stream(100.0)
    streamed = stream.push(x, stamps) + stream.flush()
    whole = np.full(place[-1] + 1, np.nan, np.float32)
    whole[place] = x
    assert numbers(streamed) == numbers(stager.predict_recording(whole, sfreq=100.0))
    assert streamed[1 + RESET_EPOCHS].memory.context == NightContext()
    assert np.array_equal(streamed[1 + RESET_EPOCHS].memory.numbers, stager.new_memory().numbers)


def test_an_epoch_that_is_mostly_missing_tells_the_memory_nothing(stager):
    x = night(3, seed=3)
    x[EPOCH : 2 * EPOCH][np.random.default_rng(0).random(EPOCH) < 0.6] = np.nan
    p = list(stager.predict_recording(x, sfreq=100.0))
    x[EPOCH : 2 * EPOCH] = np.nan
    absent = list(stager.predict_recording(x, sfreq=100.0))
    assert p[1].outcome is Outcome.UNSCORABLE
    assert (p[1].night, p[1].rationale) == (None, None)
    assert p[1].memory == absent[1].memory


def test_epochs_of_mne_that_were_dropped_let_time_pass(stager):
    info = mne.create_info(["Fpz"], 100.0, "eeg", verbose="error")
    raw = mne.io.RawArray(night(6, seed=3)[None] * 1e-6, info, verbose="error")
    epochs = mne.make_fixed_length_epochs(raw, duration=30.0, preload=True, verbose="error")
    epochs.drop([1, 2], verbose="error")
    p = list(stager.predict_recording(epochs))
    assert [one.start_s for one in p] == [0.0, 90.0, 120.0, 150.0]
    memory, passed = stager._pipeline.memory, p[0].memory
    for _ in range(2):
        passed = memory.pass_over(passed).state
    alone = stager.predict_epoch(epochs.get_data()[1, 0], sfreq=100.0, unit="V", memory=passed)
    assert alone.night.probabilities == pytest.approx(p[1].night.probabilities, abs=1e-6)


def test_epochs_that_do_not_follow_each_other_let_time_pass(stager):
    memory = stager._pipeline.memory
    state = memory.read(memory.start(), np.ones(16, np.float32), np.ones(5, np.float32), None).state
    assert memory.after_pause(state, 0.0) == state
    assert memory.after_pause(state, 60.0).absent == 2
    assert memory.after_pause(state, 30.0 * RESET_EPOCHS) == memory.start()
    assert memory.after_pause(state, -30.0) == memory.start()


def test_a_night_resumes_where_its_journal_ends(stager, tmp_path):
    x = night(8, seed=5)
    whole = list(stager.predict_recording(x, sfreq=100.0))
    path = tmp_path / "night.journal"
    with Journal.create(path, {"sfreq": 100.0}) as journal:
        first = stager.stream(100.0, journal=journal)
        begun = first.push(x[: 4 * EPOCH + 100], np.arange(4 * EPOCH + 100) / 100.0)
        first.abandon()
    journal, state = Journal.resume(path)
    with journal:
        second = stager.stream(100.0, journal=journal, resume=state)
        stamps = np.arange(4 * EPOCH, 8 * EPOCH) / 100.0
        rest = second.push(x[4 * EPOCH :], stamps) + second.flush()
    assert state.memory == begun[-1].memory.to_dict()
    assert begun[-1].memory == whole[3].memory
    assert [p.index for p in rest] == [4, 5, 6, 7]
    # The filters start anew after a restart, so the samples differ for a while; the memory does not.
    assert rest[0].memory.absent == 0
    assert not np.array_equal(rest[0].memory.numbers, whole[0].memory.numbers)


def test_a_stream_without_memory_stages_every_epoch_alone(stager):
    x = night(3)
    stream = stager.stream(100.0, options=StreamOptions(memory=False))
    alone = list(stager.predict_recording(x, sfreq=100.0, memory=False))
    assert numbers(stream.push(x) + stream.flush()) == numbers(alone)


def test_a_language_model_reads_the_memorys_token(bundle):
    stager = Stager.load(bundle, mode="direct")
    x = night(3)
    knows = [p.probabilities for p in stager.predict_recording(x, sfreq=100.0)]
    alone = [p.probabilities for p in stager.predict_recording(x, sfreq=100.0, memory=False)]
    assert knows != alone


def test_a_bundle_without_memory_works_as_before(tmp_path):
    stager = Stager.load(write_tiny_bundle(tmp_path / "old").path, mode="head")
    p = next(iter(stager.predict_recording(night(1), sfreq=100.0)))
    assert p.night is None
    assert p.memory is None
    with pytest.raises(InputError, match="no night memory"):
        stager.new_memory()


def test_a_state_of_another_model_is_refused(stager):
    state = MemoryState(np.zeros(3, np.float32))
    with pytest.raises(InputError, match="12"):
        stager.predict_epoch(night(1), 100.0, memory=state)


@given(
    numbers=st.lists(st.floats(-1, 1, width=32), min_size=0, max_size=40),
    stages=st.lists(st.one_of(st.none(), st.sampled_from(Stage)), max_size=3),
    absent=st.integers(0, 100),
)
def test_a_state_survives_json_to_the_last_bit(numbers, stages, absent):
    state = MemoryState(np.array(numbers, np.float32), NightContext(tuple(stages)), absent)
    assert MemoryState.from_dict(state.to_dict()) == state


@pytest.mark.parametrize(
    "broken", [{"numbers": "?"}, {"numbers": "AAA="}, {"absent": -1}, {"absent": True}, {"more": 1}]
)
def test_a_broken_state_is_refused_by_name(stager, broken):
    with pytest.raises(InputError, match="memory"):
        MemoryState.from_dict(stager.new_memory().to_dict() | broken)


def test_a_prediction_measures_its_epoch_when_it_is_asked(stager):
    p = next(iter(stager.predict_recording(night(1), sfreq=100.0)))
    measured = next(
        iter(Stager.load(stager.bundle.path, mode="direct").predict_recording(night(1), sfreq=100.0))
    )
    assert p.findings == measured.findings
    assert replace(p, index=4).findings == p.findings
