"""The sampling loop driven from the host, its state kept on the device.

On a GPU the step graph wins over the compiled loop: nothing waits for the host between steps, and
with buffers that never move the whole step is recorded once as a CUDA graph and replayed. The frame
count is rounded up to a bucket, so that motions of similar length share a recording; frames beyond
a motion's end are masked, as in a batch of different lengths.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.device_loop import DeviceLoop
from motionrt.runtime.backend.device_thread import on_device
from motionrt.runtime.backend.graph import Arrays, Seen, renaming
from motionrt.runtime.backend.onnx_session import told_elsewhere
from motionrt.runtime.backend.recording import Buffers, DeviceGraph, drive
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo

BUCKET_FRAMES = 32


def drives(info: GraphInfo) -> bool:
    """Return whether a graph is a loop, whose step can be driven."""
    return info.loop is not None


class StepDriver(DeviceLoop):
    """A compiled loop, run by its step graph: a `Graph`. Calls from several threads take turns."""

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        backend: Backend,
        *,
        device: str = "cuda",
        bucket_frames: int = BUCKET_FRAMES,
        record: bool = True,
    ) -> None:
        """Load the step graph of a loop; device, as onnxruntime calls it, is where buffers lie.

        bucket_frames: the loop's padded axis is rounded up to a multiple; 1 keeps it. record:
        replay steps as CUDA graphs, as long as the provider takes them. BundleError if the graph
        is no loop.
        """
        super().__init__(bundle, name, backend)
        self._bucket = bucket_frames
        make = partial(
            DeviceGraph, bundle, self._loop.step, backend, self._loop.carried, device, record
        )
        self._step = on_device(backend.device_id, make)

    @property
    def runs_on(self) -> str:
        """What really runs the loop."""
        recorded = ", recorded" if self._step.records else ""
        return f"{self.backend.told}, step by step{recorded}{told_elsewhere(self._step.session)}"

    def _drive(self, feed: Arrays, every: int, seen: Seen | None) -> Arrays:
        count, rows = self._count(feed), self._take_rows(feed)
        shapes = {state: feed[state].shape for state in self._loop.carried}
        padded = {name: self._padded(name, array) for name, array in feed.items()}

        def fill(buffers: Buffers) -> None:
            for name, array in padded.items():
                buffers.write(name, array)

        def before(buffers: Buffers, i: int) -> None:
            buffers.wait()
            for name, row in rows.items():
                buffers.write(name, row[i])

        def named(state: Arrays) -> Arrays:
            return {
                result: np.ascontiguousarray(state[name][tuple(map(slice, shapes[name]))])
                for name, result in self._loop.carried.items()
            }

        sizes = {name: array.shape for name, array in padded.items()}
        sizes.update({name: row.shape[1:] for name, row in rows.items()})
        told = None if seen is None else renaming(seen, named)
        return named(drive(self._step, sizes, fill, before, count, every, told))

    def _padded(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Round an array's padded axis up to the bucket: zeros, False in a mask."""
        axes = next(tensor.axes for tensor in self._step.info.inputs if tensor.name == name)
        if self._loop.padded_axis not in axes:
            return array
        axis = axes.index(self._loop.padded_axis)
        missing = -array.shape[axis] % self._bucket
        if not missing:
            return array
        return np.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)])
