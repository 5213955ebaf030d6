"""Small text encoders as ONNX graphs, in the layouts that other exporters write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from byte_tokenizer import tokenizer_json
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WIDTH = 8
LONGEST = 40
_HEADS = 2


class SentenceGraph:
    """A table of tokens and one of positions, and their mean: numbers that numpy knows too.

    It takes all that exporters let encoders take: positions, token types, a mask of 32 bits, and
    what a decoder has cached.
    """

    def __init__(self, normalise: bool = True, half: bool = False) -> None:
        generator = np.random.default_rng(0)
        self.kind = np.float16 if half else np.float32
        self.tokens = generator.normal(size=(300, WIDTH)).astype(self.kind)
        self.positions = generator.normal(size=(LONGEST, WIDTH)).astype(self.kind)
        self.types = generator.normal(size=(2, WIDTH)).astype(self.kind)
        self.normalise = normalise

    def hidden(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the graph gives for ids and mask (B, S): (B, S, W)."""
        place = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        tables = (t.astype(np.float32) for t in (self.tokens, self.positions, self.types))
        tokens, positions, types = tables
        return np.asarray(tokens[ids] + positions[place] + types[0], np.float32)

    def sentence(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """The mean of the real tokens (B, W), of length 1 if it is normalised."""
        weights = mask[..., None].astype(np.float32)
        mean = (self.hidden(ids, mask) * weights).sum(1) / weights.sum(1)
        length = np.linalg.norm(mean, axis=1, keepdims=True) if self.normalise else 1
        return np.asarray(mean / length, np.float32)

    def model(self) -> onnx.ModelProto:
        """The graph, in an operator set of before reductions took their axes as inputs."""
        real = TensorProto.FLOAT16 if self.kind is np.float16 else TensorProto.FLOAT
        rows: list[str | int | None] = ["batch", "sequence"]
        past: list[str | int | None] = ["batch", _HEADS, "past", WIDTH // _HEADS]
        node = helper.make_node
        constants = {
            "tokens": self.tokens,
            "positions": self.positions,
            "types": self.types,
            "split": np.array([0, 0, _HEADS, WIDTH // _HEADS]),
            "join": np.array([0, 0, WIDTH]),
            "last": np.array([-1]),
            "second": np.array([1]),
        }
        nodes = [
            node("Gather", ["tokens", "input_ids"], ["words"]),
            node("Gather", ["positions", "position_ids"], ["places"]),
            node("Gather", ["types", "token_type_ids"], ["kinds"]),
            node("Add", ["words", "places"], ["placed"]),
            node("Add", ["placed", "kinds"], ["states"]),
            # By way of the cache, as attention does.
            node("Reshape", ["states", "split"], ["heads"]),
            node("Transpose", ["heads"], ["keys"], perm=[0, 2, 1, 3]),
            node("Concat", ["past_key_values.0.key", "keys"], ["present.0.key"], axis=2),
            node("Transpose", ["present.0.key"], ["turned"], perm=[0, 2, 1, 3]),
            node("Reshape", ["turned", "join"], ["token_embeddings"]),
            node("Unsqueeze", ["attention_mask", "last"], ["column"]),
            node("Cast", ["column"], ["weights"], to=real),
            node("Mul", ["token_embeddings", "weights"], ["kept"]),
            node("ReduceMean", ["kept"], ["kept_mean"], axes=[1], keepdims=0),
            node("ReduceMean", ["weights"], ["share"], axes=[1], keepdims=0),
            node("Div", ["kept_mean", "share"], ["mean"]),
            node("ReduceL2", ["mean"], ["length"], axes=[1], keepdims=1),
            node("Div", ["mean", "length"], ["unit"]),
            node("Identity", ["unit" if self.normalise else "mean"], ["sentence_embedding"]),
        ]
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "main_graph",
            [
                value("input_ids", TensorProto.INT64, rows),
                value("attention_mask", TensorProto.INT32, rows),
                value("token_type_ids", TensorProto.INT64, rows),
                value("position_ids", TensorProto.INT64, rows),
                value("past_key_values.0.key", real, past),
            ],
            [
                value("token_embeddings", real, [*rows, WIDTH]),
                value("sentence_embedding", real, ["batch", WIDTH]),
                value("present.0.key", real, past),
            ],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 14)])

    def write(self, folder: Path, kind: str = "bert") -> Path:
        """Write graph, external data, config and tokenizer."""
        folder.mkdir(parents=True)
        onnx.save_model(
            self.model(),
            str(folder / "model.onnx"),
            save_as_external_data=True,
            location="model.onnx_data",
            size_threshold=512,
        )
        config = {
            "model_type": kind,
            "vocab_size": 300,
            "hidden_size": WIDTH,
            "max_position_embeddings": LONGEST,
        }
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer.json").write_text(tokenizer_json(kind))
        return folder
