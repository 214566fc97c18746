"""The smoke test of wheels expects the pictures of this renderer, and finds one that differs."""

from __future__ import annotations

import numpy as np
import pytest

from release.wheels import smoke


def test_the_pictures_are_those_expected() -> None:
    assert smoke.check_pictures().startswith(f"{len(smoke.PICTURES)} pictures")


def test_another_picture_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**smoke.pictures(), "gaps": np.zeros(3, np.uint8)}
    monkeypatch.setattr(smoke, "pictures", lambda: wrong)
    with pytest.raises(SystemExit, match="picture 'gaps'"):
        smoke.check_pictures()


def test_the_shipped_bundle_is_verified() -> None:
    assert "every digest right" in smoke.check_bundle()
