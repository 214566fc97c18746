"""The night memory is trained on what the eye reads, and the language model is told what it holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from eegvlm_train.cli import main
from eegvlm_train.data.courses import Courses, MemoryBatches
from eegvlm_train.data.language import LanguageBatches
from eegvlm_train.data.nightset import load_nights
from eegvlm_train.model import EegVlmForConditionalGeneration, EegVlmProcessor, preset
from eegvlm_train.model.assembly import NIGHT_TOKEN
from eegvlm_train.model.memory import NightMemory, mean_opinion
from eegvlm_train.model.tokenizer import build_tokenizer, model_vocabulary
from eegvlm_train.settings import LanguageSettings, MemorySettings
from eegvlm_train.steps.language import LanguageStep, night_states
from eegvlm_train.steps.memory import MemoryStep, amplified_courses, remember

from eegvlm_rt.prompt import PromptSpec

SMALL = ["--threads", "1", "--set", "batch_size=4", "--set", "workers=0", "--set", "log_every=1"]
SMALL += ["--set", "warmup_steps=1"]


@pytest.fixture(scope="module")
def vision(nights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vision")
    more = ["--set", "steps=1", "--set", "validation_epochs=2"]
    assert main(["train-enhancement", str(nights_folder), str(out), *SMALL, *more]) == 0
    return out


def test_only_the_memory_of_a_checkpoint_is_trained(
    nights_folder: Path, vision: Path, tmp_path: Path
) -> None:
    arguments = ["train-memory", str(nights_folder), str(tmp_path), "--vision", str(vision), *SMALL]
    more = ["--set", "steps=3", "--set", "window=8", "--set", "gain_copies=1", "--set", "ema_decay=0"]
    assert main([*arguments, *more]) == 0
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if row["kind"] == "train"] == [1, 2, 3]
    assert {"memory_kappa", "memory_acc", "memory_ece", "alone_kappa"} <= set(log[-1])
    before = EegVlmForConditionalGeneration.from_pretrained(vision).state_dict()
    after = EegVlmForConditionalGeneration.from_pretrained(tmp_path).state_dict()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert all(name.startswith("memory.") for name in changed)


def test_a_copy_of_a_night_has_one_gain_and_is_a_night_of_its_own(nights_folder: Path, vision: Path) -> None:
    model = EegVlmForConditionalGeneration.from_pretrained(vision).eval()
    nights = load_nights(nights_folder, "train")
    settings = MemorySettings(gain_copies=2, gain_low=1.5, gain_high=2.5, workers=0)
    courses = amplified_courses(model, nights, settings)
    again = amplified_courses(model, nights, settings)
    n = len(nights)
    assert len(courses.night) == 3 * n
    assert len(list(courses.nights())) == 3 * len(nights.names)
    np.testing.assert_array_equal(courses.features, again.features)
    for copy in (1, 2):
        rows = slice(copy * n, (copy + 1) * n)
        np.testing.assert_array_equal(courses.teacher[rows], nights.context)
        assert not np.array_equal(courses.features[rows], courses.features[:n])


def test_an_absent_epoch_has_no_loss() -> None:
    torch.manual_seed(0)
    memory = NightMemory(3, 5, size=4, members=2)
    rng = np.random.default_rng(0)
    courses = Courses(
        rng.normal(size=(12, 3)).astype(np.float16),
        rng.normal(size=(12, 5)).astype(np.float32),
        rng.dirichlet(np.ones(5), 12).astype(np.float32),
        np.zeros(12, np.int32),
    )
    batch = MemoryBatches(courses, 12, 0.0, 0.0)(np.zeros(1, dtype=np.int64), rng)
    step = MemoryStep(memory, MemorySettings(dropout=0.0)).eval()
    batch.present[0, 4] = 0.0
    with torch.no_grad():
        before = step(batch)["loss"]
        batch.teacher[0, 4] = torch.eye(5)[0]
        assert step(batch)["loss"] == before
        batch.teacher[0, 5] = torch.eye(5)[0]
        assert step(batch)["loss"] != before


@torch.no_grad()
def test_what_is_remembered_is_what_the_memory_says_from_each_begin() -> None:
    torch.manual_seed(0)
    memory = NightMemory(3, 5, size=4, members=2).eval()
    rng = np.random.default_rng(1)
    courses = Courses(
        rng.normal(size=(50, 3)).astype(np.float16),
        rng.normal(size=(50, 5)).astype(np.float32),
        rng.dirichlet(np.ones(5), 50).astype(np.float32),
        np.repeat(np.arange(2, dtype=np.int32), 25),
    )
    # Nights shorter than the shortest stretch are remembered from their first epoch.
    held = remember(memory, courses, np.random.default_rng(0))
    for night in courses.nights():
        batch = courses.stretch(night, 0, 25)
        opinions, states = memory.read_nights(batch.features.float(), batch.stage_logits, batch.present)
        np.testing.assert_allclose(held.logits[night], mean_opinion(opinions)[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(held.states[night], states[0].numpy(), atol=1e-3)


@pytest.fixture(scope="module")
def step() -> LanguageStep:
    torch.manual_seed(0)
    prompt = PromptSpec(night=NIGHT_TOKEN)
    tokenizer = build_tokenizer(prompt)
    config = preset("nano", model_vocabulary(tokenizer))
    config.text_config.num_hidden_layers = 1
    model = EegVlmForConditionalGeneration(config).eval()
    return LanguageStep(
        model, EegVlmProcessor.for_config(config, tokenizer, prompt), LanguageSettings()
    ).eval()


def test_a_sample_that_knows_its_night_has_the_memorys_token(nights_folder: Path, step: LanguageStep) -> None:
    nights = load_nights(nights_folder, "train")
    nights = replace(nights, context=np.roll(nights.teacher, 1, axis=0))
    memory = night_states(step.model, nights, LanguageSettings(workers=0))
    assert memory is not None
    assert memory.states.shape == (len(nights), step.model.memory.state_size)
    make = LanguageBatches(nights, step.normalize.spec, step.texts, memory=memory, memory_share=0.5)
    index = np.arange(16)
    batch = make(index, np.random.default_rng(0))
    knows = batch.remembered
    assert 0 < knows.sum() < 16
    with torch.no_grad():
        tokens = step.night_tokens(batch)
        states = torch.from_numpy(memory.states[index]).float()
        expected = step.model.night_token(states, torch.from_numpy(memory.logits[index]))
    assert tokens.shape == (16, 1, step.model.config.text_config.hidden_size)
    torch.testing.assert_close(tokens[knows, 0], expected[knows])
    own = step.model.get_input_embeddings()(step.night_ids)[0, 0]
    assert (tokens[~knows, 0] == own).all()
    for row, known in enumerate(knows.tolist()):
        opinion = nights.context if known else nights.teacher
        np.testing.assert_array_equal(batch.teacher[row].numpy(), opinion[index[row]])
