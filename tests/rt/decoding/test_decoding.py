"""Decoding says what the model says: every shortcut is held against reading token by token."""

from __future__ import annotations

import gc
from itertools import count

import numpy as np
import pytest
from tokenizers import Tokenizer

from eegvlm_rt.backends.onnx_lm import OnnxLanguageModel
from eegvlm_rt.bundle import LanguageModelShape
from eegvlm_rt.decoding import Decoder, Finish, compile_grammar, prompt_tokens, stop_when
from eegvlm_rt.decoding.stopping import cut
from eegvlm_rt.errors import InputError
from eegvlm_rt.rationale import RULES, NightContext, compose, parse, segments
from eegvlm_rt.rationale import choices as choices_of
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.backends.tiny_graphs import scripted_llm_graph
from tests.rt.decoding.decoding_models import (
    FINDINGS,
    HIDDEN,
    PROMPT,
    Plain,
    answer_start,
    byte_tokenizer,
    decoder_of,
    encode,
    random_lm,
    scripted_lm,
    visual,
)
from tests.rt.tiny_bundle import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(PROMPT, 400)


@pytest.mark.parametrize("seed", range(6))
def test_a_constrained_rationale_is_what_reading_token_by_token_gives(
    tokenizer: Tokenizer, seed: int
) -> None:
    lm = random_lm(tokenizer, seed)
    decoder = decoder_of(lm, tokenizer)
    found = decoder.decode_rationale(decoder.prefix(visual(seed)))
    text, probabilities = Plain(lm, tokenizer, visual(seed)).reason()
    assert found.text == text
    assert found.probabilities is not None
    assert found.probabilities == pytest.approx(probabilities, abs=1e-4)
    assert found.rationale == parse(text)
    assert found.finish is Finish.COMPLETE


@pytest.fixture(scope="module")
def letters() -> Tokenizer:
    """The rules of N1, N2 and N3 share their first tokens, and so do most numbers."""
    return byte_tokenizer()


@pytest.mark.parametrize("seed", range(8))
def test_a_stage_is_the_sum_of_its_rules_wherever_their_tokens_part(letters: Tokenizer, seed: int) -> None:
    lm = random_lm(letters, seed)
    tokens = prompt_tokens(PROMPT, letters)
    grammar = compile_grammar(encode(letters), tokens.eos)
    decoder = Decoder(lm, tokens, grammar, letters.decode, dict(zip(STAGES, range(5), strict=True)))
    found = decoder.decode_rationale(decoder.prefix(visual(seed)))
    text, probabilities = Plain(lm, letters, visual(seed)).reason()
    assert found.text == text
    assert found.probabilities == pytest.approx(probabilities, abs=1e-4)


def test_three_unlikely_stages_that_share_a_token_do_not_outvote_a_likelier_one(letters: Tokenizer) -> None:
    chosen = segments(choices_of(FINDINGS, Stage.W, Stage.N1))
    ids = [token for piece in chosen for token in encode(letters)(piece)]
    start = answer_start(letters)
    script = np.zeros((start + len(ids) + 9, letters.get_vocab_size()), dtype=np.float32)
    script[np.arange(len(ids)) + start - 1, ids] = 20.0
    letter = start + len(encode(letters)("".join(chosen).split(" W.", 1)[0]))
    script[letter] = 0.0
    for name, share in (("W", 0.35), ("N", 0.45), ("R", 0.2)):
        script[letter, encode(letters)(name)] = 50.0 + np.log(share)
    for name in "123":
        script[letter + 1, encode(letters)(name)] = 40.0
    graph = scripted_llm_graph(script, hidden=HIDDEN)
    vocab = letters.get_vocab_size()
    table = np.zeros((vocab, HIDDEN), dtype=np.float32)
    lm = OnnxLanguageModel(graph.SerializeToString(), table, LanguageModelShape(1, 1, 1, vocab))
    tokens = prompt_tokens(PROMPT, letters)
    grammar = compile_grammar(encode(letters), tokens.eos)
    decoder = Decoder(lm, tokens, grammar, letters.decode, dict(zip(STAGES, range(5), strict=True)))
    found = decoder.decode_rationale(decoder.prefix(visual()))
    assert found.probabilities is not None
    assert list(found.probabilities.values()) == pytest.approx([0.35, 0.15, 0.15, 0.15, 0.2], abs=1e-5)
    assert found.rationale is not None
    assert found.rationale.rule.stage is Stage.W


