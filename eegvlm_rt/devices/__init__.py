"""Processors whose memory is addressed by number: a GPU through cuda-python, and this host as the
reference."""

from __future__ import annotations

from .buffers import ALIGNMENT, DeviceArray, DeviceBuffer, Stream, aligned
from .device import Device, DeviceFacts

__all__ = ["ALIGNMENT", "Device", "DeviceArray", "DeviceBuffer", "DeviceFacts", "Stream", "aligned"]
