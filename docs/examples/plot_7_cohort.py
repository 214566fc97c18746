"""
Three nights to a table
=======================

A folder of recordings becomes a table with one row for each night. A night that fails is a row too.

Three simulated nights (seeds 1 to 3, one hour each) and a file that is no recording: some seconds on two
cores.
"""

import csv
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from eegvlm_rt.hypnogram import read_edf
from eegvlm_rt.hypnogram.palette import STAGE_ROWS
from eegvlm_rt.simulator import simulate_night, write_edf

folder = Path(tempfile.mkdtemp())
(folder / "recordings").mkdir()
for seed in (1, 2, 3):
    write_edf(simulate_night(seed, hours=1), folder / "recordings" / f"night-{seed}.edf")
(folder / "recordings" / "broken.edf").write_bytes(b"this is no recording")

# %%
# The command, as in a shell. Its status is 3, since some nights are scored and one is not.
command = ["eegvlm-rt", "score", "recordings", "-o", "results", "--workers", "1"]
run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
print(run.stdout)
print("exit status", run.returncode)

# %%
# The table. An empty cell is a figure that a night does not have; it is never 0.
with (folder / "results" / "nights.csv").open(newline="", encoding="utf-8") as handle:
    rows = list(csv.DictReader(handle))
for row in rows:
    print(row["night"], row["status"], row["sleep_min"], row["onset_latency_3_epochs_min"], row["error"])

# %%
# Each night has its files; here are their hypnograms.
place = {stage: -number for number, stage in enumerate(STAGE_ROWS)}
scored = [row["night"] for row in rows if row["status"] == "scored"]
figure, axes = plt.subplots(len(scored), 1, figsize=(10, 5), sharex=True, layout="constrained")
for axis, name in zip(axes, scored, strict=True):
    stages = read_edf(folder / "results" / "nights" / name / "hypnogram.edf").stages
    minutes = [index / 2 for index, stage in enumerate(stages) if stage is not None]
    axis.step(minutes, [place[stage] for stage in stages if stage is not None], where="post", color="#22303C")
    axis.set_yticks(list(place.values()), [stage.name for stage in place])
    axis.set_title(name, loc="left", fontsize=10)
axes[-1].set_xlabel("minutes")

# %%
# The same command again does only what is missing or changed: here only the broken file is tried anew.
print(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout)
