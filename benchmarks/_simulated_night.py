"""A simulated night as a file of raw float32 samples, made in a process that is gone when it is measured:

python -m benchmarks._simulated_night FILE SEED HOURS SFREQ
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from eegvlm_rt.simulator import simulate_night


def main() -> int:
    """Write the file; print its facts as JSON."""
    path, seed, hours, sfreq = sys.argv[1:]
    night = simulate_night(int(seed), hours=float(hours), sfreq=float(sfreq))
    night.samples_uv.astype("<f4").tofile(Path(path))
    print(json.dumps({"samples": len(night.samples_uv)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
