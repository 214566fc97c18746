"""Programs of a release run without what this shell has set up, and say why they failed."""

from __future__ import annotations

import sys

import pytest

from release.run import ReleaseError, output_of, run


def test_a_path_to_other_packages_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert "/elsewhere" not in output_of(sys.executable, "-c", "import sys; print(sys.path)")


def test_a_program_that_fails_or_is_missing_is_told_with_its_last_words() -> None:
    with pytest.raises(ReleaseError, match=r"(?s)ended with status 3.*last words"):
        run(sys.executable, "-c", "import sys; print('last words'); sys.exit(3)")
    with pytest.raises(ReleaseError, match="no-such-program: not installed"):
        run("no-such-program")
