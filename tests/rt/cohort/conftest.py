"""One tiny bundle for all tests of cohorts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort-bundle") / "tiny"
    write_tiny_bundle(folder)
    return folder
