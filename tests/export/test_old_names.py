"""Names that went work for one more release and name the new one."""

from __future__ import annotations

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("eegvlm_export.layouts", "eegvlm_export.weights.layouts"),
        ("eegvlm_train.tokenizer", "eegvlm_train.model.tokenizer"),
    ],
)
def test_an_old_module_holds_what_the_new_one_does(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"is now called {new}"):
        module = import_module(old)
    for name in module.__all__:
        assert getattr(module, name) is getattr(import_module(new), name)
