"""Measurements, one command each: `python -m benchmarks.latency`. Absolute times are those of the machine
at hand.
"""
