"""Weights in 8 and 4 bits: by blocks, by GPTQ and AWQ, the tower by static scales."""
