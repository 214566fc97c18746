"""Fixtures of the export: tiny models and their checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from eegvlm_train.model import EegVlmForConditionalGeneration

from tests.export.tiny_models import CONFIGS, random_model, save_checkpoint


@pytest.fixture(scope="session", params=sorted(CONFIGS))
def model(request: pytest.FixtureRequest) -> EegVlmForConditionalGeneration:
    return random_model(request.param)


@pytest.fixture(scope="session")
def tiny_model() -> EegVlmForConditionalGeneration:
    return random_model("tiny")


@pytest.fixture(scope="session")
def edge_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint("edge-like", tmp_path_factory.mktemp("edge-like"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint("tiny", tmp_path_factory.mktemp("checkpoint"))
