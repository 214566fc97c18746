"""The command line of the export, as far as no checkpoint is needed."""

from __future__ import annotations

import pytest
from eegvlm_export.cli import main

from eegvlm_rt.versions import version_text


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, version_text("eegvlm_export") + "\n")
