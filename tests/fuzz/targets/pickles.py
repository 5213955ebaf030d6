"""Pickles as such, whatever is made of them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from fuzz.mutators.pickles import mutate_pickle
from fuzz.target import Target

from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.safe_pickle import as_array, content_of, read_pickle


def _read(path: Path) -> None:
    content = content_of(read_pickle(path))
    values = list(content.values()) if isinstance(content, dict) else [content]
    for value in values[:20]:
        try:
            as_array(value)
        except InputError as error:
            assert str(error).isprintable()


def _seeds() -> Iterable[bytes]:
    value = OrderedDict(
        a=np.arange(4.0),
        b=[np.float32(1), {1, 2}, frozenset({"x"}), (None, True, 2**70, 1.5)],
        c=np.array(["é", "b"]),
        d=np.array([[1, 2], [3, 4]], "<i2", order="F"),
        e=[[1, 2.0], [3, 4]],
        f=bytearray(b"abc"),
    )
    return [
        *(pickle.dumps(value, protocol) for protocol in range(6)),
        pickle.dumps(np.array({"a": np.eye(2)}, object), 4),
    ]


TARGETS = (Target("pickle", _read, mutate_pickle, _seeds, "p.pkl"),)
