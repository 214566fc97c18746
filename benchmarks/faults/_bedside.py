"""A bedside process that may be killed: `python -m benchmarks.faults._bedside BUNDLE JOURNAL SFREQ`.

Begins the night of the journal or goes on with it, stages chunks from standard input until that ends, and
answers each with a line: how many epochs it has given so far.
"""

from __future__ import annotations

import sys

from eegvlm_rt.journal import Journal
from eegvlm_rt.stager import Stager

from .frames import receive


def main() -> int:
    """The process; its first line is "ready" and the number of the first epoch."""
    bundle, path, sfreq = sys.argv[1:]
    stager = Stager.load(bundle, mode="head", threads=1)
    journal, night = Journal.open(path, {"channel": "Fpz", "sfreq": float(sfreq)})
    count = 0
    with journal, stager.stream(float(sfreq), channel="Fpz", journal=journal, resume=night) as stream:
        print("ready", 0 if night is None else night.next_epoch_index, flush=True)
        while (chunk := receive(sys.stdin.buffer)) is not None:
            count += len(stream.push(*chunk))
            print(count, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
