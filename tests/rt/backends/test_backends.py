"""The ONNX Runtime backends keep what the two protocols promise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.backends import load_language_model, load_tower
from eegvlm_rt.backends.onnx_lm import OnnxLanguageModel
from eegvlm_rt.backends.onnx_tower import OnnxVisionTower
from eegvlm_rt.bundle import LanguageModelShape
from eegvlm_rt.errors import BackendError, BundleError, InputError
from tests.rt.backends.tiny_graphs import llm_graph, tower_graph
from tests.rt.tiny_bundle import TINY, write_tiny_bundle

if TYPE_CHECKING:
    from eegvlm_rt.bundle import Bundle

VOCAB = 50
SHAPE = LanguageModelShape(TINY.layers, TINY.heads, TINY.head_dim, VOCAB)


def decoder_bytes(**changes: int) -> bytes:
    size = {"hidden": 16, "layers": 2, "heads": 2, "head_dim": 8, "inner": 24, "vocab": VOCAB} | changes
    return bytes(llm_graph(**size).SerializeToString())


@pytest.fixture(scope="module")
def lm() -> OnnxLanguageModel:
    table = np.random.default_rng(0).standard_normal((VOCAB, 16)).astype(np.float32)
    return OnnxLanguageModel(decoder_bytes(), table, SHAPE)


@pytest.fixture(scope="module")
def tower() -> OnnxVisionTower:
    graph = tower_graph(side=24, grid=2, high=16, hidden=16).SerializeToString()
    return OnnxVisionTower(graph, visual_tokens=8, hidden_size=16)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("backends") / "tiny")


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, 3, 24, 24)).astype(np.float32)


class TestTower:
    def test_shapes_are_those_of_the_protocol(self, tower: OnnxVisionTower) -> None:
        output = tower(pictures(3))
        assert output.stage_logits.shape == (3, 5)
        assert output.high.shape == (3, 16)
        assert output.visual_tokens.shape == (3, 8, 16)
        assert len(output) == 3

    def test_a_picture_gives_the_same_alone_and_in_a_batch(self, tower: OnnxVisionTower) -> None:
        together = tower(pictures(5))
        for i, picture in enumerate(pictures(5)):
            alone = tower(picture[None])
            np.testing.assert_allclose(alone.stage_logits[0], together.stage_logits[i], rtol=0, atol=1e-4)
            np.testing.assert_allclose(alone.visual_tokens[0], together.visual_tokens[i], rtol=0, atol=1e-4)

    @pytest.mark.parametrize(
        "picture",
        [np.zeros((3, 24, 24), "f4"), np.zeros((1, 3, 24, 25), "f4"), np.zeros((1, 3, 24, 24), "f8")],
    )
    def test_another_shape_or_dtype_is_refused(self, tower: OnnxVisionTower, picture: np.ndarray) -> None:
        with pytest.raises(InputError, match="pixel_values"):
            tower(picture)

    def test_a_graph_that_is_no_tower_is_refused(self) -> None:
        with pytest.raises(BackendError, match=r"tower\.inputs"):
            OnnxVisionTower(decoder_bytes(), visual_tokens=8, hidden_size=16)

    def test_another_number_of_visual_tokens_than_the_manifest_says_is_refused(self) -> None:
        graph = tower_graph(side=24, grid=2, high=16, hidden=16).SerializeToString()
        with pytest.raises(BackendError, match="visual_tokens"):
            OnnxVisionTower(graph, visual_tokens=9, hidden_size=16)(pictures(1))

    def test_what_is_no_graph_is_refused(self) -> None:
        with pytest.raises(BackendError, match="tower"):
            OnnxVisionTower(b"not a graph", visual_tokens=8, hidden_size=16)


class TestLanguageModel:
    def test_reading_in_steps_gives_what_reading_at_once_gives(self, lm: OnnxLanguageModel) -> None:
        ids = list(np.random.default_rng(1).integers(0, VOCAB, 40))
        whole, _ = lm.step(lm.embed(ids))
        cache, parts = None, []
        for piece in (ids[:17], ids[17:18], ids[18:30], ids[30:]):
            logits, cache = lm.step(lm.embed(piece), cache)
            parts.append(logits)
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=1e-4)
        assert cache is not None
        assert cache.length == 40

    def test_extending_is_a_step_without_logits(self, lm: OnnxLanguageModel) -> None:
        extended = lm.extend(lm.embed([1, 2, 3]))
        _, stepped = lm.step(lm.embed([1, 2, 3]))
        np.testing.assert_array_equal(lm.step(lm.embed([4]), extended)[0], lm.step(lm.embed([4]), stepped)[0])

    @settings(max_examples=25, deadline=None)
    @given(
        forks=st.lists(
            st.tuples(st.integers(0, 30), st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=9)),
            min_size=1,
            max_size=12,
        )
    )
    def test_a_cache_never_changes_however_often_it_is_continued(
        self, lm: OnnxLanguageModel, forks: list[tuple[int, list[int]]]
    ) -> None:
        texts: list[list[int]] = [[7, 8, 9]]
        caches = [lm.extend(lm.embed(texts[0]))]
        for source, ids in forks:
            chosen = source % len(caches)
            texts.append(texts[chosen] + ids)
            caches.append(lm.step(lm.embed(ids), caches[chosen])[1])
            if len(caches) % 4 == 0:
                del caches[0], texts[0]
        for text, cache in zip(texts, caches, strict=True):
            fresh, _ = lm.step(lm.embed([*text, 5]))
            continued, _ = lm.step(lm.embed([5]), cache)
            np.testing.assert_allclose(continued[-1], fresh[-1], rtol=0, atol=1e-4)

    def test_memory_of_short_texts_is_not_taken_for_long_ones(self, lm: OnnxLanguageModel) -> None:
        ids = list(np.random.default_rng(2).integers(0, VOCAB, 700))
        expected, _ = lm.step(lm.embed(ids))
        short = [lm.extend(lm.embed(ids[:n])) for n in (3, 5, 7)]
        del short
        kept = lm.extend(lm.embed(ids[:300]))
        short = [lm.extend(lm.embed(ids[:n])) for n in (3, 5)]
        del short
        found, _ = lm.step(lm.embed(ids[300:]), kept)
        np.testing.assert_allclose(found[-1], expected[-1], rtol=0, atol=1e-4)
        again, _ = lm.step(lm.embed(ids[300:302]), kept)
        np.testing.assert_allclose(again, expected[300:302], rtol=0, atol=1e-4)

    def test_threads_may_step_at_the_same_time(self, lm: OnnxLanguageModel) -> None:
        prefix = lm.extend(lm.embed([1, 2, 3, 4]))

        def read(token: int) -> np.ndarray:
            cache = prefix
            for _ in range(5):
                logits, cache = lm.step(lm.embed([token, token + 1]), cache)
            return logits

        alone = [read(token) for token in range(8)]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(read, range(8)))
        np.testing.assert_array_equal(alone, together)

    @pytest.mark.parametrize("ids", [[-1], [VOCAB], [0, 1 << 40]])
    def test_an_id_outside_the_vocabulary_is_refused(self, lm: OnnxLanguageModel, ids: list[int]) -> None:
        with pytest.raises(InputError, match="ids"):
            lm.embed(ids)

    @pytest.mark.parametrize("shape", [(1, 0, 16), (2, 1, 16), (1, 1, 15), (1, 16)])
    def test_other_embeddings_are_refused(self, lm: OnnxLanguageModel, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match="inputs_embeds"):
            lm.step(np.zeros(shape, dtype=np.float32))

    def test_a_foreign_cache_is_refused(self, lm: OnnxLanguageModel) -> None:
        with pytest.raises(InputError, match="cache"):
            lm.step(lm.embed([1]), object())  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "other", [{"layers": 3}, {"heads": 4}, {"head_dim": 4}, {"vocab": 51}, {"hidden": 8}]
    )
    def test_a_graph_of_another_shape_than_the_manifest_says_is_refused(self, other: dict[str, int]) -> None:
        table = np.zeros((VOCAB, 16), dtype=np.float16)
        with pytest.raises(BackendError, match="llm"):
            OnnxLanguageModel(decoder_bytes(**other), table, SHAPE)

    @pytest.mark.parametrize(
        "table", [np.zeros((VOCAB, 16), "f8"), np.zeros((VOCAB + 1, 16), "f4"), np.zeros(VOCAB, "f4")]
    )
    def test_another_embedding_table_is_refused(self, table: np.ndarray) -> None:
        with pytest.raises(BackendError, match="embed_tokens"):
            OnnxLanguageModel(decoder_bytes(), table, SHAPE)


class TestLoading:
    def test_a_bundle_gives_both(self, bundle: Bundle) -> None:
        lm = load_language_model(bundle)
        assert lm.hidden_size == TINY.hidden
        assert lm.vocab_size == bundle.manifest.lm.vocab_size
        picture = np.zeros((1, 3, TINY.side, TINY.side), dtype=np.float32)
        assert load_tower(bundle)(picture).visual_tokens.shape == (1, TINY.visual_tokens, TINY.hidden)

    def test_embeddings_are_the_rows_of_the_listed_table(self, bundle: Bundle) -> None:
        table = np.load(bundle.path / "embed_tokens.npy")
        np.testing.assert_array_equal(
            load_language_model(bundle).embed([3, 1, 3])[0], table[[3, 1, 3]].astype(np.float32)
        )

    def test_a_precision_that_is_not_held_is_named(self, bundle: Bundle) -> None:
        with pytest.raises(BundleError, match="int8"):
            load_tower(bundle, precision="int8")

    def test_sessions_never_write_to_the_bundle(self, bundle: Bundle) -> None:
        load_language_model(bundle)
        assert bundle.unlisted == ()
        onnx.checker.check_model(onnx.load(bundle.path / "llm.onnx"))
