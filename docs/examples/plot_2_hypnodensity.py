"""
Hypnogram and hypnodensity
==========================

A stage says what is most probable. The hypnodensity shows all five probabilities, and so where the model is
in doubt.

The night is simulated (three hours, seed 11) and takes a few seconds on two cores. It says nothing about
accuracy.
"""

import matplotlib.pyplot as plt
import numpy as np

from eegvlm_rt import STAGES, Stager
from eegvlm_rt.hypnogram.palette import STAGE_COLORS, STAGE_ROWS
from eegvlm_rt.simulator import simulate_night

x = simulate_night(seed=11, hours=3).samples_uv
stager = Stager.load("nano", mode="head")
night = stager.predict_night(x, sfreq=100, unit="uV").run()

# %%
# ``night.proba`` is an array (epochs, 5) in the order W N1 N2 N3 R; rows of epochs that were not scored are
# NaN.
print(night.proba.shape, np.round(night.proba[100], 2))

# %%
# The memory of the night gives the probabilities; the stage head's opinion of each epoch by itself stands
# beside them. Where both differ, the epochs before were heard.
alone = np.array([[p.head.probabilities[stage] for stage in STAGES] for p in night.predictions])
hours = (np.arange(len(night)) + 0.5) * 30 / 3600
row = {stage: -place for place, stage in enumerate(STAGE_ROWS)}

figure, axes = plt.subplots(3, 1, figsize=(10, 6.5), sharex=True, layout="constrained")
axes[0].step(hours, [row[p.stage] for p in night.predictions], where="mid", color="#22303C", linewidth=1)
axes[0].set_yticks(list(row.values()), [stage.name for stage in row])
axes[0].set_ylabel("stage")
for axis, proba, name in ((axes[1], night.proba, "with memory"), (axes[2], alone, "one epoch alone")):
    order = list(reversed(STAGE_ROWS))
    columns = [STAGES.index(stage) for stage in order]
    axis.stackplot(hours, proba[:, columns].T, colors=[STAGE_COLORS[stage] for stage in order], labels=order)
    axis.set(ylim=(0, 1), ylabel=name)
axes[2].set(xlabel="hours from the start", xlim=(hours[0], hours[-1]))
handles, labels = axes[1].get_legend_handles_labels()
figure.legend(handles[::-1], [stage.name for stage in STAGE_ROWS], loc="outside right center")

# %%
# How sure is the model of each epoch, and how often do memory and head agree?
surest = night.proba.max(axis=1)
print(f"median probability of the stage: {np.nanmedian(surest):.2f}")
print(f"epochs below 0.5: {np.sum(surest < 0.5)} of {len(night)}")
print(f"same stage as the epoch alone: {np.mean(alone.argmax(1) == night.proba.argmax(1)):.0%}")
