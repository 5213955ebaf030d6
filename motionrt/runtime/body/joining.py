"""Put motions one behind the other."""

from __future__ import annotations

import numpy as np

from motionrt.runtime.body.motion import Motion


def joined(first: Motion, second: Motion) -> Motion:
    """Put a motion of the same skeleton behind another, frame by frame as both are.

    What only one of them has is left out. Its rate, and what it is called, are the second's.
    """
    before, after = first.to_arrays(), second.to_arrays()
    arrays = {
        name: np.concatenate([values, after[name]])
        for name, values in before.items()
        if name in after and values.shape[1:] == after[name].shape[1:]
    }
    return Motion.from_arrays(arrays, second.skeleton, second.fps, second.info)
