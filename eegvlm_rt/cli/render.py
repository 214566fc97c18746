"""eegvlm-rt render: the picture the model sees of one epoch."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..bundle.find import find_bundle
from ..bundle.opening import Bundle
from ..errors import InputError
from ..files.outputs import check_outputs, write_file
from ..files.seal import SEAL
from ..rendering.renderer import RenderSpec
from ..rendering.renderer import render as draw
from ..signal.conditioning import Preprocessing
from ..signal.units import EPOCH_S
from ..sources.edf import read_channel
from ..sources.rows import rows_of
from .console import note, out
from .epoch_lines import clock
from .png import encode_png

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Read one channel, condition and draw one epoch as the bundle's model sees it."""
    fields: dict[str, Any] = {
        "rows": args.rows,
        "width": args.size,
        "height": args.size,
        "uv_range": args.uv_range,
    }
    bundle = Bundle.open(find_bundle(args.bundle))
    manifest = bundle.manifest
    check_outputs([args.out], inputs=[args.file, bundle.path], overwrite=args.overwrite)
    chosen_here = {name: value for name, value in fields.items() if value is not None}
    spec = replace(RenderSpec.from_dict(manifest.render), **chosen_here)
    conditioning = Preprocessing.from_dict(dict(manifest.preprocessing))
    recording = read_channel(args.file, args.channel, unit=args.unit)
    rows = rows_of(recording, conditioning, channel=None, sfreq=None, unit="uV")
    epoch = next(islice(rows, args.epoch - 1, None), None)
    if epoch is None:
        raise InputError("epoch", args.epoch, f"the recording has {recording.duration_s / EPOCH_S:g} epochs")
    path = write_file(args.out, encode_png(draw(epoch.x, spec), SEAL), overwrite=args.overwrite)
    console = out()
    when = clock(recording.start, epoch.start_s)
    rows_s = EPOCH_S / spec.rows
    shown = f"{spec.width} x {spec.height} px, {spec.rows} rows of {rows_s:g} s, ±{spec.uv_range:g} µV each"
    console.print(f"{path}: {recording.channel}, epoch {args.epoch} at {when}, {shown}", soft_wrap=True)
    flags = ", ".join(sorted(epoch.quality.flags))
    if flags:
        console.print(f"signal quality: {flags}")
    note(console)
    return 0
