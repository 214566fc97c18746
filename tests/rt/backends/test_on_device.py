"""Models on a device answer as those in host memory do. The device is the host's memory here, and ONNX
Runtime's CPU provider runs the graphs: what is left for a GPU is CUDA's copies and the name of the
provider."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

import eegvlm_rt as rt
from eegvlm_rt.backends.cuda import CudaBackend, precision_for
from eegvlm_rt.backends.on_device import CudaOptions, FusedDeviceLanguageModel, OrtGraph
from eegvlm_rt.backends.on_device.ort_graph import _keep, check_cuda_provider
from eegvlm_rt.bundle import Bundle, find_bundle
from eegvlm_rt.devices import DeviceArray, DeviceBuffer, Stream
from eegvlm_rt.devices.host import HostDevice
from eegvlm_rt.errors import BackendError, BundleError, InputError
from eegvlm_rt.simulator import simulate_night
from tests.rt.backends.tiny_graphs import tower_graph
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.backends.onnx_gqa import FusedLanguageModel

SIGNAL = simulate_night(1, hours=0.1).samples_uv


@pytest.fixture(scope="module")
def nano() -> Bundle:
    return Bundle.open(find_bundle("nano"))


class TestStager:
    @pytest.mark.parametrize("llm", ["int4", "int4_fused"])
    @pytest.mark.parametrize("mode", ["head", "direct", "cot"])
    def test_a_night_is_staged_as_by_the_default_backend(self, llm: str, mode: str) -> None:
        precision = {"llm": llm}
        ours = rt.Stager.load("nano", backend=CudaBackend(HostDevice()), precision=precision, threads=2)
        theirs = rt.Stager.load("nano", precision=precision, threads=1)
        found = list(ours.predict_recording(SIGNAL, sfreq=100, mode=mode, batch=5))
        expected = list(theirs.predict_recording(SIGNAL, sfreq=100, mode=mode))
        assert [p.stage for p in found] == [p.stage for p in expected]
        assert [p.rationale_text for p in found] == [p.rationale_text for p in expected]
        for ours_p, theirs_p in zip(found, expected, strict=True):
            assert ours_p.probabilities == pytest.approx(theirs_p.probabilities, abs=1e-4)

    def test_a_bundle_without_head_and_memory_is_staged_too(self, tmp_path: Path) -> None:
        bundle = write_tiny_bundle(tmp_path / "tiny")
        ours = rt.Stager.load(bundle.path, backend=CudaBackend(HostDevice()))
        theirs = rt.Stager.load(bundle.path)
        for mode in ("head", "cot"):
            found = list(ours.predict_recording(SIGNAL, sfreq=100, mode=mode))
            expected = list(theirs.predict_recording(SIGNAL, sfreq=100, mode=mode))
            assert [p.stage for p in found] == [p.stage for p in expected]
            assert [p.rationale_text for p in found] == [p.rationale_text for p in expected]

    @pytest.mark.parametrize("mode", ["head", "cot"])
    def test_head_and_memory_may_stay_on_the_host(self, mode: str) -> None:
        options = CudaOptions(host=("head", "memory"))
        ours = rt.Stager.load("nano", backend=CudaBackend(HostDevice(), options), threads=2)
        assert ours.places == {"tower": "gpu", "llm": "gpu", "head": "cpu", "memory": "cpu"}
        theirs = rt.Stager.load("nano", precision={"llm": "int4"}, threads=1)
        assert set(theirs.places.values()) == {"cpu"}
        found = list(ours.predict_recording(SIGNAL, sfreq=100, mode=mode, batch=5))
        expected = list(theirs.predict_recording(SIGNAL, sfreq=100, mode=mode))
        assert [p.stage for p in found] == [p.stage for p in expected]
        assert [p.rationale_text for p in found] == [p.rationale_text for p in expected]

    def test_one_of_both_may_stay_on_the_host_and_no_other(self) -> None:
        stager = rt.Stager.load(
            "nano", mode="head", backend=CudaBackend(HostDevice(), CudaOptions(host=("head",)))
        )
        assert stager.places == {"tower": "gpu", "llm": "gpu", "head": "cpu", "memory": "gpu"}
        with pytest.raises(InputError, match=r"CudaOptions\.host: tower.*head, memory"):
            CudaBackend(HostDevice(), CudaOptions(host=("tower",)))

    def test_without_cuda_in_onnx_runtime_the_cure_is_one_line(self) -> None:
        with pytest.raises(BackendError, match=r"without CUDA; .*\[cuda\].*onnxruntime-gpu"):
            check_cuda_provider()
        for backend in ("cuda", "cuda+cpu"):
            with pytest.raises(BackendError, match=r"onnxruntime-gpu"):
                rt.Stager.load("nano", backend=backend)


class TestPrecision:
    def test_the_best_that_a_gpu_runs_is_taken(self, nano: Bundle) -> None:
        assert precision_for(nano.manifest, "llm") == "int4"
        assert precision_for(nano.manifest, "llm", "int4_fused") == "int4_fused"

    def test_what_the_bundle_does_not_hold_is_refused(self, nano: Bundle) -> None:
        with pytest.raises(BundleError, match="fp16_half"):
            precision_for(nano.manifest, "llm", "fp16_half")


class TestFusedLanguageModel:
    @pytest.fixture
    def both(self, nano: Bundle) -> tuple[FusedDeviceLanguageModel, FusedLanguageModel]:
        from eegvlm_rt.backends import load_language_model

        ours = load_language_model(nano, precision="int4_fused", accelerator=CudaBackend(HostDevice()))
        theirs = load_language_model(nano, precision="int4_fused")
        return ours, theirs  # type: ignore[return-value]

    def test_texts_that_branch_and_outgrow_their_buffer_read_the_same(
        self, both: tuple[FusedDeviceLanguageModel, FusedLanguageModel]
    ) -> None:
        ours, theirs = both
        rng = np.random.default_rng(0)
        found, expected = [ours.extend(ours.embed([1, 2, 3]))], [theirs.extend(theirs.embed([1, 2, 3]))]
        for tokens in (1, 40, 5, 300, 1, 290, 2, 33, 1):
            ids = list(rng.integers(0, ours.vocab_size, tokens))
            start = int(rng.integers(len(found)))
            logits, cache = ours.step(ours.embed(ids), found[start])
            logits_expected, cache_expected = theirs.step(theirs.embed(ids), expected[start])
            np.testing.assert_array_equal(logits, logits_expected)
            row, _ = ours.next_logits(ours.embed(ids), found[start])
            np.testing.assert_array_equal(row, logits_expected[-1])
            found.append(cache)
            expected.append(cache_expected)

    def test_a_text_and_its_question_are_read_in_one_run(
        self, both: tuple[FusedDeviceLanguageModel, FusedLanguageModel]
    ) -> None:
        ours, _ = both
        text, question, other = (ours.embed(ids) for ids in ([5, 6, 7, 8], [9, 10], [11, 12]))
        runs: list[int] = []
        run = ours._graph.run
        ours._graph.run = lambda *binding: runs.append(1) or run(*binding)  # type: ignore[method-assign]
        beginning = ours.read([text])
        assert beginning.length == 4
        text[:] = 0
        assert not runs
        logits, cache = ours.next_logits(question, beginning)
        assert (len(runs), cache.length) == (1, 6)
        expected, _ = ours.next_logits(ours.embed([5, 6, 7, 8, 9, 10]))
        np.testing.assert_array_equal(logits, expected)
        # Later questions go on from what was read, and each text keeps its own.
        rows, second = ours.step(other, beginning)
        assert (len(runs), beginning.length, second.length) == (3, 4, 6)
        expected, _ = ours.step(ours.embed([5, 6, 7, 8, 11, 12]))
        np.testing.assert_array_equal(rows, expected[-2:])
        answer, _ = ours.next_logits(other, cache)
        expected, _ = ours.next_logits(ours.embed([5, 6, 7, 8, 9, 10, 11, 12]))
        np.testing.assert_array_equal(answer, expected)

    def test_a_run_that_fails_leaves_a_beginning_to_be_read_again(
        self,
        both: tuple[FusedDeviceLanguageModel, FusedLanguageModel],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ours, _ = both

        def refusal(*_: object) -> None:
            raise BackendError("llm", "no memory", "none")

        beginning = ours.read([ours.embed([5, 6, 7])])
        with monkeypatch.context() as patch:
            patch.setattr(ours._graph, "run", refusal)
            with pytest.raises(BackendError, match="no memory"):
                ours.next_logits(ours.embed([8]), beginning)
        logits, _ = ours.next_logits(ours.embed([8]), beginning)
        expected, _ = ours.next_logits(ours.embed([5, 6, 7, 8]))
        np.testing.assert_array_equal(logits, expected)

    def test_threads_may_share_a_beginning_that_was_not_read(
        self, both: tuple[FusedDeviceLanguageModel, FusedLanguageModel]
    ) -> None:
        ours, theirs = both
        beginning = ours.read([ours.embed([5, 6, 7])])
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda i: ours.next_logits(ours.embed([i, 4]), beginning)[0], range(8)))
        for i, answer in enumerate(answers):
            np.testing.assert_array_equal(answer, theirs.step(theirs.embed([5, 6, 7, i, 4]))[0][-1])

    def test_visual_tokens_are_read_where_they_lie(
        self, both: tuple[FusedDeviceLanguageModel, FusedLanguageModel]
    ) -> None:
        ours, _ = both
        values = np.random.default_rng(1).standard_normal((42, ours.hidden_size)).astype(np.float32)
        stream = Stream(ours._device)
        buffer = DeviceBuffer(ours._device, values.nbytes)
        with stream.settled() as handle:
            buffer.upload(values, handle)
        array = DeviceArray(buffer, values.shape, stream)
        before = ours.embed([1, 2])
        from_device, from_host = (ours.read([before, piece, before]) for piece in (array, values))
        assert from_device.length == from_host.length == 46
        after = ours.embed([7])
        np.testing.assert_array_equal(
            ours.next_logits(after, from_device)[0], ours.next_logits(after, from_host)[0]
        )
        with pytest.raises(InputError, match="pieces"):
            ours.read([before, values[:, :8]])

    def test_threads_take_turns(self, both: tuple[FusedDeviceLanguageModel, FusedLanguageModel]) -> None:
        ours, theirs = both

        def read(seed: int) -> np.ndarray:
            cache = ours.extend(ours.embed([seed, 5, 9]))
            return ours.next_logits(ours.embed([seed]), cache)[0]

        expected = [theirs.step(theirs.embed([seed, 5, 9, seed]))[0][-1] for seed in range(8)]
        with ThreadPoolExecutor(4) as pool:
            for found, row in zip(pool.map(read, range(8)), expected, strict=True):
                np.testing.assert_allclose(found, row, rtol=0, atol=1e-3)

    def test_buffers_are_reused(self, both: tuple[FusedDeviceLanguageModel, FusedLanguageModel]) -> None:
        ours, _ = both
        for seed in range(3):
            ours.extend(ours.embed([seed, 1]))
        gc.collect()
        held = set(ours._device._blocks)  # type: ignore[attr-defined]
        for seed in range(20):
            ours.next_logits(ours.embed([3]), ours.extend(ours.embed([seed, 1])))
        assert set(ours._device._blocks) == held  # type: ignore[attr-defined]

    def test_memory_of_garbage_goes_to_its_next_user_or_is_freed_never_both(
        self, both: tuple[FusedDeviceLanguageModel, FusedLanguageModel]
    ) -> None:
        ours, _ = both
        for seed in range(5):
            cache = ours.extend(ours.embed([seed, 1, 2]))
            # The collector finalizes all of a cycle, in an order of its own.
            cycle: list[object] = [cache, cache.room.content, cache.room.content.buffer]
            cycle.append(cycle)
            del cache, cycle
            gc.collect()
            assert all(room.content.buffer.address for room in ours._pool)
        expected, _ = ours.next_logits(ours.embed([3]), ours.extend(ours.embed([1, 2])))
        assert np.isfinite(expected).all()

    def test_another_models_cache_is_refused(
        self, both: tuple[FusedDeviceLanguageModel, FusedLanguageModel]
    ) -> None:
        with pytest.raises(InputError, match="cache"):
            both[0].next_logits(both[0].embed([1]), object())  # type: ignore[arg-type]


class _Watched(HostDevice):
    """A device that no thread may touch without its lock: a recording would be spoiled."""

    touched = 0

    def upload(self, address: int, source: np.ndarray, stream: int) -> None:
        self._check()
        super().upload(address, source, stream)

    def download(self, target: np.ndarray, address: int, stream: int) -> None:
        self._check()
        super().download(target, address, stream)

    def _check(self) -> None:
        assert self.lock._is_owned()  # type: ignore[attr-defined]
        type(self).touched += 1


def test_threads_take_turns_on_the_whole_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device = _Watched()
    run = OrtGraph.run

    def alone(self: OrtGraph, *arguments: object) -> None:
        assert device.lock._is_owned()  # type: ignore[attr-defined]
        run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(OrtGraph, "run", alone)
    stager = rt.Stager.load("nano", backend=CudaBackend(device), precision={"llm": "int4_fused"}, threads=4)
    found = list(stager.predict_recording(SIGNAL, sfreq=100, mode="cot"))
    assert len(found) == 12
    assert device.touched > 100


class _Waiting(HostDevice):
    """Counts how often a stream is waited for."""

    waits = 0

    def wait(self, stream: int) -> None:
        self.waits += 1
        super().wait(stream)


def _tower_on(device: HostDevice) -> OrtGraph:
    content = tower_graph(side=24, grid=2, high=16, hidden=16).SerializeToString()
    outputs = ["stage_logits", "high_level", "visual_tokens"]
    return OrtGraph(content, device, Stream(device), part="tower", inputs=["pixel_values"], outputs=outputs)


class TestGraph:
    def test_a_session_that_is_kept_is_never_freed(self) -> None:
        class Session:
            pass

        session = Session()
        last = weakref.ref(session)
        _keep(session)
        del session
        gc.collect()
        assert last() is not None

    def test_the_stream_is_empty_before_the_session_goes(self) -> None:
        """What was put into the stream uses the memory of the session."""
        device = _Waiting()
        graph = _tower_on(device)
        before = device.waits
        session = weakref.ref(graph.session)
        del graph
        gc.collect()
        assert device.waits == before + 1
        assert session() is None

    def test_the_operators_that_run_on_the_host_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The check of a GPU's session, held against one of the CPU, all of whose operators are on the
        host."""
        graph = _tower_on(HostDevice())
        monkeypatch.setattr(HostDevice, "kind", "cuda")
        with pytest.raises(BackendError, match=r"Conv, MatMul.*another precision.*keep_on_device"):
            graph._check_places()

    def test_other_inputs_are_refused(self) -> None:
        device = HostDevice()
        content = tower_graph(side=24, grid=2, high=16, hidden=16).SerializeToString()
        with pytest.raises(BackendError, match=r"tower\.inputs"):
            OrtGraph(
                content,
                device,
                Stream(device),
                part="tower",
                inputs=["pictures"],
                outputs=[],
                options=CudaOptions(batch=2),
            )