@pytest.mark.parametrize("seed", range(3))
def test_stage_probabilities_sum_to_one_and_the_rule_is_of_the_most_probable_stage(
    tokenizer: Tokenizer, seed: int
) -> None:
    decoder = decoder_of(random_lm(tokenizer, seed), tokenizer)
    found = decoder.decode_rationale(decoder.prefix(visual()))
    assert found.probabilities is not None
    assert found.rationale is not None
    assert sum(found.probabilities.values()) == pytest.approx(1.0)
    assert found.rationale.rule.stage is max(STAGES, key=found.probabilities.__getitem__)


def test_fixed_text_costs_no_step_of_its_own(tokenizer: Tokenizer) -> None:
    decoder = decoder_of(random_lm(tokenizer, 0), tokenizer)
    found = decoder.decode_rationale(decoder.prefix(visual()))
    tokens = sum(len(encode(tokenizer)(piece)) for piece in segments_of(found.text))
    assert found.tokens == tokens
    assert found.steps < tokens / 4


def segments_of(text: str) -> list[str]:
    from eegvlm_rt.rationale import parse_choices

    return segments(parse_choices(text))


def test_direct_probabilities_are_the_softmax_over_the_five_stage_tokens(tokenizer: Tokenizer) -> None:
    lm = random_lm(tokenizer, 1)
    decoder = decoder_of(lm, tokenizer)
    plain = Plain(lm, tokenizer, visual())
    expected = plain.softmax(list(plain.tokens.direct), list(PROMPT.stage_token_ids(tokenizer)))
    found = decoder.score_stages(decoder.prefix(visual()))
    assert list(found.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert list(found) == list(STAGES)


def test_both_questions_share_one_prefix_in_any_order(tokenizer: Tokenizer) -> None:
    decoder = decoder_of(random_lm(tokenizer, 2), tokenizer)
    prefix = decoder.prefix(visual())
    direct, reasoned = decoder.score_stages(prefix), decoder.decode_rationale(prefix)
    assert decoder.decode_rationale(prefix) == reasoned
    assert decoder.score_stages(prefix) == direct


@pytest.mark.usefixtures("no_garbage_collector")
def test_a_rationale_leaves_no_cache_behind(tokenizer: Tokenizer) -> None:
    decoder = decoder_of(random_lm(tokenizer, 0), tokenizer)
    prefix = decoder.prefix(visual())
    decoder.decode_rationale(prefix)
    decoder.score_stages(prefix)
    left = [thing for thing in gc.get_objects() if type(thing) is type(prefix)]
    assert len(left) == 1
    assert left[0] is prefix


def test_visual_tokens_of_another_width_are_refused(tokenizer: Tokenizer) -> None:
    decoder = decoder_of(random_lm(tokenizer, 0), tokenizer)
    with pytest.raises(InputError, match="visual_tokens"):
        decoder.prefix(np.zeros((6, HIDDEN + 1), dtype=np.float32))


class TestStreaming:
    @pytest.mark.parametrize("constrained", [True, False])
    def test_pieces_join_to_the_text(self, tokenizer: Tokenizer, constrained: bool) -> None:
        decoder = decoder_of(random_lm(tokenizer, 0), tokenizer)
        pieces: list[str] = []
        found = decoder.decode_rationale(
            decoder.prefix(visual()), constrained=constrained, on_text=pieces.append
        )
        assert found.text.startswith("".join(pieces))
        assert "".join(pieces) == found.text or found.text.endswith("\ufffd")

    def test_stage_probabilities_are_there_from_the_rule_on(self, tokenizer: Tokenizer) -> None:
        decoder = decoder_of(random_lm(tokenizer, 0), tokenizer)
        pieces = list(decoder.stream_rationale(decoder.prefix(visual())))
        known = [piece.probabilities is not None for piece in pieces]
        rule = next(i for i, piece in enumerate(pieces) if piece.text.strip().split(":")[0] in RULES)
        assert known == [i >= rule for i in range(len(pieces))]


class TestContext:
    RECORD = NightContext((Stage.N2,), 4)

    def test_the_record_is_written_and_read_without_a_run_of_its_own(self, tokenizer: Tokenizer) -> None:
        decoder = decoder_of(random_lm(tokenizer, 0), tokenizer)
        prefix = decoder.prefix(visual())
        alone = decoder.decode_rationale(prefix)
        night = decoder.decode_rationale(prefix, context=self.RECORD)
        line = "Context: after N2; spindle or K-complex before, no arousal since."
        assert line in night.text
        assert "Context" not in alone.text
        assert night.text.partition("\nContext")[0] == alone.text.partition("\nRule")[0]
        assert night.rationale is not None
        assert night.probabilities != alone.probabilities

    def test_what_was_written_is_what_the_probabilities_at_the_rule_rest_on(
        self, tokenizer: Tokenizer
    ) -> None:
        decoder = decoder_of(random_lm(tokenizer, 1), tokenizer)
        prefix = decoder.prefix(visual())
        other = NightContext((Stage.W,), None, True)
        first, second, again = (
            decoder.decode_rationale(prefix, context=one) for one in (self.RECORD, other, self.RECORD)
        )
        assert first.probabilities == again.probabilities
        assert first.probabilities != second.probabilities

    def test_the_first_version_has_no_such_line(self, tokenizer: Tokenizer) -> None:
        tokens = prompt_tokens(PROMPT, tokenizer)
        grammar = compile_grammar(encode(tokenizer), tokens.eos, "1")
        stage_tokens = dict(zip(STAGES, range(5), strict=True))
        decoder = Decoder(random_lm(tokenizer, 0), tokens, grammar, tokenizer.decode, stage_tokens)
        text = decoder.decode_rationale(decoder.prefix(visual()), context=self.RECORD).text
        assert text.startswith("Step 1, background:")
        assert "Context" not in text

    def test_a_version_that_is_not_known_is_refused(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(InputError, match="newer runtime"):
            compile_grammar(encode(tokenizer), 0, "9")


class TestStopping:
    @pytest.mark.parametrize("constrained", [True, False])
    @pytest.mark.parametrize("finish", [Finish.DEADLINE, Finish.CANCELLED])
    @pytest.mark.parametrize("allowed", [0, 1, 3, 5, 7, 9])
    def test_a_stopped_text_is_cut_at_a_sentence_and_marked(
        self, tokenizer: Tokenizer, constrained: bool, finish: Finish, allowed: int
    ) -> None:
        asked = count()
        decoder = decoder_of(random_lm(tokenizer, 0), tokenizer)
        found = decoder.decode_rationale(
            decoder.prefix(visual()),
            constrained=constrained,
            stop=lambda: finish if next(asked) >= allowed else None,
        )
        assert found.finish is finish
        assert found.rationale is None
        assert found.text == "" or found.text.endswith(".")
        whole = decoder.decode_rationale(decoder.prefix(visual()), constrained=constrained)
        assert whole.text.startswith(found.text)

    def test_probabilities_are_kept_once_the_rule_was_reached(self, tokenizer: Tokenizer) -> None:
        decoder = decoder_of(random_lm(tokenizer, 0), tokenizer)
        prefix = decoder.prefix(visual())
        whole = decoder.decode_rationale(prefix)
        for allowed in range(20):
            asked = count()
            found = decoder.decode_rationale(
                prefix, stop=lambda asked=asked, n=allowed: Finish.DEADLINE if next(asked) >= n else None
            )
            reached = "Slow waves" in found.text
            assert found.probabilities is None or found.probabilities == whole.probabilities
            assert reached or found.probabilities is None
            if found.finish is Finish.COMPLETE:
                return
        pytest.fail("the text never ended")

    def test_a_deadline_is_a_moment_and_a_cancellation_a_question(self) -> None:
        assert stop_when()() is None
        assert stop_when(deadline=0.0)() is Finish.DEADLINE
        assert stop_when(deadline=float("inf"))() is None
        assert stop_when(lambda: True, deadline=0.0)() is Finish.CANCELLED

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("One. Two. Thr", "One. Two."),
            ("One.\nTwo", "One."),
            ("One. Two.", "One. Two."),
            ("Step 4, rule: N2.3: spindle", ""),
            ("no end", ""),
            ("", ""),
        ],
    )
    def test_a_sentence_ends_with_a_stop_before_space_or_the_end(self, text: str, kept: str) -> None:
        assert cut(text) == kept


