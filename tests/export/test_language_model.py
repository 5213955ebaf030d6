from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from numpy.typing import NDArray
from parity.exported import scratch

from motionrt.export.bundle import BundleWriter
from motionrt.export.language_model import LanguageModelSource, add_language_model, recipe_of
from motionrt.export.parity import compare
from motionrt.export.readers.weights import Weights
from motionrt.export.running import cpu_session
from motionrt.models.decoder_lm import DecoderConfig
from motionrt.models.motion_lm import MotionLM

pytestmark = pytest.mark.slow
CONFIG = DecoderConfig(300, 64, 128, 2, 4, 2, 32, 1e-6, 1e6, qk_norm=True)
FIRST, COUNT = 280, 15
CACHES = [f"{kind}_{i}" for i in range(2) for kind in ("key", "value")]
Arrays = dict[str, NDArray[Any]]


@lru_cache(maxsize=1)
def make_model() -> MotionLM:
    torch.manual_seed(1)
    made = MotionLM(CONFIG, COUNT).eval()
    with torch.no_grad():
        made.model.embed_tokens.weight.mul_(0.3)
        made.lm_head.weight.copy_(made.model.embed_tokens.weight)
        made.motion_head.weight.copy_(made.lm_head.weight[FIRST : FIRST + COUNT])
    return made


def exported(precision: str = "fp32", tied: bool = True) -> Path:
    folder = scratch() / f"lm-{precision}-{tied}"
    if folder.exists():
        return folder
    folder.mkdir()
    state = make_model().state_dict()
    left_out = ("motion_head.weight", *(["lm_head.weight"] if tied else []))
    state = {name: tensor for name, tensor in state.items() if name not in left_out}
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    weights = Weights(folder, shapes, state.__getitem__)
    source = LanguageModelSource(CONFIG, weights, FIRST, COUNT)
    writer = BundleWriter(folder, lambda _: None)
    add_language_model(writer, source, precision)
    (folder / "deviation").write_text(repr(dict(writer._graphs["language_model"].deviation)))
    return folder


def empty(batch: int, dtype: Any = np.float32, room: int = 0) -> Arrays:
    shape = (batch, CONFIG.num_kv_heads, room, CONFIG.head_dim)
    return {f"past_{name}": np.zeros(shape, dtype) for name in CACHES}


def call(session: Any, ids: NDArray[Any], lengths: Any, columns: Any, past: Arrays) -> Any:
    none = np.zeros((len(ids), 0), np.int64)
    feed = {
        "input_ids": ids,
        "lengths": np.asarray(lengths),
        "logit_rows": columns,
        "motion_rows": none,
        **past,
    }
    logits, _, *present = session.run(None, feed)
    return logits, {f"past_{name}": array for name, array in zip(CACHES, present, strict=True)}


def torch_logits(ids: NDArray[Any]) -> NDArray[np.float32]:
    """Return the logits after every token of one row, without a cache."""
    given = torch.from_numpy(ids)
    columns = torch.arange(ids.shape[1])[None]
    past = {name: torch.from_numpy(array) for name, array in empty(1).items()}
    with torch.no_grad():
        found: torch.Tensor = make_model()(
            given, torch.tensor([ids.shape[1]]), columns, columns, **past
        )[0]
    return found.numpy()


def test_a_prompt_a_piece_and_tokens_are_the_whole() -> None:
    session = cpu_session(exported() / "language_model.onnx")
    ids = np.random.default_rng(0).integers(0, 300, (1, 12))
    want = torch_logits(ids)
    past, done = empty(1), 0
    for size in (5, 4, 1, 1, 1):
        done += size
        columns = np.arange(size)[None]
        logits, past = call(session, ids[:, done - size : done], [done], columns, past)
        np.testing.assert_allclose(logits, want[:, done - size : done], atol=1e-4)


def test_rows_padded_on_the_right_go_on_as_alone() -> None:
    session = cpu_session(exported() / "language_model.onnx")
    generator = np.random.default_rng(1)
    ids = generator.integers(0, 300, (3, 9))
    lengths = np.array([6, 9, 2])
    logits, past = call(session, ids, lengths, (lengths - 1)[:, None], empty(3))
    rows = [ids[i, : lengths[i]].tolist() for i in range(3)]
    for _ in range(3):
        for row, found in zip(rows, logits, strict=True):
            np.testing.assert_allclose(found[0], torch_logits(np.array([row]))[0, -1], atol=1e-4)
        token = generator.integers(0, 300, (3, 1))
        rows = [[*row, int(new)] for row, new in zip(rows, token[:, 0], strict=True)]
        lengths = lengths + 1
        logits, past = call(session, token, lengths, np.zeros((3, 1), np.int64), past)


def test_one_buffer_is_written_in_place_and_may_be_taken_back() -> None:
    import onnxruntime as ort

    session = cpu_session(exported() / "language_model.onnx")
    ids = np.random.default_rng(2).integers(0, 300, (1, 10))
    want = torch_logits(ids)
    # What was never written means nothing, whatever it is.
    buffers = {
        name: ort.OrtValue.ortvalue_from_numpy(np.full_like(array, 1e3))
        for name, array in empty(1, room=32).items()
    }

    def step(piece: NDArray[Any], length: int) -> NDArray[Any]:
        binding = session.io_binding()
        none, last = np.zeros((1, 0), np.int64), np.array([[piece.shape[1] - 1]])
        arrays = {"input_ids": piece, "lengths": np.array([length])}
        for name, array in {**arrays, "logit_rows": last, "motion_rows": none}.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output("logits")
        binding.bind_output("motion_logits")
        for name, buffer in buffers.items():
            binding.bind_ortvalue_input(name, buffer)
            binding.bind_ortvalue_output(name.replace("past", "present"), buffer)
        session.run_with_iobinding(binding)
        found: NDArray[Any] = binding.get_outputs()[0].numpy()[0, 0]
        return found

    np.testing.assert_allclose(step(ids[:, :7], 7), want[0, 6], atol=1e-4)
    step(np.array([[5]]), 8)  # another continuation, then back
    for at in (7, 8, 9):
        np.testing.assert_allclose(step(ids[:, at : at + 1], at + 1), want[0, at], atol=1e-4)
    assert (buffers["past_key_0"].numpy()[:, :, 10:] == 1e3).all()


