"""Answers as tokens: the runtime's own text, weights where the model has a choice, stages drawn from the
teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from eegvlm_train.data.contexts import contexts_of
from eegvlm_train.data.findings import findings_path, is_measured, measure_night
from eegvlm_train.data.language import BranchLayout, LanguageBatch, LanguageBatches, NightStates
from eegvlm_train.data.nightset import load_nights
from eegvlm_train.data.plausible_errors import SLIPPING, slipped
from eegvlm_train.data.texts import RULE_STAGES, AnswerTexts, TokenWeights, branching, sample_stages
from eegvlm_train.model.tokenizer import build_tokenizer

from eegvlm_rt.findings import Findings, Rhythm
from eegvlm_rt.prompt import Mode, PromptSpec
from eegvlm_rt.rationale import RULES, NightContext, check, choices, compose, parse
from eegvlm_rt.rendering.renderer import RenderSpec
from eegvlm_rt.stages import Stage
from tests.train.noise_nights import noise_night


@pytest.fixture(scope="module")
def texts() -> AnswerTexts:
    return AnswerTexts(build_tokenizer(), PromptSpec(), TokenWeights(literal=0.1, slot=1.0, stage=3.0))


def test_a_token_is_open_where_another_choice_goes_on_differently() -> None:
    assert branching([[1, 2, 3], [1, 4], [5]]) == [[True, True, False], [True, True], [True]]
    assert branching([[7, 8]]) == [[False, False]]


def test_a_choice_that_ends_early_leaves_the_longer_one_open() -> None:
    assert branching([[1], [1, 2]]) == [[False], [False, True]]


def test_a_rationale_is_the_runtimes_text_token_for_token(texts: AnswerTexts, nights_folder: Path) -> None:
    table = load_nights(nights_folder, "train").findings
    assert table is not None
    for stage, other in ((Stage.W, Stage.N1), (Stage.N2, Stage.N3), (Stage.R, Stage.W)):
        chosen = choices(table.row(1), stage, other)
        segments = texts.prompt.answer_segments(Mode.COT, chosen)
        answer = texts.rationale(table, 1, stage, other)
        assert answer.ids.tolist() == texts.prompt.encode(texts.tokenizer, segments)
        text = texts.tokenizer.decode(answer.ids.tolist()[:-1])
        assert parse(text).stage is stage


def test_forced_tokens_weigh_little_and_the_rule_most(texts: AnswerTexts, nights_folder: Path) -> None:
    table = load_nights(nights_folder, "train").findings
    assert table is not None
    answer = texts.rationale(table, 0, Stage.N2, Stage.N1)
    rule = int(np.isin(answer.ids, texts.rule_tokens).argmax())
    assert answer.weights[0] == pytest.approx(0.1)
    assert answer.weights[-1] == pytest.approx(0.1)
    assert answer.weights[rule] == pytest.approx(3.0)
    assert (answer.weights == 3.0).sum() == 1
    assert (answer.weights == 1.0).sum() >= 9


def test_rules_are_known_by_their_first_token(texts: AnswerTexts) -> None:
    assert len(texts.rule_tokens) == len(RULES) == len(RULE_STAGES)
    assert [Stage(int(stage)) for stage in RULE_STAGES] == [rule.stage for rule in RULES.values()]


def test_stages_are_drawn_as_the_teacher_believes() -> None:
    teacher = np.tile(np.array([0.1, 0.0, 0.6, 0.3, 0.0], dtype=np.float32), (20000, 1))
    stages, others = sample_stages(teacher, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(stages, minlength=5) / 20000, teacher[0], atol=0.015)
    assert set(others[stages == 2]) == {3}
    assert set(others[stages != 2]) == {2}


def test_sharpening_draws_the_likeliest_stage_more_often() -> None:
    teacher = np.tile(np.array([0.2, 0.2, 0.6, 0.0, 0.0], dtype=np.float32), (5000, 1))
    plain, _ = sample_stages(teacher, 1.0, np.random.default_rng(0))
    sharp, _ = sample_stages(teacher, 3.0, np.random.default_rng(0))
    assert (sharp == 2).mean() > (plain == 2).mean() + 0.2


def test_a_batch_holds_both_answers_of_every_picture(texts: AnswerTexts, nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    make = LanguageBatches(nights, RenderSpec(), texts, most_probable=True)
    batch = make(np.arange(6), np.random.default_rng(0))
    direct, question = make.direct_length, len(texts.cot_question)
    tokenizer, prompt = texts.tokenizer, texts.prompt
    for row in range(6):
        stage = Stage(int(nights.teacher[row].argmax()))
        first = prompt.encode(
            tokenizer, [prompt.direct_question, *prompt.answer_segments(Mode.DIRECT, stage)]
        )
        assert batch.ids[row, :direct].tolist() == first
        assert batch.ids[row, direct : direct + question].tolist() == texts.cot_question.tolist()
        assert batch.weights[row, direct - 2] == 0
        assert (batch.weights[row, direct : direct + question] == 0).all()
        answer = batch.ids[row, direct + question :].tolist()
        text = tokenizer.decode(answer[: answer.index(texts.eos)])
        assert parse(text).stage is stage
        rule = int(batch.ids[row, batch.stage_place[row]])
        assert RULE_STAGES[texts.rule_tokens.tolist().index(rule)] == stage
    assert (batch.weights[batch.ids == texts.pad] == 0).all()


def test_the_second_branch_sees_the_prefix_and_itself_alone() -> None:
    layout = BranchLayout(prefix=2, direct=3)
    seen = layout.mask(6, torch.device("cpu"))[0, 0].int().tolist()
    assert seen == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0, 1, 0, 0],
        [1, 1, 0, 0, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 1, 1, 1],
    ]
    assert layout.positions(6, torch.device("cpu")).tolist() == [[0, 1, 2, 3, 4, 2, 3, 4]]


def test_a_slip_changes_only_the_slots_it_names() -> None:
    found = Findings(Rhythm.THETA, 0.2, 1, 0, 0.1, 60.0)
    donor = Findings(Rhythm.DELTA, 0.0, 4, 2, 0.6, 140.0)
    named = set()
    for seed in range(200):
        stated, slips = slipped(found, donor, np.random.default_rng(seed))
        named |= slips
        for slot, field in SLIPPING.items():
            if slot not in slips:
                assert getattr(stated, field) == getattr(found, field)
        assert 0.0 <= stated.alpha_share <= 1.0
        assert 0.0 <= stated.slow_wave_share <= 1.0
        assert min(stated.spindles, stated.k_complexes) >= 0
    assert named == set(SLIPPING)


def test_a_slipped_text_is_no_target_where_it_slips_and_true_of_what_it_states(texts: AnswerTexts) -> None:
    stated = Findings(Rhythm.THETA, 0.2, 2, 0, 0.1, 60.0)
    slips = frozenset({"spindles", "amplitude_uv"})
    plain, slipping = (
        texts.stated(stated, Stage.N2, Stage.N1),
        texts.stated(stated, Stage.N2, Stage.N1, slips),
    )
    assert plain.ids.tolist() == slipping.ids.tolist()
    silenced = plain.ids[(slipping.weights == 0) & (plain.weights > 0)]
    assert texts.tokenizer.decode(silenced.tolist()) == " one or two spindles 60"
    rationale = parse(texts.tokenizer.decode(slipping.ids.tolist()[:-1]))
    assert rationale.rule.id == "N2.2"
    assert all(result.strict == "supported" for result in check(rationale, stated))


def test_noise_changes_findings_but_not_stages(texts: AnswerTexts, nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    index = np.arange(len(nights))
    plain, noisy = (
        LanguageBatches(nights, RenderSpec(), texts, most_probable=True, findings_noise=share)(
            index, np.random.default_rng(1)
        )
        for share in (0.0, 1.0)
    )
    direct = plain.ids[:, : len(texts.direct_question) + 2]
    assert (direct == noisy.ids[:, : direct.shape[1]]).all()

    def stages(batch: LanguageBatch) -> list[int]:
        rules = batch.ids[torch.arange(len(index)), batch.stage_place]
        return [int(RULE_STAGES[texts.rule_tokens.tolist().index(int(rule))]) for rule in rules]

    assert stages(plain) == stages(noisy)
    assert (plain.weights > 0).sum() > (noisy.weights > 0).sum()


def test_the_teacher_says_at_the_rule_what_it_says_of_the_stages(texts: AnswerTexts) -> None:
    stated = Findings(Rhythm.THETA, 0.2, 2, 0, 0.1, 60.0)
    teacher = np.array([0.1, 0.2, 0.5, 0.0, 0.2], dtype=np.float32)
    shares = texts.rule_shares(stated, teacher)
    by_stage = np.bincount(RULE_STAGES, weights=shares, minlength=5)
    np.testing.assert_allclose(by_stage, teacher, atol=1e-6)
    assert shares[list(RULES).index("N2.2")] == pytest.approx(0.5)
    assert (shares > 0).sum() == 4


def test_the_loss_at_the_rule_is_the_mean_over_the_teachers_draws(
    texts: AnswerTexts, nights_folder: Path
) -> None:
    nights = load_nights(nights_folder, "train")
    index = np.zeros(64, dtype=np.int64)
    batch = LanguageBatches(nights, RenderSpec(), texts)(index, np.random.default_rng(0))
    assert torch.equal(batch.rule_shares, batch.rule_shares[:1].expand(64, -1))
    drawn = batch.ids[torch.arange(64), batch.stage_place]
    seen = torch.tensor([(drawn == int(token)).float().mean() for token in texts.rule_tokens])
    torch.testing.assert_close(seen, batch.rule_shares[0], atol=0.2, rtol=0.0)


def test_a_text_with_context_is_the_runtimes_and_its_context_is_hardly_a_target(texts: AnswerTexts) -> None:
    stated = Findings(Rhythm.THETA, 0.05, 0, 0, 0.02, 50.0)
    context = NightContext((Stage.N2,), 2)
    plain = texts.stated(stated, Stage.N2, Stage.N1)
    answer = texts.stated(stated, Stage.N2, Stage.N1, context=context)
    text = texts.tokenizer.decode(answer.ids.tolist()[:-1])
    assert text == compose(stated, Stage.N2, Stage.N1, context)
    assert parse(text).rule.id == "N2.5"
    assert (answer.weights >= 1.0).sum() <= (plain.weights >= 1.0).sum() + 1
    assert (
        texts.rule_shares(stated, np.eye(5, dtype=np.float32)[2], context)[list(RULES).index("N2.5")] == 1.0
    )


def test_contexts_follow_each_night_from_its_begin(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    assert nights.findings is not None
    contexts = contexts_of(nights.findings, nights.teacher, nights.night)
    assert len(contexts) == len(nights)
    for place, context in enumerate(contexts):
        first = place == 0 or nights.night[place] != nights.night[place - 1]
        before = None if first else Stage(int(nights.teacher[place - 1].argmax()))
        assert context.previous is before


def test_a_share_of_the_texts_has_a_context(texts: AnswerTexts, nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    index = np.arange(len(nights))
    word = texts.tokenizer.encode("Context:", add_special_tokens=False).ids[-1]
    states = NightStates(np.zeros((len(nights), 8), np.float16), np.log(nights.context))
    for share in (0.0, 1.0):
        batch = LanguageBatches(nights, RenderSpec(), texts, memory=states, memory_share=share)(
            index, np.random.default_rng(0)
        )
        assert batch.remembered.float().mean() == share
        expected = nights.context if share else nights.teacher
        np.testing.assert_array_equal(batch.teacher.numpy(), expected)
        assert ((batch.ids == word).any(dim=1)).float().mean() == share


def test_a_share_of_what_is_learned_of_the_night_is_what_the_memory_says(
    texts: AnswerTexts, nights_folder: Path
) -> None:
    nights = load_nights(nights_folder, "train")
    index = np.arange(len(nights))
    own = np.random.default_rng(3).dirichlet(np.ones(5), len(nights)).astype(np.float32)
    states = NightStates(np.zeros((len(nights), 8), np.float16), np.log(own))
    make = LanguageBatches(nights, RenderSpec(), texts, memory=states, memory_share=0.5, memory_opinion=0.25)
    batch = make(index, np.random.default_rng(0))
    remembered = batch.remembered.numpy()
    assert 0 < remembered.sum() < len(nights)
    expected = np.where(remembered[:, None], 0.75 * nights.context + 0.25 * own, nights.teacher)
    np.testing.assert_allclose(batch.teacher.numpy(), expected, atol=1e-6)


def test_a_prompt_of_the_first_grammar_is_refused() -> None:
    with pytest.raises(ValueError, match="grammar '1'"):
        AnswerTexts(build_tokenizer(), PromptSpec(grammar="1"))


def test_a_sidecar_without_todays_columns_counts_as_unmeasured(tmp_path: Path) -> None:
    night = noise_night(tmp_path, 0)
    with np.load(findings_path(night)) as file:
        columns = {name: file[name] for name in file.files if name != "muscle_share"}
    np.savez(findings_path(night), **columns)
    assert not is_measured(night)
    with pytest.raises(FileNotFoundError, match="unmeasured"):
        load_nights(tmp_path, "all")
    measure_night(night)
    assert is_measured(night)
