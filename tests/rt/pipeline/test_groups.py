"""A night whose texts are decoded in groups has the predictions of one epoch after another, in order."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eegvlm_rt as rt
from eegvlm_rt.backends.cuda import CudaBackend
from eegvlm_rt.devices.host import HostDevice
from eegvlm_rt.errors import BackendError, InputError
from eegvlm_rt.prediction import AnsweredBy
from eegvlm_rt.simulator import simulate_night
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from eegvlm_rt.prediction import StagePrediction

EPOCHS = 11
GROUP = 4


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """A night with an epoch that has no sample, one that mostly did not come, and a flat one."""
    x = simulate_night(1, hours=EPOCHS / 120).samples_uv.copy()
    x[3 * 3000 : 4 * 3000] = np.nan
    x[5 * 3000 : 5 * 3000 + 2400] = np.nan
    x[8 * 3000 : 9 * 3000] = 0.0
    return x


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("groups") / "tiny"
    write_tiny_bundle(place, memory=8)
    return place


def in_groups(folder: Path, texts: int | None = GROUP, **more: bool) -> rt.Stager:
    return rt.Stager.load(folder, backend=CudaBackend(HostDevice()), threads=2, text_batch=texts, **more)


def check_equal(ours: Sequence[StagePrediction], theirs: Sequence[StagePrediction]) -> None:
    assert [p.index for p in ours] == list(range(len(theirs)))
    for p, q in zip(ours, theirs, strict=True):
        assert (p.stage, p.outcome, p.source, p.finish) == (q.stage, q.outcome, q.source, q.finish)
        assert (p.rationale_text, p.rationale, p.checks) == (q.rationale_text, q.rationale, q.checks)
        assert p.probabilities == pytest.approx(q.probabilities, abs=1e-4)
        assert (p.memory is None) == (q.memory is None)
        if p.memory is not None and q.memory is not None:
            np.testing.assert_allclose(p.memory.numbers, q.memory.numbers, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def alone(folder: Path) -> rt.Stager:
    return rt.Stager.load(folder, threads=1)


@pytest.mark.parametrize("mode", ["direct", "cot"])
@pytest.mark.parametrize("memory", [True, False])
def test_the_predictions_are_those_of_one_epoch_after_another(
    folder: Path, alone: rt.Stager, signal: np.ndarray, mode: str, memory: bool
) -> None:
    theirs = list(alone.predict_recording(signal, sfreq=100, mode=mode, memory=memory))
    assert theirs[3].stage is None
    assert theirs[5].source in (AnsweredBy.HEAD, AnsweredBy.MEMORY)
    assert theirs[0].source is (AnsweredBy.DIRECT if mode == "direct" else AnsweredBy.RULE)
    for texts in (1, GROUP, 64):
        ours = list(in_groups(folder, texts).predict_recording(signal, sfreq=100, mode=mode, memory=memory))
        check_equal(ours, theirs)


@settings(max_examples=12, deadline=None)
@given(
    epochs=st.integers(1, 9),
    texts=st.integers(1, 12),
    batch=st.integers(1, 5),
    gaps=st.sets(st.integers(0, 8)),
)
def test_every_epoch_has_one_prediction_and_they_are_in_order(
    folder: Path, epochs: int, texts: int, batch: int, gaps: set[int]
) -> None:
    x = np.random.default_rng(epochs).normal(0, 20, epochs * 3000)
    for gap in gaps:
        x[gap * 3000 : (gap + 1) * 3000] = np.nan
    answers = list(in_groups(folder, texts).predict_recording(x, sfreq=100, mode="direct", batch=batch))
    assert [p.index for p in answers] == list(range(epochs))
    assert [p.stage is None for p in answers] == [i in gaps for i in range(epochs)]


def test_what_the_text_took_is_shared_out_among_the_epochs(folder: Path, signal: np.ndarray) -> None:
    night = list(in_groups(folder).predict_recording(signal, sfreq=100, mode="cot"))
    first, second = night[0].timing, night[1].timing
    assert (first.prefill_ms, first.decode_ms) == (second.prefill_ms, second.decode_ms)
    assert 0 < first.prefill_ms + first.decode_ms < first.total_ms
    assert first.stage_ms == first.total_ms
    assert first.tokens > first.steps > 0


def test_free_texts_and_the_head_alone_are_decoded_one_after_another(
    folder: Path, signal: np.ndarray
) -> None:
    alone = rt.Stager.load(folder, threads=1, constrained=False)
    ours = in_groups(folder, constrained=False)
    x = signal[:6000]
    for mode in ("head", "cot"):
        check_equal(*([*s.predict_recording(x, sfreq=100, mode=mode)] for s in (ours, alone)))


class TestStopping:
    @pytest.mark.parametrize("calls", [0, 3, 40, 100])
    def test_a_cancelled_night_ends_with_a_whole_prediction(
        self, folder: Path, signal: np.ndarray, calls: int
    ) -> None:
        stager = in_groups(folder)
        whole = list(stager.predict_recording(signal, sfreq=100, mode="cot"))
        asked = count()
        part = list(
            stager.predict_recording(signal, sfreq=100, mode="cot", cancelled=lambda: next(asked) >= calls)
        )
        assert len(part) < len(whole)
        check_equal(part, whole[: len(part)])

    def test_who_leaves_early_leaves_no_thread_behind(self, folder: Path, signal: np.ndarray) -> None:
        night = in_groups(folder).predict_recording(signal, sfreq=100, mode="cot")
        assert next(night).index == 0
        night.close()  # type: ignore[attr-defined]
        assert not [t for t in threading.enumerate() if t.name.startswith("eegvlm")]


class _Failing:
    """A tower that fails where so many pictures come together."""

    def __init__(self, tower: Callable[..., object], pictures: int) -> None:
        self._tower, self._pictures = tower, pictures

    def __call__(self, pixel_values: np.ndarray) -> object:
        if len(pixel_values) == self._pictures:
            raise BackendError("tower", "no memory left", "take fewer pictures")
        return self._tower(pixel_values)


def test_an_error_comes_behind_the_predictions_of_the_epochs_before(folder: Path, signal: np.ndarray) -> None:
    stager = in_groups(folder)
    # Four epochs are looked at together. Of the first four one has no sample and no picture.
    stager._pipeline._tower = _Failing(stager._pipeline._load_tower(), 4)  # type: ignore[assignment]
    night = stager.predict_recording(signal, sfreq=100, mode="cot")
    assert [next(night).index for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(BackendError, match="no memory left"):
        next(night)


class TestNumber:
    @pytest.mark.parametrize("texts", [0, 257, 1.5, True])
    def test_another_number_is_refused(self, folder: Path, texts: object) -> None:
        with pytest.raises(InputError, match=r"text_batch.*1 to 256"):
            rt.Stager.load(folder, text_batch=texts)  # type: ignore[arg-type]

    @pytest.mark.parametrize("device", [None, "host"])
    def test_a_model_that_reads_one_text_at_a_time_says_so(self, device: str | None) -> None:
        choice = {} if device is None else {"backend": CudaBackend(HostDevice())}
        with pytest.raises(InputError, match=r"text_batch.*one text at a time.*int4"):
            rt.Stager.load("nano", precision={"llm": "int4_fused"}, text_batch=8, **choice)
        stager = rt.Stager.load("nano", precision={"llm": "int4_fused"}, text_batch=1, **choice)
        assert stager._pipeline.text_batch == 1

    def test_it_is_the_backends_own_unless_it_is_asked_for(self, folder: Path) -> None:
        assert in_groups(folder, None)._pipeline.text_batch == 128
        assert rt.Stager.load(folder)._pipeline.text_batch == 1

    def test_the_shipped_model_decodes_128_texts_in_a_third_of_a_gibibyte(self) -> None:
        stager = rt.Stager.load("nano", backend=CudaBackend(HostDevice()), mode="cot")
        decoder = stager._pipeline.load_decoder()
        assert stager._pipeline.text_batch == 128
        assert decoder.most_texts(42, 350 << 20) >= 128
        assert decoder.most_texts(42, 300 << 20) < 128
