"""
Reasons, and what the signal says to them
=========================================

In ``cot`` mode the model writes why it chose a stage. Every statement is a claim, and every claim is
measured in the signal.

The night is simulated (half an hour of sleep, seed 3) and takes some seconds on two cores. A claim that is
supported is true of the signal; it does not prove that the network decided by it.
"""

import matplotlib.pyplot as plt
import numpy as np

from eegvlm_rt import Stager
from eegvlm_rt.hypnogram.palette import INK, MARKS
from eegvlm_rt.signal.conditioning import condition_epoch
from eegvlm_rt.simulator import simulate_night

x = simulate_night(seed=3, hours=1.5).samples_uv
stager = Stager.load("nano", mode="cot")
night = stager.predict_night(x[-60 * 3000 :], sfreq=100, unit="uV").run()

# %%
# Take the epoch with the most spindles.
p = max(night.predictions, key=lambda p: len(p.findings.spindle_spans))
print(p.stage.name, f"{p.probabilities[p.stage]:.2f}")
print(p.rationale_text)

# %%
# The verdict, the claim, and what was measured. ``strict`` asks for exactly what was measured; ``verdict``
# allows the tolerance of the measurement.
for c in p.checks:
    print(f"{c.verdict:12}  {c.claim.kind:14}  {c.claim.value}  (measured: {c.measured})")

# %%
# The same epoch as a trace, with what the detectors marked. They know neither the stage nor the text.
epoch = condition_epoch(x[-60 * 3000 :][p.index * 3000 : (p.index + 1) * 3000], 100)
seconds = np.arange(len(epoch)) / 100
figure, axes = plt.subplots(3, 1, figsize=(10, 5), sharey=True, layout="constrained")
for part, axis in enumerate(axes):
    axis.plot(seconds, epoch, color=INK, linewidth=0.7)
    for kind, spans in (("spindle", p.findings.spindle_spans), ("K-complex", p.findings.k_complex_spans)):
        for onset, duration in spans:
            axis.axvspan(onset, onset + duration, color=MARKS[kind], alpha=0.25, label=kind)
    axis.set(xlim=(10 * part, 10 * part + 10), ylabel="µV")
axes[2].set_xlabel("seconds from the start of the epoch")
by_kind = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
figure.legend(by_kind.values(), by_kind.keys(), loc="outside upper right", ncols=2)
figure.suptitle(f"epoch {p.index + 1}: {p.stage.name}, rule {p.rationale.rule.id}", x=0.08, ha="left")

# %%
# How many claims of the whole stretch hold?
checks = [c for p in night.predictions for c in p.checks]
print(f"{sum(c.verdict == 'supported' for c in checks)} of {len(checks)} claims are supported")
