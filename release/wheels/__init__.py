"""Wheels for Linux without a container: one machine builds those of every Python and of both processors."""
