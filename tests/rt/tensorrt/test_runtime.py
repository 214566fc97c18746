"""The TensorRT backend keeps the two protocols, on a GPU whose memory is watched; see fake_gpu.py."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eegvlm_rt as rt
from eegvlm_rt.backends.on_device import DeviceLanguageModel, DeviceVisionTower
from eegvlm_rt.backends.onnx_lm import OnnxLanguageModel
from eegvlm_rt.backends.onnx_tower import OnnxVisionTower
from eegvlm_rt.bundle import Bundle, LanguageModelShape
from eegvlm_rt.decoding import Finish
from eegvlm_rt.devices import DeviceArray
from eegvlm_rt.errors import BackendError, BundleError, InputError
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.tensorrt import PlanStore, TensorRT, engine_key, precision_for
from eegvlm_rt.tensorrt.accelerator import Accelerator
from eegvlm_rt.tensorrt.build import shapes_of
from eegvlm_rt.tensorrt.models import open_language_model, open_tower
from eegvlm_rt.tensorrt.profiles import Range
from tests.rt.backends.tiny_graphs import llm_graph, tower_graph
from tests.rt.decoding.decoding_models import answer_start, decoder_of, visual
from tests.rt.tensorrt.fake_gpu import FakeGpu, fake_plan, fake_tensorrt
from tests.rt.tiny_bundle import train_tokenizer, write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.tensorrt.profiles import Shapes

HIDDEN, LAYERS, HEADS, WIDTH, VOCAB = 16, 2, 2, 8, 50
SHAPE = LanguageModelShape(LAYERS, HEADS, WIDTH, VOCAB)


def language_ranges(longest: int, steps: int, *, hidden: int = HIDDEN) -> Shapes:
    def profile(tokens: int) -> dict[str, Range]:
        cache = Range((1, HEADS, 0, WIDTH), (1, HEADS, 0, WIDTH), (1, HEADS, longest - 1, WIDTH))
        names = [f"past_key_values.{i}.{kind}" for i in range(LAYERS) for kind in ("key", "value")]
        return {
            "inputs_embeds": Range((1, 1, hidden), (1, 1, hidden), (1, tokens, hidden)),
            "position_ids": Range((1, 1), (1, 1), (1, tokens)),
            **dict.fromkeys(names, cache),
        }

    return (profile(longest), profile(steps))


def language_models(
    gpu: FakeGpu, vocab: int = VOCAB, seed: int = 0, longest: int = 400
) -> tuple[DeviceLanguageModel, OnnxLanguageModel]:
    graph = llm_graph(
        hidden=HIDDEN, layers=LAYERS, heads=HEADS, head_dim=WIDTH, inner=24, vocab=vocab, seed=seed, gain=5.0
    ).SerializeToString()
    table = np.random.default_rng(seed).standard_normal((vocab, HIDDEN)).astype(np.float32)
    shape = replace(SHAPE, vocab_size=vocab)
    plan = fake_plan(graph, language_ranges(longest, 16))
    model = open_language_model(plan, table, fake_tensorrt(gpu), gpu, shape)
    return model, OnnxLanguageModel(graph, table, shape)


def embeds(tokens: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, tokens, HIDDEN)).astype(np.float32)


class TestLanguageModel:
    @settings(deadline=None, max_examples=15)
    @given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5))
    def test_steps_give_what_the_other_backend_gives(self, lengths: list[int]) -> None:
        model, other = language_models(FakeGpu())
        cache = expected_cache = None
        for i, tokens in enumerate(lengths):
            logits, cache = model.step(embeds(tokens, i), cache)
            expected, expected_cache = other.step(embeds(tokens, i), expected_cache)
            assert cache.length == sum(lengths[: i + 1])
            np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)

    def test_a_cache_is_shared_by_texts_that_branch(self) -> None:
        model, other = language_models(FakeGpu())
        start, expected_start = model.extend(embeds(20)), other.extend(embeds(20))
        for seed in (1, 2, 3, 1):
            found, further = model.step(embeds(3, seed), start)
            expected, expected_further = other.step(embeds(3, seed), expected_start)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
            again, _ = model.step(embeds(1, seed), further)
            expected_again, _ = other.step(embeds(1, seed), expected_further)
            np.testing.assert_allclose(again, expected_again, rtol=0, atol=1e-4)

    def test_threads_take_turns(self) -> None:
        model, _ = language_models(FakeGpu())

        def read(seed: int) -> np.ndarray:
            cache = model.extend(embeds(10, seed))
            return model.step(embeds(2, seed + 100), cache)[0]

        alone = [read(seed) for seed in range(8)]
        with ThreadPoolExecutor(4) as pool:
            for found, expected in zip(pool.map(read, range(8)), alone, strict=True):
                np.testing.assert_array_equal(found, expected)

    def test_the_decoder_reasons_the_same_words(self) -> None:
        from eegvlm_rt.prompt import PromptSpec

        tokenizer = train_tokenizer(PromptSpec(), 400)
        gpu = FakeGpu()
        model, other = language_models(gpu, tokenizer.get_vocab_size(), seed=3)
        assert answer_start(tokenizer) < 400
        ours, theirs = decoder_of(model, tokenizer), decoder_of(other, tokenizer)  # type: ignore[arg-type]
        for seed in range(3):
            prefix, expected_prefix = ours.prefix(visual(seed)), theirs.prefix(visual(seed))
            found, expected = ours.score_stages(prefix), theirs.score_stages(expected_prefix)
            assert found == pytest.approx(expected, abs=1e-4)
            assert ours.decode_rationale(prefix).text == theirs.decode_rationale(expected_prefix).text
            stopped = ours.decode_rationale(prefix, stop=lambda: Finish.CANCELLED)
            assert stopped.finish is Finish.CANCELLED
        assert gpu.runs > 10

    def test_memory_is_reused_and_given_back(self) -> None:
        gpu = FakeGpu()
        model, _ = language_models(gpu)
        for seed in range(3):
            cache = model.extend(embeds(30, seed))
            for _ in range(5):
                cache = model.extend(embeds(1), cache)
        held = set(gpu.live)
        for seed in range(20):
            model.extend(embeds(30, seed))
        assert set(gpu.live) == held
        del model, cache
        gc.collect()
        assert (gpu.live, gpu.pending) == ({}, {})

    def test_a_text_longer_than_the_plan_is_refused(self) -> None:
        model, _ = language_models(FakeGpu(), longest=32)
        cache = model.extend(embeds(32))
        with pytest.raises(BackendError, match=r"llm\.shapes.*longer than the plan"):
            model.extend(embeds(1), cache)
        with pytest.raises(BackendError, match=r"llm\.shapes"):
            model.extend(embeds(33))
        model.extend(embeds(2), model.extend(embeds(30)))

    def test_another_models_cache_is_refused(self) -> None:
        model, other = language_models(FakeGpu())
        with pytest.raises(InputError, match="cache"):
            model.step(embeds(1), other.extend(embeds(2)))

    def test_memory_that_is_full_is_said(self) -> None:
        gpu = FakeGpu(capacity=1 << 18)
        model, _ = language_models(gpu)
        with pytest.raises(BackendError, match="cudaErrorMemoryAllocation"):
            [model.extend(embeds(30, seed)) for seed in range(100)]
        model.extend(embeds(30))

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"vocab": 51}, "llm.logits"),
            ({"hidden": 24}, "llm.inputs_embeds"),
            ({"head_dim": 4}, "llm.past_key_values"),
            ({"layers": 3}, "llm.inputs"),
        ],
    )
    def test_a_plan_of_another_model_is_refused(self, change: dict[str, int], field: str) -> None:
        size: dict[str, Any] = {
            "hidden": HIDDEN,
            "layers": LAYERS,
            "heads": HEADS,
            "head_dim": WIDTH,
            "inner": 24,
            "vocab": VOCAB,
        }
        gpu = FakeGpu()
        plan = fake_plan(llm_graph(**(size | change)).SerializeToString(), language_ranges(64, 16))
        table = np.zeros((VOCAB, HIDDEN), dtype=np.float32)
        with pytest.raises(BackendError) as refused:
            open_language_model(plan, table, fake_tensorrt(gpu), gpu, SHAPE)
        assert refused.value.field == field


class TestTower:
    @pytest.fixture
    def both(self) -> tuple[DeviceVisionTower, OnnxVisionTower]:
        graph = tower_graph(side=24, grid=2, high=16, hidden=16).SerializeToString()
        gpu = FakeGpu()
        plan = fake_plan(graph, ({"pixel_values": Range((1, 3, 24, 24), (1, 3, 24, 24), (4, 3, 24, 24))},))
        ours = open_tower(plan, fake_tensorrt(gpu), gpu, visual_tokens=8, hidden_size=16)
        return ours, OnnxVisionTower(graph, visual_tokens=8, hidden_size=16)

    @pytest.mark.parametrize("n", [1, 4, 5, 11])
    def test_any_number_of_pictures_gives_what_the_other_backend_gives(
        self, both: tuple[DeviceVisionTower, OnnxVisionTower], n: int
    ) -> None:
        pictures = np.random.default_rng(n).standard_normal((n, 3, 24, 24)).astype(np.float32)
        found, expected = both[0](pictures), both[1](pictures)
        assert isinstance(found.visual_tokens, DeviceArray)
        np.testing.assert_allclose(found.visual_tokens.numpy(), expected.visual_tokens, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found.visual_tokens[n - 1].numpy(), expected.visual_tokens[-1], atol=1e-4)
        for name in ("stage_logits", "high"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-4)

    def test_strided_pictures_are_read_right(self, both: tuple[DeviceVisionTower, OnnxVisionTower]) -> None:
        pictures = np.random.default_rng(0).standard_normal((2, 3, 24, 48)).astype(np.float32)[..., ::2]
        found, expected = both[0](pictures), both[1](np.ascontiguousarray(pictures))
        np.testing.assert_allclose(found.stage_logits, expected.stage_logits, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("shape", [(3, 24, 24), (1, 3, 24, 25), (1, 1, 24, 24)])
    def test_another_shape_is_refused(
        self, both: tuple[DeviceVisionTower, OnnxVisionTower], shape: tuple[int, ...]
    ) -> None:
        with pytest.raises(InputError, match="pixel_values"):
            both[0](np.zeros(shape, dtype=np.float32))

    def test_a_plan_of_another_version_is_refused(self) -> None:
        gpu = FakeGpu()
        with pytest.raises(BackendError, match=r"another version.*build-engines"):
            open_tower(b"something", fake_tensorrt(gpu), gpu, visual_tokens=8, hidden_size=16)


class TestStager:
    @pytest.fixture
    def accelerator(self, tmp_path: Path) -> Accelerator:
        gpu = FakeGpu()
        return Accelerator(fake_tensorrt(gpu), gpu, PlanStore(tmp_path / "engines"))

    @pytest.fixture
    def bundle(self, tmp_path: Path) -> Bundle:
        return write_tiny_bundle(tmp_path / "tiny")

    def build(self, bundle: Bundle, accelerator: Accelerator) -> None:
        for part in ("tower", "llm"):
            name = precision_for(bundle.manifest, part)
            key = engine_key(bundle, part, name, accelerator.trt, accelerator.device.facts)
            plan = fake_plan(bundle.read(bundle.component(part)), shapes_of(bundle.manifest, part))
            with accelerator.store.lock(key):
                accelerator.store.publish(key, plan, 1.0)

    @pytest.mark.parametrize("mode", ["head", "direct", "cot"])
    def test_a_night_is_staged_as_on_the_other_backend(
        self, mode: str, bundle: Bundle, accelerator: Accelerator
    ) -> None:
        self.build(bundle, accelerator)
        signal = simulate_night(1, hours=0.1).samples_uv
        ours = rt.Stager.load(bundle.path, mode=mode, backend=accelerator)
        theirs = rt.Stager.load(bundle.path, mode=mode)
        found = list(ours.predict_recording(signal, sfreq=100, batch=5))
        expected = list(theirs.predict_recording(signal, sfreq=100, batch=5))
        assert [p.stage for p in found] == [p.stage for p in expected]
        assert [p.rationale_text for p in found] == [p.rationale_text for p in expected]
        for ours_p, theirs_p in zip(found, expected, strict=True):
            assert ours_p.probabilities == pytest.approx(theirs_p.probabilities, abs=1e-3)

    def test_without_a_plan_the_command_is_named(self, bundle: Bundle, accelerator: Accelerator) -> None:
        with pytest.raises(BackendError, match=r"none was built for Fake GPU.*bundle build-engines"):
            rt.Stager.load(bundle.path, backend=accelerator)

    def test_a_newer_tensorrt_asks_for_new_plans(self, bundle: Bundle, accelerator: Accelerator) -> None:
        self.build(bundle, accelerator)
        newer = replace(accelerator, trt=TensorRT.of(accelerator.trt.module, "tensorrt"))
        assert newer.trt == accelerator.trt
        newer = replace(accelerator, trt=replace(accelerator.trt, version="11.4.0"))
        with pytest.raises(BackendError, match=r"TensorRT was tensorrt 10\.3\.0, is tensorrt 11\.4\.0"):
            rt.Stager.load(bundle.path, backend=newer)

    def test_a_bundle_that_was_not_verified_opens_no_plan(
        self, bundle: Bundle, accelerator: Accelerator
    ) -> None:
        self.build(bundle, accelerator)
        with pytest.raises(BundleError, match="verify=True"):
            rt.Stager.load(bundle.path, verify=False, backend=accelerator)

    def test_an_unknown_backend_is_refused(self, bundle: Bundle) -> None:
        with pytest.raises(InputError, match="backend: rocm"):
            rt.Stager.load(bundle.path, backend="rocm")


def test_the_stand_in_gives_threads_that_allocate_at_once_memory_of_their_own() -> None:
    gpu = FakeGpu()
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda _: gpu.allocate(64), range(800)))
    assert len(set(places)) == len(gpu.live) == 800
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(gpu.free, places))
    assert gpu.live == {}
