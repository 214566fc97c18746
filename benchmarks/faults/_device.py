"""A device as a process: `python _device.py FILE FIRST LAST` writes a part of a file to standard output and
ends itself by SIGKILL, as a driver does that crashes; with `-` for LAST it writes the rest and ends in order.
"""

import os
import signal
import sys

PIECE = 1 << 16


def main() -> None:
    """The process. Nothing is imported that takes time."""
    name, first, last = sys.argv[1:]
    with open(name, "rb") as file:  # noqa: PTH123
        file.seek(int(first))
        left = int(last) - int(first) if last != "-" else None
        while piece := file.read(PIECE if left is None else min(PIECE, left)):
            view = memoryview(piece)
            while view:
                view = view[os.write(1, view) :]
            left = None if left is None else left - len(piece)
    if left is not None:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