class TestFreeText:
    def answer(self, tokenizer: Tokenizer, text: str) -> tuple[Decoder, np.ndarray]:
        ids = [*encode(tokenizer)(text), tokenizer.token_to_id(PROMPT.eos)]
        return decoder_of(scripted_lm(tokenizer, ids, answer_start(tokenizer)), tokenizer), visual()

    def test_a_text_of_the_grammar_is_parsed(self, tokenizer: Tokenizer) -> None:
        text = compose(FINDINGS, Stage.N2, Stage.N1)
        decoder, pictures = self.answer(tokenizer, text)
        found = decoder.decode_rationale(decoder.prefix(pictures), constrained=False)
        assert found.text == text
        assert found.rationale == parse(text)
        assert found.finish is Finish.COMPLETE
        assert found.probabilities is not None

    def test_its_probabilities_are_read_at_the_rule_as_in_a_constrained_text(
        self, tokenizer: Tokenizer
    ) -> None:
        pieces = segments(choices_of(FINDINGS, Stage.N2, Stage.N1))
        ids = PROMPT.encode(tokenizer, [*pieces, PROMPT.eos])
        decoder = decoder_of(scripted_lm(tokenizer, ids, answer_start(tokenizer)), tokenizer)
        prefix = decoder.prefix(visual())
        free = decoder.decode_rationale(prefix, constrained=False)
        constrained = decoder.decode_rationale(prefix)
        assert free.text == constrained.text
        assert free.probabilities == constrained.probabilities
        assert free.probabilities is not None
        assert free.probabilities[Stage.N2] > 0.999

    @pytest.mark.parametrize("text", ["The stage is N2.", "Step 1, background: theta", "N2"])
    def test_any_other_text_has_no_rationale_and_no_probabilities(
        self, tokenizer: Tokenizer, text: str
    ) -> None:
        decoder, pictures = self.answer(tokenizer, text)
        found = decoder.decode_rationale(decoder.prefix(pictures), constrained=False)
        assert (found.text, found.rationale, found.probabilities) == (text, None, None)
        assert found.finish is Finish.INVALID

    def test_a_text_without_end_is_ended(self, tokenizer: Tokenizer) -> None:
        vocab = tokenizer.get_vocab_size()
        ids = [encode(tokenizer)("a")[0]] * 300
        decoder = decoder_of(scripted_lm(tokenizer, ids, answer_start(tokenizer)), tokenizer)
        stream = decoder.stream_rationale(decoder.prefix(visual()), constrained=False, max_free_tokens=40)
        pieces = list(stream)
        assert len(pieces) == 40 < vocab
        found = decoder.decode_rationale(decoder.prefix(visual()), constrained=False)
        assert found.finish is Finish.LENGTH
        assert found.tokens == 256

    def test_it_is_the_most_probable_token_every_time(self, tokenizer: Tokenizer) -> None:
        lm = random_lm(tokenizer, 3)
        decoder = decoder_of(lm, tokenizer)
        plain = Plain(lm, tokenizer, visual())
        ids: list[int] = []
        while len(ids) < 20:
            ids.append(int(np.argmax(plain.logits([*plain.tokens.reasoning, *ids]))))
        stream = decoder.stream_rationale(decoder.prefix(visual()), constrained=False, max_free_tokens=20)
        text = "".join(piece.text for piece in stream)
        assert tokenizer.decode(ids, skip_special_tokens=False).startswith(text)
        assert text
