"""Medians of a few numbers each."""

from __future__ import annotations

import numpy as np
import pytest

from eegvlm_rt.signal.medians import medians


@pytest.mark.parametrize("shape", [(3, 1), (1, 2), (8, 15), (8, 16), (2, 15, 101), (2, 4, 7)])
def test_they_are_those_of_numpy_to_the_bit(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).standard_normal(shape)
    before = values.copy()
    np.testing.assert_array_equal(medians(values), np.median(values, axis=1))
    np.testing.assert_array_equal(values, before)
