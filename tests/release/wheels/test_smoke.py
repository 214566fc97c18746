"""The smoke test of wheels expects the pictures of this renderer, and finds one that differs."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from release.wheels import smoke


def test_the_pictures_are_those_expected() -> None:
    assert smoke.check_pictures().startswith(f"{len(smoke.PICTURES)} pictures")


def test_another_picture_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {**smoke.pictures(), "gaps": np.zeros(3, np.uint8)}
    monkeypatch.setattr(smoke, "pictures", lambda: others)
    with pytest.raises(SystemExit, match="picture 'gaps'"):
        smoke.check_pictures()


def test_the_shipped_bundle_is_verified() -> None:
    assert "every digest right" in smoke.check_bundle()


def test_the_shipped_model_stages_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert smoke.check_inference(26, modes=("head",)).startswith("26 epochs by head")


def test_another_stage_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "_EXPECTED", {0: ("N3", 0.9)})
    with pytest.raises(SystemExit, match="head, epoch 0: N3 at"):
        smoke.check_inference(1, modes=("head",))
