"""Store what torch saves: the state of a training, or weights alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from motionrt.runtime.files import atomic_file


def save_state(path: Path, state: Any) -> None:
    """Write a file for ``torch.load``, whole or not at all; InputError if it cannot be written.

    It is made in memory first: to a file, torch reports a full disk as damage of its own.
    """
    content = io.BytesIO()
    torch.save(state, content)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())
