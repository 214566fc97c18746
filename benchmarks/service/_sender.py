"""An amplifier on LSL: `python -m benchmarks.service._sender NAME SIGNAL SFREQ SPEED T0 PROGRESS`.

Sample n of the signal (which is repeated without end) has the timestamp n / sfreq; it is sent when SPEED *
(now - T0) reaches that. One that is started anew begins where the time is, as a device does. PROGRESS gets a
line "first last", brought up to date all the time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from tests.rt.sources.lsl_loopback import StreamInfo, StreamOutlet

PIECE_S = 0.1


def main() -> int:
    """Send until killed."""
    name, signal, rate, speed, t0, progress = sys.argv[1:]
    sfreq, factor, start = float(rate), float(speed), float(t0)
    x = np.fromfile(Path(signal), "<f4")
    info = StreamInfo(name, "EEG", 1, sfreq, "float32", f"{name}-id")
    info.set_channel_names(["Fpz"])
    info.set_channel_types("eeg")
    info.set_channel_units("uv")
    outlet = StreamOutlet(info, max_buffered=360)
    # What is sent while nobody listens is lost to everybody: a sender's life begins with its first listener.
    while not outlet.wait_for_consumers(0.5):
        pass
    first = done = int((time.time() - start) * factor * sfreq)
    while True:
        due = int((time.time() - start) * factor * sfreq)
        if due > done:
            places = np.arange(done, due)
            piece = np.ascontiguousarray(x[places % len(x)][:, None])
            outlet.push_chunk(piece, places / sfreq)
            done = due
            temporary = Path(f"{progress}.new")
            temporary.write_text(f"{first} {done}\n")
            temporary.replace(progress)
        time.sleep(PIECE_S)


if __name__ == "__main__":
    sys.exit(main())
