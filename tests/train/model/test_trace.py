"""The trace reader sees a picture as a function of time, and its features keep their places in time."""

from __future__ import annotations

import pytest
import torch
from eegvlm_train.model import EegVlmConfig, preset
from eegvlm_train.model.trace import TraceConfig, TraceReader


def receptive_field(config: TraceConfig) -> tuple[int, int]:
    """Stem steps that one feature sees, and stem steps from one feature to the next."""
    sees, jump = 1, 1
    for stride, depth in zip(config.strides, config.depths, strict=True):
        sees += (config.kernel_size - 1) * jump
        jump *= stride
        sees += (config.kernel_size - 1) * jump * depth
    return sees, jump


@pytest.fixture(scope="module")
def reader() -> TraceReader:
    torch.manual_seed(0)
    return TraceReader(TraceConfig(depths=(1, 1, 1, 1), kernel_size=3)).eval()


def test_there_is_more_than_one_feature_a_second() -> None:
    config = TraceConfig()
    assert config.steps == 42
    assert config.pooled_size == 2 * 96


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 335), (2, 100), (5, 335)])
def test_a_pixel_column_changes_only_the_features_near_its_time(
    reader: TraceReader, row: int, column: int
) -> None:
    config = TraceConfig(depths=(1, 1, 1, 1), kernel_size=3)
    pictures = torch.randn(1, 3, 336, 336, generator=torch.Generator().manual_seed(1))
    changed = pictures.clone()
    changed[:, :, 56 * row : 56 * (row + 1), column] += 3.0
    with torch.no_grad():
        difference = (reader(changed) - reader(pictures)).abs().amax((0, 1))
    places = difference.nonzero().flatten()
    sees, jump = receptive_field(config)
    step = (336 * row + column) // config.columns
    assert len(places) > 0
    assert ((places * jump - step).abs() <= sees // 2).all()
    # The end of a row and the begin of the next follow each other in time.
    if (row, column) == (0, 335):
        assert places.min() < 7 <= places.max()


def test_a_feature_does_not_hang_on_the_pictures_beside_it(reader: TraceReader) -> None:
    pictures = torch.randn(3, 3, 336, 336, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        together = reader(pictures)
        torch.testing.assert_close(together[1:2], reader(pictures[1:2]))
    assert together.shape == (3, 96, 42)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 5}, "image_size: 336; 5 rows"),
        ({"columns": 5}, "image_size: 336; 6 rows and 5 columns"),
        ({"strides": (2, 3, 5, 2)}, "strides: .*; 168 steps do not divide by 5"),
        ({"depths": (1, 1)}, "hidden_sizes, strides, depths"),
    ],
)
def test_a_shape_that_does_not_divide_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TraceConfig(**fields)


def test_patches_that_do_not_share_the_features_time_are_refused() -> None:
    config = preset("nano")
    parts = {"vision_config": config.vision_config, "enhancement_config": config.enhancement_config}
    with pytest.raises(ValueError, match="patch_shape: 50 x 48; patches must tile"):
        EegVlmConfig(**parts, patch_shape=(50, 48))
    with pytest.raises(ValueError, match="patch_shape: 84 x 48; 4 patches from top to bottom"):
        EegVlmConfig(**parts, patch_shape=(84, 48))
    with pytest.raises(ValueError, match="42 high-level features do not divide among 72 segments"):
        EegVlmConfig(**parts)


def test_a_configuration_is_read_back_as_it_was_written() -> None:
    config = preset("nano")
    again = EegVlmConfig.from_dict(config.to_dict())
    assert isinstance(again.enhancement_config, TraceConfig)
    assert again.to_dict() == config.to_dict()
    assert (again.high_level_steps, again.pooled_size, again.patch_size) == (42, 192, (56, 48))
