"""A stager for what a source gives."""

from __future__ import annotations

import pytest

from eegvlm_rt.stager import Stager
from tests.rt.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="package")
def tiny_stager(tmp_path_factory: pytest.TempPathFactory) -> Stager:
    """A tiny bundle's head."""
    folder = tmp_path_factory.mktemp("sources") / "tiny"
    write_tiny_bundle(folder)
    return Stager.load(folder, mode="head", threads=1)
