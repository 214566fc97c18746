"""
A night staged from an EDF file
===============================

From a recording to a hypnogram and the files that other programs read.

The night is simulated (two hours, seed 7), so the example runs anywhere in a few seconds on two cores. It
says nothing about accuracy, and nothing here is a medical device.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from eegvlm_rt import Stager
from eegvlm_rt.simulator import simulate_night, write_edf
from eegvlm_rt.sources import channels

# %%
# An EDF file of your own takes the place of these two lines.
folder = Path(tempfile.mkdtemp())
path = write_edf(simulate_night(seed=7, hours=2), folder / "night.edf")

# %%
# Which channels does it have? A recording with several EEG channels needs ``channel=``.
for label in channels(path):
    print(label)

# %%
# ``head`` asks the enhancement module and the memory of the night: the quickest of the three answers,
# without reasons. The predictions come as they are made; ``run`` takes them all.
stager = Stager.load("nano", mode="head")
night = stager.predict_night(path).run()
print(night)

# %%
# One row for each epoch of 30 s. An epoch that cannot be scored is a row too.
for prediction in night.predictions[60:64]:
    print(prediction.index, prediction.stage.name, f"{max(prediction.proba):.2f}", prediction.outcome)

# %%
# The picture of the night: stages above probabilities.
picture = folder / "night.png"
night.plot(picture, size=(1200, 640))
figure = plt.figure(figsize=(10, 5.33), layout="constrained")
axes = figure.add_subplot()
axes.imshow(plt.imread(picture))
axes.set_axis_off()

# %%
# The files: EDF+ annotations for any viewer, CSV for tables, JSON with everything.
night.write(folder / "results")
for file in sorted((folder / "results").iterdir()):
    print(f"{file.name:18} {file.stat().st_size:8,d} bytes")
print((folder / "results" / "hypnogram.csv").read_text().splitlines()[:3])