def test_motion_logits_are_those_of_the_motion_tokens() -> None:
    session = cpu_session(exported() / "language_model.onnx")
    ids = np.random.default_rng(3).integers(0, 300, (2, 5))
    columns = np.array([[4, 1], [0, 3]])
    feed = {"input_ids": ids, "lengths": np.array([5, 5]), **empty(2)}
    both = session.run(
        ["logits", "motion_logits"], {**feed, "logit_rows": columns, "motion_rows": columns}
    )
    np.testing.assert_allclose(both[1], both[0][..., FIRST : FIRST + COUNT], atol=1e-5)
    none = np.zeros((2, 0), np.int64)
    for rows, motion in ((columns, none), (none, columns), (none, none)):
        found = session.run(
            ["logits", "motion_logits"], {**feed, "logit_rows": rows, "motion_rows": motion}
        )
        assert [array.shape[1] for array in found] == [rows.shape[1], motion.shape[1]]


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_table_is_stored_once(tied: bool) -> None:
    weights = (exported(tied=tied) / "language_model.weights").read_bytes()
    table = make_model().model.embed_tokens.weight.detach().numpy().tobytes()
    assert weights.count(table) == 1
    model = ir.load(exported(tied=tied) / "language_model.onnx")
    named = [name for name in model.graph.initializers if name.startswith("lm_head")]
    assert bool(named) != tied


def test_a_tied_table_in_8_bits_is_stored_once() -> None:
    """Looked up and multiplied with, it is the same bytes in other shapes."""
    for precision in ("int8", "int4"):
        model = ir.load(exported(precision) / "language_model.onnx")
        places = [
            value.const_value.offset
            for name, value in model.graph.initializers.items()
            if "embed_tokens" in name and isinstance(value.const_value, ir.ExternalTensor)
        ]
        assert len(places) == 2
        assert len(set(places)) == 1


@pytest.mark.parametrize(
    ("precision", "most"), [("fp16", 0.005), ("int8", 0.02), ("int4-mixed", 0.12), ("int4", 0.15)]
)
def test_fewer_bits_are_near_and_smaller(precision: str, most: float) -> None:
    folder = exported(precision)
    kind = np.float16 if precision == "fp16" else np.float32
    session = cpu_session(folder / "language_model.onnx")
    ids = np.random.default_rng(4).integers(0, 300, (1, 8))
    logits, past = call(session, ids, [8], np.arange(8)[None], empty(1, kind))
    want = torch_logits(ids)
    assert np.linalg.norm(logits - want) < most * np.linalg.norm(want)
    assert {array.dtype for array in past.values()} == {np.dtype(kind)}
    sizes = [(f / "language_model.weights").stat().st_size for f in (folder, exported())]
    assert sizes[0] < 0.95 * sizes[1]
    assert "'relative'" in (folder / "deviation").read_text()


def test_the_head_of_motion_tokens_keeps_its_precision() -> None:
    for precision in ("int8", "int4", "fp16"):
        assert recipe_of(precision).format_of("motion_head.weight").kind == "fp32"
    assert recipe_of("int4").format_of("model.embed_tokens.weight").bits == 8
    assert recipe_of("int4").format_of("model.layers.0.mlp.up_proj.weight").bits == 4
    for name, bits in (("mlp.down_proj", 8), ("self_attn.v_proj", 8), ("mlp.up_proj", 4)):
        assert recipe_of("int4-mixed").format_of(f"model.layers.0.{name}.weight").bits == bits


def test_standard_operators_but_for_attention_and_small_products() -> None:
    """What else were in it, older and other runtimes could not load."""
    found = {
        (node.domain, node.op_type)
        for precision in ("fp32", "int4")
        for node in ir.load(exported(precision) / "language_model.onnx").graph
        if node.domain
    }
    assert found == {("com.microsoft", "GroupQueryAttention"), ("com.microsoft", "MatMulNBits")}


def test_norms_become_one_operator_when_it_is_loaded(tmp_path: Path) -> None:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(
        exported() / "language_model.onnx", options, providers=["CPUExecutionProvider"]
    )
    kinds = [node.op_type for node in ir.load(tmp_path / "optimised.onnx").graph]
    # Two of a layer's input, two of its heads, and those of both outputs.
    norms = kinds.count("SimplifiedLayerNormalization")
    assert norms + kinds.count("SkipSimplifiedLayerNormalization") == 4 * CONFIG.num_layers + 2
    assert "Pow" not in kinds


def test_a_difference_is_told() -> None:
    """A graph of other weights is not passed: the check is one that can fail."""
    from motionrt.export.language_model import language_model_spec
    from motionrt.runtime.errors import ParityError

    state = make_model().state_dict()
    weights = Weights(Path("x"), {n: tuple(t.shape) for n, t in state.items()}, state.__getitem__)
    spec = language_model_spec(LanguageModelSource(CONFIG, weights, FIRST, COUNT))
    array = np.zeros((1, 1, 300), np.float32)
    with pytest.raises(ParityError):
        compare("logits", array + 0.1, array, spec)
