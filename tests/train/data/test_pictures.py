"""What the network is trained on is what the device shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from eegvlm_train.data.imaging import Normalize
from eegvlm_train.data.loading import Loader, VisionBatches, draw_batches, draw_grey, sweep_batches
from eegvlm_train.data.nightset import load_nights

from eegvlm_rt.rendering.renderer import RenderSpec, render, render_batch

SPECS = [
    RenderSpec(),
    RenderSpec(uv_range=75.0),
    RenderSpec(rows=1),
    RenderSpec(width=224, height=112, rows=4),
]


@pytest.mark.parametrize("spec", SPECS)
def test_grey_planes_are_byte_equal_to_the_runtimes_pictures(nights_folder: Path, spec: RenderSpec) -> None:
    signal = load_nights(nights_folder, "train").microvolts(np.arange(6))
    grey = draw_grey(signal, spec)
    for plane, one in zip(grey, signal, strict=True):
        picture = render(one, spec)
        for color in range(3):
            assert np.array_equal(plane, picture[..., color])


def test_normalized_grey_planes_are_the_runtimes_float_pictures(nights_folder: Path) -> None:
    spec = RenderSpec(uv_range=75.0)
    signal = load_nights(nights_folder, "train").microvolts(np.arange(4))
    ours = Normalize(spec)(torch.from_numpy(draw_grey(signal, spec)))
    theirs = render_batch(signal, spec, output="f32")
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


def test_batches_do_not_depend_on_the_number_of_threads(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    make = VisionBatches(nights, RenderSpec(), 0.7, 1.4, 0.5, 0.5)
    weights = nights.sampling_weights(0.5)

    def first(workers: int) -> list[torch.Tensor]:
        drawn = draw_batches(weights, 4, np.random.default_rng(3))
        stream = Loader(workers, (3, 0))(make, drawn)
        signals = [next(stream).signal_uv for _ in range(6)]
        stream.close()  # type: ignore[attr-defined]
        return signals

    for one, three in zip(first(0), first(3), strict=True):
        assert torch.equal(one, three)


def test_a_sweep_visits_every_epoch_once_in_order(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    batches = Loader(2, (0,))(VisionBatches(nights, RenderSpec()), sweep_batches(np.arange(10), 4))
    teacher = torch.cat([batch.teacher for batch in batches])
    np.testing.assert_array_equal(teacher.numpy(), nights.teacher[:10])


def test_gain_scales_signal_and_amplitude_and_is_told(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    index = np.arange(32)
    plain = VisionBatches(nights, RenderSpec())(index, np.random.default_rng(0))
    gained = VisionBatches(nights, RenderSpec(), 0.7, 1.4, 0.5)(index, np.random.default_rng(0))
    ratio = (gained.signal_uv.std(1) / plain.signal_uv.std(1)).numpy()
    kept = gained.absolute.numpy()
    assert plain.absolute.all()
    assert 0 < kept.sum() < len(index)
    np.testing.assert_allclose(ratio[kept], 1.0, rtol=1e-6)
    assert np.all((ratio > 0.69) & (ratio < 1.41))
    np.testing.assert_allclose(
        (gained.findings[:, 5] - plain.findings[:, 5]).numpy(), np.log10(ratio), atol=1e-5
    )
    assert torch.equal(gained.teacher, plain.teacher)


def test_flipped_signals_are_mirrored(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    index = np.arange(5)
    plain = VisionBatches(nights, RenderSpec())(index, np.random.default_rng(0))
    flipped = VisionBatches(nights, RenderSpec(), flip_share=1.0)(index, np.random.default_rng(0))
    assert torch.equal(flipped.signal_uv, -plain.signal_uv)
    assert not torch.equal(flipped.grey, plain.grey)


def test_findings_must_be_loaded(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train", with_findings=False)
    with pytest.raises(ValueError, match="load the nights with findings"):
        VisionBatches(nights, RenderSpec())(np.arange(2), np.random.default_rng(0))
