"""eegvlm-rt render: the picture the model sees of one epoch, as a PNG file."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from eegvlm_rt.bundle import Bundle, find_bundle
from eegvlm_rt.cli.png import encode_png
from eegvlm_rt.errors import InputError
from eegvlm_rt.rendering.renderer import RenderSpec, render
from eegvlm_rt.signal.conditioning import Preprocessing
from eegvlm_rt.sources import read_channel
from eegvlm_rt.sources.rows import rows_of
from tests.rt.cli.cli_runs import cli, save_recording

Image = pytest.importorskip("PIL.Image")


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def expected(recording, epoch: int, spec: RenderSpec) -> np.ndarray:
    rows = rows_of(read_channel(recording), Preprocessing(), channel=None, sfreq=None, unit="uV")
    return render(next(islice(rows, epoch - 1, None)).x, spec)


@pytest.fixture
def recording(tmp_path):
    return save_recording(tmp_path / "night.edf")


def test_the_picture_is_what_staging_shows_the_model(capsys, recording, tmp_path):
    status, out, err = cli(capsys, "render", recording, "--epoch", 2, "-o", tmp_path / "p.png")
    assert (status, err) == (0, "")
    assert "epoch 2 at 22:00:30" in out
    seen = RenderSpec.from_dict(Bundle.open(find_bundle("nano")).manifest.render)
    np.testing.assert_array_equal(pixels(tmp_path / "p.png"), expected(recording, 2, seen))


def test_rows_size_and_range_can_be_chosen(capsys, recording, tmp_path):
    options = ["--rows", 1, "--size", 128, "--uv-range", 50]
    assert cli(capsys, "render", recording, "-o", tmp_path / "p.png", *options)[0] == 0
    spec = RenderSpec(width=128, height=128, rows=1, uv_range=50.0)
    np.testing.assert_array_equal(pixels(tmp_path / "p.png"), expected(recording, 1, spec))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epoch", "4"], "epoch: 4; the recording has 3"),
        (["--size", "99999"], "width: 99999"),
        (["--uv-range", "-5"], "uv_range"),
        (["--rows", "65"], "rows: 65"),
        (["--channel", "EEG Oz"], "channels: 'EEG Fpz-Cz'"),
    ],
)
def test_what_cannot_be_drawn_is_one_message_and_status_2(capsys, recording, tmp_path, options, words):
    status, _, err = cli(capsys, "render", recording, "-o", tmp_path / "p.png", *options)
    assert status == 2
    assert words in err
    assert not (tmp_path / "p.png").exists()


def test_a_place_that_cannot_be_written_is_refused(capsys, recording, tmp_path):
    status, _, err = cli(capsys, "render", recording, "-o", tmp_path / "missing" / "p.png")
    assert status == 2
    assert "cannot be written" in err


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 3), (64, 48, 3)])
def test_png_holds_every_pixel(tmp_path, shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "p.png").write_bytes(encode_png(picture))
    np.testing.assert_array_equal(pixels(tmp_path / "p.png"), picture)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3)),
    ],
)
def test_png_refuses_what_is_no_rgb_picture(picture):
    with pytest.raises(InputError, match="pixels"):
        encode_png(picture)
