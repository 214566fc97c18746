"""
Sleep statistics, with their definitions
========================================

Every figure has one written definition and says what it was counted from. The model's own doubt gives an
interval.

The night is simulated (seven hours, seed 2) and takes a few seconds on two cores. It says nothing about
accuracy.
"""

import textwrap

import matplotlib.pyplot as plt

from eegvlm_rt import Stager
from eegvlm_rt.hypnogram import DEFINITIONS
from eegvlm_rt.hypnogram.palette import STAGE_COLORS, STAGE_ROWS
from eegvlm_rt.simulator import simulate_night

x = simulate_night(seed=2, hours=7).samples_uv
night = Stager.load("nano", mode="head").predict_night(x, sfreq=100, unit="uV").run()

# %%
# Lights off and on are not known here, so the whole recording counts, and the statistics say so.
statistics = night.statistics(lights_off=0, lights_on=len(night))
intervals = night.intervals()
for name in (
    "sleep_min",
    "efficiency_pct",
    "onset_latency_3_epochs_min",
    "rem_latency_period_min",
    "waso_min",
):
    value, interval = getattr(statistics, name), intervals[name]
    ends = f"middle 90 %: {interval.low:.1f} to {interval.high:.1f}"
    print(f"{name:28} {value:6.1f}   estimate {interval.estimate:.1f}   {ends}")
    print(textwrap.indent(textwrap.fill(DEFINITIONS[name], 90), "    "))

# %%
# What one EEG channel cannot give is named, and is never 0.
for name, why in statistics.not_assessed.items():
    print(f"{name}: {why}")

# %%
# Minutes of each stage, and of each third of the night.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
names = [stage.name for stage in STAGE_ROWS]
colors = [STAGE_COLORS[stage] for stage in STAGE_ROWS]
axes[0].bar(names, [statistics.stage_min[stage] for stage in STAGE_ROWS], color=colors)
axes[0].set_ylabel("minutes")
bottom = [0.0, 0.0, 0.0]
for stage in STAGE_ROWS:
    minutes = [third[stage] for third in statistics.third_min]
    axes[1].bar(["first", "second", "last"], minutes, bottom=bottom, color=STAGE_COLORS[stage])
    bottom = [low + high for low, high in zip(bottom, minutes, strict=True)]
axes[1].set_xlabel("third of the sleep period")

# %%
# The same night as a ``yasa.Hypnogram``, for whatever YASA offers beyond. Total sleep time and efficiency
# are the same; YASA counts REM latency from the start of the recording.
hypnogram = night.to_yasa()
theirs = hypnogram.sleep_statistics()
print("TST", theirs["TST"], statistics.sleep_min)
print("SE", round(theirs["SE"], 1), round(statistics.efficiency_pct, 1))
