"""A loop in its prepared form, driven on the device: a graph run once, then a fused step.

What `manifest.PreparedForm` describes. Schedule and counter lie on the device, so nothing is
written between steps: the host only says "again". The frames are exact where all items of a batch
are of one length; items of several lengths take the masked step.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from motionrt.runtime.backend.backends import SILENT, Backend
from motionrt.runtime.backend.device_loop import DeviceLoop
from motionrt.runtime.backend.device_thread import on_device
from motionrt.runtime.backend.graph import Arrays, Seen, find_graph, renaming
from motionrt.runtime.backend.onnx_session import onnxruntime_session, told_elsewhere
from motionrt.runtime.backend.recording import Buffers, DeviceGraph, drive
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError


class PreparedLoop(DeviceLoop):
    """A compiled loop, run in its prepared form: a `graph.Watched`. Safe in several threads."""

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        backend: Backend,
        *,
        form: str = "cuda",
        device: str = "cuda",
        record: bool = True,
    ) -> None:
        """Load the graphs of a loop's form, the masked step when it is first needed.

        form: a key of the loop's forms. device, as onnxruntime calls it, is where buffers lie.
        record: replay steps as CUDA graphs, as long as the provider takes them. BundleError if the
        loop has no such form.
        """
        super().__init__(bundle, name, backend)
        if form not in self._loop.forms:
            raise BundleError(f"{bundle.folder}: graph {name} has no form for {form}")
        self._form = self._loop.forms[form]
        self._prepare_info = find_graph(bundle, self._form.prepare, "onnx")
        files = (self._prepare_info.files["onnx"], *self._prepare_info.data)
        bundle.check_hashes(files)
        path, *data = map(bundle.path, files)
        self._prepare = on_device(
            backend.device_id, lambda: onnxruntime_session(str(path), backend, data=data)
        )
        self._open = partial(
            DeviceGraph,
            bundle,
            backend=backend,
            carried=self._form.carried,
            device=device,
            record=record,
        )
        self._steps: dict[bool, DeviceGraph] = {}
        """The step and the masked one, as far as they are loaded."""
        self._device_graph(masked=False)

    @property
    def runs_on(self) -> str:
        """What really runs the loop."""
        step = self._steps[False]
        recorded = ", recorded" if step.records else ""
        name, precision = self.backend.told, step.info.precision
        return f"{name}, fused step in {precision}{recorded}{told_elsewhere(step.session)}"

    def _drive(self, feed: Arrays, every: int, seen: Seen | None) -> Arrays:
        form, loop = self._form, self._loop
        step = self._device_graph(masked=not self._all_full(feed))
        needed = {tensor.name for tensor in step.info.inputs}
        state = {name: feed[name] for name in loop.carried}
        state[form.counter] = np.zeros(1, np.int64)
        shapes = {name: array.shape for name, array in state.items()}
        sizes = {
            axis: size
            for tensor in self.info.inputs
            for axis, size in zip(tensor.axes, feed[tensor.name].shape, strict=True)
        }
        made = [tensor.name for tensor in self._prepare_info.outputs if tensor.name in needed]
        for tensor in self._prepare_info.outputs:
            if tensor.name in needed:
                shape = (axis if isinstance(axis, int) else sizes[axis] for axis in tensor.axes)
                shapes[tensor.name] = tuple(shape)
        given = {tensor.name: feed[tensor.name] for tensor in self._prepare_info.inputs}

        def fill(buffers: Buffers) -> None:
            self._run_prepare(given, {name: buffers.values[name] for name in made})
            for name, array in state.items():
                buffers.write(name, array)

        def named(values: Arrays) -> Arrays:
            return {result: values[name] for name, result in loop.carried.items()}

        told = None if seen is None else renaming(seen, named)
        return named(drive(step, shapes, fill, None, self._count(feed), every, told))

    def _all_full(self, feed: Arrays) -> bool:
        """Return whether every item of a batch has all frames: no mask along them leaves one out.

        Such masks are the bool inputs whose last axis is the one that may be padded.
        """
        axis = self._loop.padded_axis
        masks = [t.name for t in self.info.inputs if t.dtype == "bool" and t.axes[-1] == axis]
        return all(bool(feed[name].all()) for name in masks)

    def _device_graph(self, masked: bool) -> DeviceGraph:
        name = self._form.masked_step if masked else self._form.step

        def find() -> DeviceGraph:
            if masked not in self._steps:
                self._steps[masked] = self._open(name)
            return self._steps[masked]

        return on_device(self.backend.device_id, find)

    def _run_prepare(self, inputs: Arrays, results: Mapping[str, Any]) -> None:
        """Run the first graph, its results left where the step reads them."""
        import onnxruntime as ort

        binding = self._prepare.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name, value in results.items():
            binding.bind_ortvalue_output(name, value)
        options = ort.RunOptions()
        options.log_severity_level = SILENT
        self._prepare.run_with_iobinding(binding, options)
        binding.synchronize_outputs()
