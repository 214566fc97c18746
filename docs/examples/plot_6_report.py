"""
The report of a night
=====================

One HTML file for the person who goes through the night: hypnogram, statistics, quality, and the epochs to
look at first, each with its trace.

The night is simulated (one hour, seed 9) and takes some seconds on two cores.
"""

import html
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from eegvlm_rt import Stager
from eegvlm_rt.simulator import simulate_night, write_edf

folder = Path(tempfile.mkdtemp())
path = write_edf(simulate_night(seed=9, hours=1), folder / "night.edf")
night = Stager.load("nano", mode="cot").predict_night(path).run()

# %%
# ``epochs`` says how many are shown: first sleep, first R, stages that stand alone, contradicted claims,
# doubt.
report = night.report(folder / "night.html", epochs=4)
print(report.name, f"{report.stat().st_size / 1e6:.2f} MB")


# %%
# It refers to nothing outside itself, so it can be mailed or stored. Here it stands in a frame:
class Shown:
    """A page that a notebook, or this gallery, shows in a frame."""

    def __init__(self, page):
        self.page = page

    def _repr_html_(self):
        text = html.escape(self.page.read_text(encoding="utf-8"))
        return f'<iframe class="report" title="report" srcdoc="{text}"></iframe>'


Shown(report)

# %%
# The picture of the same night.
picture = folder / "night.png"
night.plot(picture, size=(1200, 640))
figure = plt.figure(figsize=(10, 5.33), layout="constrained")
axes = figure.add_subplot()
axes.imshow(plt.imread(picture))
axes.set_axis_off()
