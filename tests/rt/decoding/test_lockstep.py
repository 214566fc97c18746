"""Texts that are decoded side by side say what each says alone."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from eegvlm_rt.backends.on_device import DeviceLanguageModel, OrtGraph
from eegvlm_rt.backends.on_device.language import language_inputs, language_outputs
from eegvlm_rt.bundle import LanguageModelShape
from eegvlm_rt.decoding import Decoder, Finish, compile_grammar, prompt_tokens
from eegvlm_rt.decoding.stopping import cut
from eegvlm_rt.devices import Stream
from eegvlm_rt.devices.host import HostDevice
from eegvlm_rt.errors import BackendError, InputError
from eegvlm_rt.rationale import NightContext
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.backends.tiny_graphs import llm_graph
from tests.rt.decoding.decoding_models import HIDDEN, PROMPT, byte_tokenizer, encode, visual
from tests.rt.tiny_bundle import train_tokenizer

CONTEXTS = (None, NightContext((Stage.N2,), 4), NightContext((Stage.W, Stage.N1), None, True))
LAYERS, HEADS, WIDTH = 2, 2, 8


def decoder_for(tokenizer: Tokenizer, seed: int = 0) -> Decoder:
    vocab = tokenizer.get_vocab_size()
    shape = LanguageModelShape(LAYERS, HEADS, WIDTH, vocab)
    graph = llm_graph(
        hidden=HIDDEN, layers=LAYERS, heads=HEADS, head_dim=WIDTH, inner=24, vocab=vocab, seed=seed, gain=5.0
    )
    device = HostDevice()
    stream = Stream(device)
    session = OrtGraph(
        graph.SerializeToString(),
        device,
        stream,
        part="llm",
        inputs=language_inputs(shape),
        outputs=language_outputs(shape),
    )
    table = np.random.default_rng(seed).standard_normal((vocab, HIDDEN)).astype(np.float32)
    tokens = prompt_tokens(PROMPT, tokenizer)
    return Decoder(
        DeviceLanguageModel(session, table, device, stream, shape),
        tokens,
        compile_grammar(encode(tokenizer), tokens.eos),
        lambda ids: tokenizer.decode(ids, skip_special_tokens=False),
        dict(zip(STAGES, range(5), strict=True)),
    )


@pytest.fixture(scope="module")
def words() -> Decoder:
    return decoder_for(train_tokenizer(PROMPT, 400))


@pytest.fixture(scope="module")
def letters() -> Decoder:
    """Rules of several stages share their first tokens, so that texts look ahead."""
    return decoder_for(byte_tokenizer())


@pytest.mark.parametrize("kind", ["words", "letters"])
@settings(max_examples=12, deadline=None)
@given(
    epochs=st.lists(st.tuples(st.integers(0, 40), st.sampled_from(CONTEXTS)), min_size=1, max_size=7),
)
def test_every_rationale_is_the_one_that_is_decoded_alone(
    request: pytest.FixtureRequest,
    kind: str,
    epochs: list[tuple[int, NightContext | None]],
) -> None:
    decoder: Decoder = request.getfixturevalue(kind)
    lockstep = decoder.read_many([decoder.beginning(visual(seed)) for seed, _ in epochs])
    answers = decoder.reason_many(lockstep, [context for _, context in epochs])
    for (seed, context), answer in zip(epochs, answers, strict=True):
        alone = decoder.decode_rationale(decoder.prefix(visual(seed)), context=context)
        assert not isinstance(answer, Exception)
        assert answer.text == alone.text
        assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
        assert (answer.rationale, answer.finish, answer.tokens) == (
            alone.rationale,
            Finish.COMPLETE,
            alone.tokens,
        )


def test_texts_of_several_lengths_wait_for_each_other_and_for_nothing_else(words: Decoder) -> None:
    seeds = range(8)
    lockstep = words.read_many([words.beginning(visual(seed)) for seed in seeds])
    answers = words.reason_many(lockstep, [None] * len(seeds))
    alone = [words.decode_rationale(words.prefix(visual(seed))) for seed in seeds]
    lengths = {text.tokens for text in alone}
    assert len(lengths) > 2
    assert max(text.steps for text in alone) < lockstep.runs < sum(text.steps for text in alone)
    assert all(text.steps <= lockstep.runs for text in answers if not isinstance(text, Exception))
    assert lockstep.useful < lockstep.places == 8 * (lockstep.places // 8)


def test_one_text_takes_the_runs_that_it_takes_alone(words: Decoder) -> None:
    lockstep = words.read_many([words.beginning(visual(3))])
    answers = words.reason_many(lockstep, [None])
    alone = words.decode_rationale(words.prefix(visual(3)))
    assert answers == [alone]
    assert lockstep.runs == alone.steps
    assert lockstep.useful == lockstep.places


def test_the_direct_question_is_asked_of_all_in_one_run(words: Decoder) -> None:
    lockstep = words.read_many([words.beginning(visual(seed)) for seed in range(5)])
    answers = words.score_many(lockstep, 5)
    assert lockstep.runs == 1
    for seed, answer in enumerate(answers):
        assert answer == pytest.approx(words.score_stages(words.prefix(visual(seed))), abs=1e-5)


def test_beginnings_that_do_not_fit_one_run_are_read_in_several(
    words: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    beginnings = [words.beginning(visual(seed)) for seed in range(5)]
    whole = words.reason_many(words.read_many(beginnings), [None] * 5)
    monkeypatch.setattr("eegvlm_rt.backends.on_device.texts.RUN_TOKENS", 20)
    assert words.reason_many(words.read_many(beginnings), [None] * 5) == whole


def test_an_epoch_whose_numbers_are_not_finite_ends_alone(words: Decoder) -> None:
    pictures = [visual(0), np.full_like(visual(0), np.nan), visual(2)]
    lockstep = words.read_many([words.beginning(picture) for picture in pictures])
    first, broken, last = words.reason_many(lockstep, [None] * 3)
    assert isinstance(broken, BackendError)
    assert "finite" in str(broken)
    for seed, answer in ((0, first), (2, last)):
        assert not isinstance(answer, Exception)
        assert answer.text == words.decode_rationale(words.prefix(visual(seed))).text


@pytest.mark.parametrize("runs", [0, 1, 5, 12])
def test_all_texts_stop_between_two_runs_and_end_with_a_sentence(words: Decoder, runs: int) -> None:
    lockstep = words.read_many([words.beginning(visual(seed)) for seed in range(4)])
    answers = words.reason_many(
        lockstep, [None] * 4, stop=lambda: Finish.CANCELLED if lockstep.runs >= runs else None
    )
    assert lockstep.runs == runs
    for seed, answer in enumerate(answers):
        whole = words.decode_rationale(words.prefix(visual(seed))).text
        assert not isinstance(answer, Exception)
        assert answer.finish is Finish.CANCELLED
        assert answer.text == cut(answer.text)
        assert whole.startswith(answer.text)


def test_an_error_of_a_run_ends_all(words: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    run, calls = OrtGraph.run, count()

    def failing(self: OrtGraph, *arguments: object) -> None:
        if next(calls) == 3:
            raise BackendError("llm", "no memory left", "take fewer texts")
        run(self, *arguments)  # type: ignore[arg-type]

    lockstep = words.read_many([words.beginning(visual(seed)) for seed in range(2)])
    monkeypatch.setattr(OrtGraph, "run", failing)
    with pytest.raises(BackendError, match="no memory left"):
        words.reason_many(lockstep, [None, None])


class TestTexts:
    def test_beginnings_of_two_lengths_are_refused(self, words: Decoder) -> None:
        with pytest.raises(InputError, match=r"beginnings.*as many tokens"):
            words.read_many([words.beginning(visual(0, 6)), words.beginning(visual(0, 7))])

    def test_more_tokens_than_there_is_room_for_are_refused(self, words: Decoder) -> None:
        texts = words._lm.texts([words.beginning(visual(0))], 3)  # type: ignore[attr-defined]
        texts.read(np.zeros((1, 2, HIDDEN), np.float32))
        with pytest.raises(InputError, match="T from 1 to 1"):
            texts.read(np.zeros((1, 2, HIDDEN), np.float32))

    def test_their_number_is_bounded_by_memory_for_keys_and_values(self, words: Decoder) -> None:
        tokens = words.longest_text(len(visual(0)))
        # Keys and values, once to read and once to write.
        each = 2 * 2 * LAYERS * HEADS * WIDTH * 4 * tokens
        assert words.most_texts(len(visual(0)), 5 * each) == 5
        assert words.most_texts(len(visual(0)), 5 * each - 1) == 4
        assert words.most_texts(len(visual(0)), 0) == 1
