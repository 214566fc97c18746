"""Seeded faults over real and simulated nights: `python -m benchmarks.faults`."""
