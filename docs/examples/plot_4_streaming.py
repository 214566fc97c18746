"""
A stream, chunk by chunk
========================

An amplifier sends chunks, not nights. A stream takes them as they come, answers each epoch when its last
sample is there, and remembers the night so far in a small state.

The amplifier is a simulated night (one hour, seed 5, 256 Hz), played as fast as it goes: some seconds on
two cores.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

from eegvlm_rt import Stager
from eegvlm_rt.hypnogram.palette import STAGE_COLORS
from eegvlm_rt.simulator import simulate_night

x = simulate_night(seed=5, hours=1, sfreq=256).samples_uv
stager = Stager.load("nano", mode="head")

# %%
# Chunks of uneven length, and one of 40 s that never arrives. Timestamps of the device say so; without them
# samples are taken to follow each other.
rng = np.random.default_rng(0)
cuts = np.cumsum(rng.integers(16, 700, 4000))
cuts = [0, *cuts[cuts < len(x)], len(x)]
lost = range(256 * 1500, 256 * 1540)

predictions = []
with stager.stream(sfreq=256, channel="Fpz") as stream:
    for first, last in pairwise(cuts):
        index = np.arange(first, last)
        index = index[(index < lost.start) | (index >= lost.stop)]
        if len(index):
            predictions += stream.push(x[index], index / 256)
    predictions += stream.close()

# %%
# Every epoch has one row and one outcome, the ones in the gap too.
print({outcome.value: count for outcome, count in stream.night.epochs.items() if count})
for p in predictions[49:53]:
    stage = "-" if p.stage is None else p.stage.name
    print(p.index, p.outcome, stage, f"missing {p.quality.missing_share:.0%}")

# %%
# The memory is causal: what comes later never changes what was said. So the stream gives the very stages of
# the stored recording with the same samples missing.
holes = x.copy()
holes[lost.start : lost.stop] = np.nan
stored = stager.predict_night(holes, sfreq=256, unit="uV").run()
print("same stages:", [p.stage for p in predictions] == [p.stage for p in stored.predictions])

# %%
# What the memory holds is a few hundred numbers, whatever the length of the night.
states = [p.memory for p in predictions if p.memory is not None]
print(states[-1])

figure, axis = plt.subplots(figsize=(10, 2.6), layout="constrained")
for p in predictions:
    color = "#D5DADF" if p.stage is None else STAGE_COLORS[p.stage]
    axis.bar(p.index / 2 + 0.25, 1 if p.stage is None else p.proba.max(), width=0.5, color=color)
axis.set(xlabel="minutes", ylabel="probability of the stage", ylim=(0, 1), xlim=(0, len(predictions) / 2))
axis.set_title("Each bar is an epoch in the color of its stage; gray has no sample", loc="left", fontsize=10)
