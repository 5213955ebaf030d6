"""A stream's state at one moment: to go back to, or to keep in a file.

A file is safetensors: the frames that the stream still needs, embeddings that were given for
prompts, and a JSON text beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from motionrt.runtime.ardy.streaming import Settings
from motionrt.runtime.errors import InputError

Floats = NDArray[np.float32]
FORMAT, VERSION = "motionrt-stream", "1"
_HEADER_BYTES = 8
_EMBEDDING = "embedding_{}"
Frame = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds from a frame on."""

    frame: Frame
    prompt: str
    constraints: list[dict[str, Any]] = []
    """As in a constraint file; of absolute frames."""
    velocity: tuple[float, float] | None = None
    embedding_mask: list[bool] | None = None
    """Of an embedding that was given for the prompt: `Snapshot.embeddings` at this one's place."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot holds beside frames."""

    model: str
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    position: Frame
    """Frames that were played."""
    rest: Annotated[float, msgspec.Meta(ge=-1, le=1)]
    """Share of a frame that was asked for and is not due yet."""
    first: Frame
    """Number of the first frame that is held."""
    start: tuple[float, float]
    heading_rad: float
    settings: Settings
    asked: Annotated[list[Asked], msgspec.Meta(min_length=1)]
    cuts: list[Frame] = []


@dataclass(frozen=True)
class Snapshot:
    """A stream's state; `ArdyPipeline.stream` and `Session.restore` take one."""

    state: State
    features: Floats
    """(N, D), normalised: the frames from ``state.first`` on."""
    embeddings: Mapping[int, Floats] = field(default_factory=dict)
    """(L, W) of prompts that were given so, by their places in ``state.asked``."""

    def to_bytes(self) -> bytes:
        """Return a file's content."""
        metadata = {
            "format": FORMAT,
            "version": VERSION,
            "state": msgspec.json.encode(self.state).decode(),
        }
        arrays = {"features": self.features}
        arrays |= {_EMBEDDING.format(place): each for place, each in self.embeddings.items()}
        return save({key: np.ascontiguousarray(each) for key, each in arrays.items()}, metadata)

    @staticmethod
    def from_bytes(content: bytes) -> Snapshot:
        """Read what `to_bytes` gave; InputError if it is something else, or damaged."""
        try:
            length = int.from_bytes(content[:_HEADER_BYTES], "little")
            header = msgspec.json.decode(content[_HEADER_BYTES : _HEADER_BYTES + length])
            metadata = header["__metadata__"]
            if metadata["format"] != FORMAT:
                raise InputError("this is no snapshot of a stream")
            if metadata["version"] != VERSION:
                raise InputError(
                    f"snapshot of version {metadata['version']}, this runtime reads {VERSION}"
                )
            state = msgspec.json.decode(metadata["state"], type=State)
            arrays = load(content)
            features = arrays["features"]
            embeddings = {
                place: arrays[_EMBEDDING.format(place)]
                for place, asked in enumerate(state.asked)
                if asked.embedding_mask is not None
            }
        except InputError:
            raise
        except (
            msgspec.MsgspecError,
            SafetensorError,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise InputError(f"cannot be read as a snapshot of a stream ({error})") from None
        if features.ndim != 2 or features.dtype != np.float32 or not np.isfinite(features).all():
            raise InputError("a snapshot's frames are no rows of finite numbers")
        return Snapshot(state, features, embeddings)
