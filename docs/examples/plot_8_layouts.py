"""
One epoch in every layout
=========================

The model reads an epoch as a picture. The same kernel draws it in training and on the device; here it draws
one epoch in each layout.

The epoch is simulated (seed 4). All pictures together take a few seconds on two cores.
"""

import matplotlib.pyplot as plt
import numpy as np

import eegvlm_rt as rt
from eegvlm_rt.signal.conditioning import condition_epoch
from eegvlm_rt.simulator import simulate_night

night = simulate_night(seed=4, hours=1)
first = int(np.flatnonzero(night.stages == rt.Stage.N2)[10]) * 3000
x = condition_epoch(night.samples_uv[first : first + 3000], 100)

# %%
# ``rows`` folds the 30 s: six rows of 5 s give 67 pixels to a second, so that the waves of a spindle can be
# told apart. One row gives 11. The shipped model reads six.
figure, axes = plt.subplots(2, 3, figsize=(10, 7), layout="constrained")
for axis, rows in zip(axes.flat, (1, 2, 3, 4, 5, 6), strict=True):
    axis.imshow(rt.render(x, rt.RenderSpec(rows=rows)))
    axis.set_title(f"rows={rows}", fontsize=10)
    axis.set_axis_off()

# %%
# Other parts of the look: the range in µV, the width of the line, marks of seconds, lines at ±37.5 µV,
# several channels, missing samples. Marks are off by default, and the shipped model has never seen any.
channels = np.stack([x, np.roll(x, 150) * 0.6])
holes = x.copy()
holes[700:1150] = np.nan
looks = {
    "uv_range=150": (x, rt.RenderSpec(rows=6, uv_range=150)),
    "line_width=3": (x, rt.RenderSpec(rows=6, line_width=3)),
    "ticks=30": (x, rt.RenderSpec(rows=6, ticks=30)),
    "scale_lines=(37.5, -37.5)": (x, rt.RenderSpec(rows=6, scale_lines=(37.5, -37.5))),
    "two channels": (channels, rt.RenderSpec(rows=3, channels=2)),
    "a gap of 4.5 s": (holes, rt.RenderSpec(rows=6)),
}
figure, axes = plt.subplots(2, 3, figsize=(10, 7), layout="constrained")
for axis, (name, (signal, spec)) in zip(axes.flat, looks.items(), strict=True):
    axis.imshow(rt.render(signal, spec))
    axis.set_title(name, fontsize=10)
    axis.set_axis_off()

# %%
# What a network reads is the same picture as normalized numbers.
tensor = rt.render(x, output="f32")
print(tensor.shape, tensor.dtype, f"{tensor.min():.2f} to {tensor.max():.2f}")
