"""The parts of decoding: tries of choices, sums over choices, the grammar in tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from eegvlm_rt.decoding import compile_grammar
from eegvlm_rt.decoding.grammar_tokens import TrieNode, build_trie
from eegvlm_rt.decoding.probabilities import group_probabilities, token_probabilities
from eegvlm_rt.decoding.reader import Reader
from eegvlm_rt.errors import BackendError, InputError, RationaleError
from eegvlm_rt.prompt import Mode
from eegvlm_rt.rationale import RULES, segments
from eegvlm_rt.rationale import choices as choices_of
from eegvlm_rt.stages import Stage
from tests.rt.decoding.decoding_models import FINDINGS, PROMPT, Plain, decoder_of, encode, random_lm, visual
from tests.rt.tiny_bundle import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(PROMPT, 400)


class TestTrie:
    def test_a_choice_may_go_on_where_another_ends(self) -> None:
        trie = build_trie("n", [[1], [1, 2], [3]], following=9)
        assert set(trie.children[1].options) == {2, 9}
        assert trie.children[1].options[9] is None
        assert trie.children[3].options == {}

    def test_a_text_that_could_be_read_in_two_ways_is_refused(self) -> None:
        with pytest.raises(InputError, match="prolong"):
            build_trie("n", [[1], [1, 9]], following=9)

    @pytest.mark.parametrize("choices", [[], [[]], [[1], [1]]])
    def test_every_choice_has_tokens_of_its_own(self, choices: list[list[int]]) -> None:
        with pytest.raises(InputError, match="slot n"):
            build_trie("n", choices, following=9)

    @given(
        choices=st.lists(
            st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=8, unique_by=tuple
        ),
        keep=st.sets(st.integers(0, 7), min_size=1),
    )
    def test_the_ways_to_some_choices_lead_to_these_alone(
        self, choices: list[list[int]], keep: set[int]
    ) -> None:
        kept = frozenset(keep & set(range(len(choices))))
        if not kept:
            return
        trie = build_trie("n", choices, following=9)

        def spelled(node: TrieNode, path: list[int]) -> set[tuple[int, ...]]:
            options = node.options_among(kept)
            # A choice ends where nothing may follow, or at the token that leaves the slot.
            paths = set() if options else {tuple(path)}
            for token, child in options.items():
                paths |= {tuple(path)} if child is None else spelled(child, [*path, token])
            return paths

        assert spelled(trie, []) == {tuple(choices[i]) for i in kept}


class TestScoring:
    @settings(max_examples=20, deadline=None)
    @given(
        choices=st.lists(
            st.lists(st.integers(10, 13), min_size=1, max_size=3), min_size=2, max_size=7, unique_by=tuple
        ),
        groups=st.lists(st.sampled_from("abc"), min_size=7, max_size=7),
        seed=st.integers(0, 3),
    )
    def test_group_probabilities_are_sums_over_whole_choices(
        self, tokenizer: Tokenizer, choices: list[list[int]], groups: list[str], seed: int
    ) -> None:
        lm = random_lm(tokenizer, seed)
        plain = Plain(lm, tokenizer, visual())
        decoder = decoder_of(lm, tokenizer)
        reader = Reader(lm, decoder.prefix(visual()), [5, 6])
        trie = build_trie("n", choices, following=99)
        found = reader.answer(group_probabilities(trie, groups[: len(choices)]))
        expected = dict.fromkeys(groups[: len(choices)], 0.0)
        for choice, group in zip(choices, groups, strict=False):
            expected[group] += plain.choice_probability([5, 6], choice, choices, 99)
        assert found == pytest.approx(expected, abs=1e-4)
        assert sum(found.values()) == pytest.approx(1.0)

    def test_logits_that_are_no_numbers_are_an_error(self) -> None:
        with pytest.raises(BackendError, match="finite"):
            token_probabilities(np.array([0.0, np.nan], dtype=np.float32), [0, 1])

    def test_large_logits_do_not_overflow(self) -> None:
        found = token_probabilities(np.array([1e30, 0.0, -1e30], dtype=np.float32), [0, 1, 2])
        assert found.tolist() == [1.0, 0.0, 0.0]


class TestGrammar:
    def test_the_tokens_before_the_rule_are_those_of_training(self, tokenizer: Tokenizer) -> None:
        grammar = compile_grammar(encode(tokenizer), tokenizer.token_to_id(PROMPT.eos))
        chosen = choices_of(FINDINGS, Stage.R, Stage.N1)
        trained = PROMPT.encode(tokenizer, PROMPT.answer_segments(Mode.COT, chosen))
        before = grammar.tokens_before_rule("".join(segments(chosen)))
        assert trained[: len(before)] == before
        assert tokenizer.decode(before).endswith("Rule:")

    def test_a_foreign_text_has_no_such_tokens(self, tokenizer: Tokenizer) -> None:
        grammar = compile_grammar(encode(tokenizer), tokenizer.token_to_id(PROMPT.eos))
        with pytest.raises(RationaleError):
            grammar.tokens_before_rule("Step 1, background: noise")

    def test_every_rule_belongs_to_its_stage(self, tokenizer: Tokenizer) -> None:
        grammar = compile_grammar(encode(tokenizer), tokenizer.token_to_id(PROMPT.eos))
        assert grammar.rule_stages == tuple(rule.stage for rule in RULES.values())

    def test_a_tokenizer_that_cannot_tell_choices_apart_is_refused(self) -> None:
        with pytest.raises(InputError, match="slot rhythm"):
            compile_grammar(lambda _: [1], 0)
