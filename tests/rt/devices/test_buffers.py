"""Buffers of a device stay inside their bounds; arrays of it are slices, and come to the host when they are
asked for."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from eegvlm_rt.devices import ALIGNMENT, Device, DeviceArray, DeviceBuffer, Stream
from eegvlm_rt.devices.host import HostDevice
from eegvlm_rt.errors import BackendError
from tests.rt.tensorrt.fake_gpu import FakeGpu


def test_copies_stay_inside() -> None:
    gpu = FakeGpu()
    buffer, stream = DeviceBuffer(gpu, 512), gpu.make_stream()
    buffer.upload(np.zeros(128, dtype=np.float32), stream)
    with pytest.raises(BackendError, match="516 bytes"):
        buffer.upload(np.zeros(129, dtype=np.float32), stream)
    with pytest.raises(BackendError, match="strided"):
        buffer.download(np.zeros((4, 4), dtype=np.float32).T, stream)


def test_a_freed_buffer_is_not_used_again() -> None:
    gpu = FakeGpu()
    buffer, stream = DeviceBuffer(gpu, 512), gpu.make_stream()
    buffer.free()
    buffer.free()
    with pytest.raises(BackendError, match="device buffer"):
        buffer.upload(np.zeros(1, dtype=np.float32), stream)
    assert gpu.live == {}


def test_what_is_in_a_stream_happens_before_it_is_left() -> None:
    gpu = FakeGpu()
    buffer, target = DeviceBuffer(gpu, 256), np.zeros(4, dtype=np.float32)
    stream = Stream(gpu)
    with stream.settled() as handle:
        buffer.upload(np.arange(4, dtype=np.float32), handle)
        buffer.download(target, handle)
        assert np.isnan(target).all()
    assert target.tolist() == [0, 1, 2, 3]

    def fail() -> None:
        with stream.settled() as handle:
            buffer.upload(np.ones(4, dtype=np.float32), handle)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not gpu.pending[stream.handle]


@pytest.fixture(params=[HostDevice, FakeGpu])
def device(request: pytest.FixtureRequest) -> Device:
    made: Device = request.param()
    return made


def test_an_array_gives_its_entries_without_a_copy(device: Device) -> None:
    stream, values = Stream(device), np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    buffer = DeviceBuffer(device, values.nbytes)
    with stream.settled() as handle:
        buffer.upload(values, handle)
    array = DeviceArray(buffer, values.shape, stream)
    assert (len(array), array.ndim, array.nbytes) == (2, 3, 96)
    np.testing.assert_array_equal(array.numpy(), values)
    np.testing.assert_array_equal(array[1][2].numpy(), values[1, 2])
    with pytest.raises(IndexError):
        array[2]


def test_rows_are_copied_between_buffers_of_other_widths(device: Device) -> None:
    stream, values = Stream(device), np.arange(12, dtype=np.float32).reshape(3, 4)
    source, target = DeviceBuffer(device, 48), DeviceBuffer(device, 72)
    found = np.zeros((3, 6), dtype=np.float32)
    with stream.settled() as handle:
        source.upload(values, handle)
        target.clear(handle)
        target.copy_rows(source, 8, rows=3, pitches=(24, 16), stream=handle)
        target.download(found, handle)
    np.testing.assert_array_equal(found[:, :2], values[:, :2])
    assert not found[:, 2:].any()


def test_copies_within_a_device_stay_inside(device: Device) -> None:
    stream = Stream(device)
    buffer, small = DeviceBuffer(device, 4 * ALIGNMENT), DeviceBuffer(device, ALIGNMENT)
    array = DeviceArray(buffer, (ALIGNMENT,), stream)
    with stream.settled() as handle:
        with pytest.raises(BackendError, match="device buffer"):
            small.copy(array, handle)
        with pytest.raises(BackendError, match="device buffer"):
            small.copy_rows(buffer, 8, rows=5, pitches=(64, 64), stream=handle)
        with pytest.raises(BackendError, match="at -4"):
            small.upload(np.zeros(1, dtype=np.float32), handle, offset=-4)


def test_memory_of_the_host_is_aligned_and_given_back() -> None:
    device = HostDevice()
    buffers = [DeviceBuffer(device, size) for size in (1, 300, 5000)]
    assert all(buffer.address % ALIGNMENT == 0 for buffer in buffers)
    address = buffers[0].address
    del buffers
    gc.collect()
    with pytest.raises(BackendError, match="once"):
        device.free(address)
