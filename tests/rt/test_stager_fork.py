"""A process forked while a recording is staged: its iterator says it belongs elsewhere, it never hangs."""

from __future__ import annotations

import subprocess
import sys

from tests.rt.tiny_bundle import write_tiny_bundle

CODE = """
import os, sys
import numpy as np
from eegvlm_rt import EegVlmError, Stager

stager = Stager.load(sys.argv[1], mode="head", threads=2)
signal = np.random.default_rng(0).normal(0, 20, 3000 * 6)
night = stager.predict_recording(signal, sfreq=100)
next(night)
child = os.fork()
if child == 0:
    try:
        next(night)
    except EegVlmError as error:
        print(error, flush=True)
    print(len(list(stager.predict_recording(signal, sfreq=100))), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(1 + len(list(night)), flush=True)
"""


def test_a_forked_iterator_is_refused_and_both_processes_go_on(tmp_path):
    bundle = write_tiny_bundle(tmp_path / "tiny")
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(bundle.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    refusal, in_child, in_parent = done.stdout.splitlines()
    assert refusal.endswith("begin an iteration of its own")
    assert (in_child, in_parent) == ("6", "6")


EXIT = """
import os, sys
import numpy as np
from eegvlm_rt import Stager

stager = Stager.load(sys.argv[1], mode="head", threads=2)
x = np.random.default_rng(0).normal(0, 20, 3000)
stager.predict_epoch(x, 100)
child = os.fork()
if child == 0:
    print(stager.predict_epoch(x, 100).outcome, end="")
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_forked_child_ends_by_sys_exit_with_its_status(tmp_path):
    bundle = write_tiny_bundle(tmp_path / "tiny")
    command = [sys.executable, "-W", "ignore", "-c", EXIT, str(bundle.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "scored7\n"
