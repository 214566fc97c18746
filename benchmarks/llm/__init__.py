"""Decoding of a small language model on the CPU beside what a user would pick instead, with the same
weights."""
