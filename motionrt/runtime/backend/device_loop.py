"""A compiled loop that is run by its step on a device: what all such loops share.

The step may be the bundle's own (``step_driver``), a fused one (``prepared_loop``) or an engine
(``engine_loop``); how each drives it stands there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.graph import Arrays, Seen, check_inputs, check_outputs, find_loop
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo
from motionrt.runtime.errors import BundleError


class DeviceLoop(ABC):
    """A loop whose state stays on a device: a `graph.Watched`."""

    def __init__(self, bundle: Bundle, name: str, backend: Backend) -> None:
        """Find a loop in a bundle; BundleError if the graph is none."""
        self.name = name
        self.backend = backend
        info = find_loop(bundle, name)
        if info is None or info.loop is None:
            raise BundleError(f"{bundle.folder}: graph {name} is no loop over a step")
        self.info: GraphInfo = info
        self._loop = info.loop

    @property
    @abstractmethod
    def runs_on(self) -> str:
        """What really runs the loop."""

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        """Run the loop as the compiled one does: same inputs, same outputs."""
        return self.run_watched(inputs, 0, None, outputs)

    def run_watched(
        self,
        inputs: Mapping[str, ArrayLike],
        every: int,
        seen: Seen | None,
        outputs: Sequence[str] | None = None,
    ) -> Arrays:
        """Run the loop; every so many steps seen is told, as `graph.Watched` has it."""
        feed = check_inputs(self.name, self.info, inputs)
        wanted = check_outputs(self.name, self.info, outputs)
        found = self._drive(feed, every, seen)
        return {name: found[name] for name in wanted}

    @abstractmethod
    def _drive(self, feed: Arrays, every: int, seen: Seen | None) -> Arrays:
        """Run the loop on checked inputs, which it may change; return its state, named as outputs.

        every and seen are those of ``run_watched``; what seen is given is named so too.
        """

    def _count(self, feed: Arrays) -> int:
        """Return how many steps the inputs ask for."""
        return len(feed[next(iter(self._loop.scanned.values()))])

    def _take_rows(self, feed: Arrays) -> Arrays:
        """Take what changes at a step out of the inputs: tables, by the step's names."""
        return {inner: feed.pop(outer) for inner, outer in self._loop.scanned.items()}
