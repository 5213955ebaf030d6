"""A text encoder's files turned into what a bundle holds: module, tokenizer, rules.

Which reader is used follows from config.json: Qwen3, LLM2Vec (three directories), or BERT. Others
come as an ONNX graph in the layout of optimum, and so may these.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.nn import functional

from motionrt.export.framings import FRAME_TOKENS, FRAMES, FRAMINGS
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.onnx_backbone import GraphRunner, OnnxBackbone, continue_graph
from motionrt.export.readers.bert import read_bert
from motionrt.export.readers.licence import stated_licence
from motionrt.export.readers.llm2vec import read_llm2vec
from motionrt.export.readers.onnx_encoder import (
    ENDING,
    OnnxEncoder,
    find_onnx_encoder,
    read_onnx_encoder,
)
from motionrt.export.readers.projector import read_projector
from motionrt.export.readers.qwen3 import read_qwen3
from motionrt.export.readers.weights import Weights, open_checkpoint, read_json
from motionrt.export.streaming import (
    LARGE_BYTES,
    attach_streamed,
    hollow,
    trace_streamed,
    weights_bytes,
)
from motionrt.models.bert import Bert
from motionrt.models.decoder_lm import DecoderLayer, DecoderLM
from motionrt.models.pooling import POOLINGS, Pooling
from motionrt.models.projector import Projector
from motionrt.models.text_encoder import TextEncoder
from motionrt.runtime.bundle.manifest import AxisInfo
from motionrt.runtime.errors import BundleError, CheckpointError, InputError
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.hub import local_path
from motionrt.runtime.text.tokenizer import TextRules, TextTokenizer

LLM2VEC_FOLDERS = ("base", "mntp", "supervised")
"""Folders of an LLM2Vec that is given as one directory."""
LLM2VEC_SEPARATOR = "!@#$%^&*()"
GRAPH_NAME = "text_encoder"
CHECK_PROMPTS = (
    "A person walks forward.",
    "Someone jumps over a small obstacle, lands on both feet and turns to the left.",
    "Kick.",
    "An old man slowly sits down on a chair.",
    "A person waves with the right hand while walking in a circle, then stops and bows.",
    "A dancer spins twice and raises both arms.",
    "A soldier crawls under a fence. Then he runs.",
    "A person picks up 2 boxes from the floor and puts them on a shelf.",
)
"""What exported encoders are compared with their torch module on, and precisions are judged by."""
READ_TYPES = ("qwen3", "llama", "bert")
"""What config.json calls the models whose checkpoints are read."""
PROJECTOR_ENDINGS = (".safetensors", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class TextEncoderOptions:
    """Choices that a projector or a motion model was made with; defaults are the usual ones."""

    framing: str = "auto"
    """One of ``FRAMINGS``: auto is llama3-user for LLM2Vec and plain for the others."""
    instruction: str = ""
    """LLM2Vec: a sentence in front of the text, seen but not pooled."""
    pooling: str | None = None
    """One of ``pooling.POOLINGS``; None takes what the encoder's files say, else the mean."""
    pool_prefix: bool = False
    """Pool the frame and special tokens with the text."""
    pool_skip: int = 0
    """Leave so many of the first pooled tokens out."""
    repeat: bool = False
    """Write the text twice, pool the second."""
    output_layer: int = -1
    """Hidden state that is pooled, as in ``DecoderConfig``."""
    normalise: bool | None = None
    """Scale the pooled vector to length 1 before the projector; None takes the files' word."""
    max_tokens: int | None = None
    """Longest row; None is 512 or what the files say."""
    num_heads: int | None = None
    """Heads of an attention projector whose file does not say."""


@dataclass(frozen=True)
class TextEncoderSource:
    """A text encoder, read: everything an export needs, the weights not loaded yet."""

    kind: str
    """qwen3, llm2vec or bert; of a graph, what its config calls it."""
    name: str
    make_backbone: Callable[[], nn.Module]
    backbone_weights: Weights
    embedding_width: int
    """Width before the projector."""
    tokenizer_json: bytes
    rules: TextRules
    options: TextEncoderOptions
    projector: Projector | None = None
    projector_metadata: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    """Hash of config, tokenizer and the outer parts of the weight files: an identity."""
    folders: tuple[Path, ...] = ()
    """Where it came from."""
    licence: str = ""
    """Of its weights, as their model cards state it; empty if they state none."""
    onnx: OnnxEncoder | None = None
    """The backbone as a graph, where it came as one; ``backbone_weights`` is empty then."""
    reference: Path | None = None
    """A folder with the graph's weights as a checkpoint, which it is compared with."""

    @property
    def text_width(self) -> int:
        """Width of the vector that comes out."""
        return self.projector.config.out_dim if self.projector else self.embedding_width

    @cached_property
    def module(self) -> TextEncoder:
        """The torch module in float32 with its weights, loaded at first use."""
        encoder = self.make_module()
        self.weights.fill(encoder)
        return encoder.eval()

    def make_module(self) -> TextEncoder:
        """Return the module without its weights: make it on the meta device for a large one."""
        return TextEncoder(
            self.make_backbone(),
            str(self.options.pooling),
            self.projector,
            bool(self.options.normalise),
        )

    @property
    def weights(self) -> Weights:
        """Every tensor of ``module`` by its name there."""
        backbone = self.backbone_weights.renamed(lambda name: f"backbone.{name}")
        fused = (
            {f"projector.{name}": t for name, t in self.projector.state_dict().items()}
            if self.projector
            else {}
        )
        shapes = dict(backbone.shapes) | {name: tuple(t.shape) for name, t in fused.items()}

        def load(name: str) -> Tensor:
            return fused[name] if name in fused else backbone.load(name)

        return Weights(backbone.place, shapes, load)

    @property
    def tokenizer(self) -> TextTokenizer:
        """The runtime's tokenizer for it."""
        return TextTokenizer(self.tokenizer_json, self.rules)

    @property
    def manifest(self) -> dict[str, Any]:
        """What a bundle's manifest says of the encoder; ``rules`` is all that a host needs."""
        options = self.options
        projector: dict[str, Any] | None = None
        if self.projector:
            config = {k: v for k, v in self.projector.config.__dict__.items() if v}
            projector = {**config, "metadata": dict(self.projector_metadata)}
        return {
            "encoder": self.kind,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "licence": self.licence,
            "text_width": self.text_width,
            "embedding_width": self.embedding_width,
            "framing": options.framing,
            "instruction": options.instruction,
            "pooling": options.pooling,
            "output_layer": options.output_layer,
            "normalise": options.normalise,
            "rules": self.rules.to_dict(),
            "projector": projector,
        }


def read_text_encoder(
    directories: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    projector: str | os.PathLike[str] | None = None,
    options: TextEncoderOptions | None = None,
    reference: str | os.PathLike[str] | None = None,
) -> TextEncoderSource:
    """Read a text encoder from its directory, or LLM2Vec's three (base, MNTP, supervised).

    One directory with folders ``base``, ``mntp`` and ``supervised`` is LLM2Vec too. A directory
    without safetensors may hold an ONNX graph, as optimum writes it; the graph's file may be named
    as well. reference is a directory with its weights, to compare it with. A name that is no local
    directory is looked for on the Hugging Face hub. CheckpointError, on one line, if anything is
    missing, damaged or does not fit together.
    """
    options = options or TextEncoderOptions()
    _check_options(options)
    if isinstance(directories, (str, os.PathLike)):
        directories = [directories]
    if not directories:
        raise InputError("no text encoder directory given")
    graph = _find_graph(directories)
    if graph is not None:
        return _read_onnx(graph, projector, options, reference)
    if reference is not None:
        raise InputError("only a text encoder that is an ONNX graph is compared with a reference")
    places = [local_directory(place) for place in directories]
    if len(places) == 1 and all((places[0] / name).is_dir() for name in LLM2VEC_FOLDERS):
        places = [places[0] / name for name in LLM2VEC_FOLDERS]
    config_path = places[0] / "config.json"
    model_type = read_json(config_path).get("model_type")
    if model_type == "llama":
        source = _read_llm2vec(places, options)
    elif len(places) > 1:
        raise CheckpointError(f"{config_path}: model_type {model_type!r} takes no adapters")
    elif model_type == "qwen3":
        source = _read_qwen3(places[0], options)
    elif model_type == "bert":
        source = _read_bert(places[0], options)
    else:
        raise CheckpointError(
            f"{config_path}: model_type {model_type!r} is no text encoder this version reads "
            "(qwen3, llama for LLM2Vec, bert); others as optimum exports them, with --task "
            "feature-extraction"
        )
    if projector is not None:
        source = _with_projector(source, _projector_file(local_path(projector)))
    _check_tokenizer(source, places)
    stated = dict.fromkeys(filter(None, map(stated_licence, places)))
    return replace(
        source,
        fingerprint=fingerprint(places),
        folders=tuple(places),
        licence=", ".join(stated),
    )


def text_encoder_graph(source: TextEncoderSource) -> Graph:
    """Return the graph of an encoder: ids and masks (B, S) in, text_features (B, W) out.

    It is checked on a padded batch and on single prompts. Its module is the torch reference; that
    of an encoder above ``LARGE_BYTES`` loads its weights layer by layer when it runs.
    """
    ids = tuple(
        TensorSpec(name, ("batch", "tokens"), "int64")
        for name in ("input_ids", "attention_mask", "pool_mask")
    )
    spec = GraphSpec(
        name=GRAPH_NAME,
        inputs=ids,
        outputs=(TensorSpec("text_features", ("batch", source.text_width)),),
        # float32 rounding through some ten to forty layers, of values of order 1.
        atol=2e-4,
        rtol=1e-4,
        axes={"tokens": AxisInfo(largest=source.rules.max_tokens)},
    )
    batches = [CHECK_PROMPTS, CHECK_PROMPTS[:1], CHECK_PROMPTS[2:3]]
    checks = tuple(
        dict(zip((t.name for t in ids), map(torch.from_numpy, encoded), strict=True))
        for encoded in (source.tokenizer.encode(batch) for batch in batches)
    )
    if weights_bytes(source.weights) < LARGE_BYTES:
        return Graph(spec, source.module, checks)
    module = hollow(source.make_module)
    attach_streamed(module, source.weights, DecoderLayer)
    # One pass over the weights serves all prompts: further passes would cost minutes each.
    return Graph(spec, module, checks[:1])


def trace_text_encoder(source: TextEncoderSource, graph: Graph | None = None) -> ir.Model:
    """Return the encoder's ONNX model; weights are loaded one by one when it is saved."""
    graph = graph or text_encoder_graph(source)
    if source.onnx is not None:
        return continue_graph(source.onnx, source.module, graph)
    return trace_streamed(replace(graph, module=hollow(source.make_module)), source.weights)


def local_directory(place: str | os.PathLike[str]) -> Path:
    """Return a local directory; a name of the hub (``org/name@revision:folder``) is fetched.

    CheckpointError if there is none, HubError if it cannot be fetched.
    """
    path = local_path(place)
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such directory")
    return path


def fingerprint(places: Sequence[Path], graph: Sequence[Path] = ()) -> str:
    """Return a SHA-256 over the small files and the outer 64 KiB of the large ones.

    graph: the files of an encoder that came as one, in place of the safetensors.
    """
    digest = hashlib.sha256()
    for place in places:
        weights = list(graph) or sorted(place.glob("*.safetensors"))
        for path in [*sorted(place.glob("*.json")), *weights]:
            size = path.stat().st_size
            large = path in weights
            digest.update(f"{path.name}:{size};".encode())
            with path.open("rb") as file:
                digest.update(file.read(1 << 16 if large else -1))
                if large:
                    file.seek(max(size - (1 << 16), 0))
                    digest.update(file.read())
    return digest.hexdigest()


def _read_qwen3(place: Path, options: TextEncoderOptions) -> TextEncoderSource:
    checkpoint = read_qwen3(place, options.output_layer)
    framing = "plain" if options.framing == "auto" else options.framing
    prefix, suffix = FRAMES[framing]
    plain = framing == "plain" and not options.repeat
    rules = TextRules(
        prefix=prefix,
        suffix=suffix,
        max_tokens=options.max_tokens or 512,
        pool="all" if plain or options.pool_prefix else "text",
        pool_skip=options.pool_skip,
        repeat=options.repeat,
        pad_id=_pad_id(place, ("<|endoftext|>",)),
    )
    return TextEncoderSource(
        kind="qwen3",
        name=place.resolve().name,
        make_backbone=lambda: DecoderLM(checkpoint.config),
        backbone_weights=checkpoint.weights,
        embedding_width=checkpoint.config.hidden_size,
        tokenizer_json=_tokenizer_bytes(place),
        rules=rules,
        options=_settled(options, framing),
    )


def _read_llm2vec(places: list[Path], options: TextEncoderOptions) -> TextEncoderSource:
    checkpoint = read_llm2vec(places[0], tuple(places[1:]), options.output_layer)
    framing = "llama3-user" if options.framing == "auto" else options.framing
    prefix, suffix = FRAMES[framing]
    instruction = options.instruction.strip()
    settings: dict[str, Any] = {}
    for place in places[1:]:
        if (place / "llm2vec_config.json").is_file():
            settings |= read_json(place / "llm2vec_config.json")
    if options.pooling is None:
        names = {"eos_token": "last_token", "bos_token": "first_token"}
        stored = str(settings.get("pooling_mode", "mean"))
        options = replace(options, pooling=names.get(stored, stored))
    pool_prefix = options.pool_prefix or settings.get("skip_instruction", True) is False
    # The adapter's folder carries the tokenizer that was used with it.
    holders = [place for place in places[1:2] + places[:1] if (place / "tokenizer.json").is_file()]
    holder = holders[0] if holders else places[0]
    rules = TextRules(
        prefix=prefix + (f"{instruction} " if instruction else ""),
        suffix=suffix,
        trim_end=framing != "plain",
        special_tokens=True,
        max_tokens=options.max_tokens or int(settings.get("max_length", 512)),
        text_tokens=int(settings.get("doc_max_length", 400)),
        separator=LLM2VEC_SEPARATOR,
        pool="all" if pool_prefix else "text",
        pool_skip=options.pool_skip,
        repeat=options.repeat,
        pad_id=_pad_id(holder, ("<|eot_id|>", "<|end_of_text|>")),
    )
    return TextEncoderSource(
        kind="llm2vec",
        name=places[-1].resolve().name if len(places) == 1 else places[0].resolve().parent.name,
        make_backbone=lambda: DecoderLM(checkpoint.config),
        backbone_weights=checkpoint.weights,
        embedding_width=checkpoint.config.hidden_size,
        tokenizer_json=_tokenizer_bytes(holder),
        rules=rules,
        options=_settled(options, framing),
    )


def _read_bert(place: Path, options: TextEncoderOptions) -> TextEncoderSource:
    if options.framing not in ("auto", "plain") or options.output_layer != -1:
        raise InputError("a BERT encoder takes neither a framing nor an output layer")
    checkpoint = read_bert(place)
    rules = TextRules(
        special_tokens=True,
        max_tokens=min(
            options.max_tokens or checkpoint.max_tokens, checkpoint.config.max_positions
        ),
        pool_skip=options.pool_skip,
        pad_id=_pad_id(place, ("[PAD]",)),
    )
    normalise = checkpoint.normalise if options.normalise is None else options.normalise
    pooling = options.pooling or checkpoint.pooling
    return TextEncoderSource(
        kind="bert",
        name=place.resolve().name,
        make_backbone=lambda: Bert(checkpoint.config),
        backbone_weights=checkpoint.weights,
        embedding_width=checkpoint.config.hidden_size,
        tokenizer_json=_tokenizer_bytes(place),
        rules=rules,
        options=_settled(replace(options, normalise=normalise, pooling=pooling), "plain"),
    )


def _find_graph(directories: Sequence[str | os.PathLike[str]]) -> Path | None:
    """Return the graph that one place means, None if it is a checkpoint (or if there are more)."""
    if len(directories) != 1:
        return None
    place = local_path(directories[0])
    if not place.is_dir():
        return place if place.suffix == ENDING else None
    # A repository of a hub has both; the checkpoint is what this module knows all of.
    config = place / "config.json"
    stored = any(place.glob("*.safetensors")) or any(place.glob("*.safetensors.index.json"))
    if stored and config.is_file() and read_json(config).get("model_type") in READ_TYPES:
        return None
    return find_onnx_encoder(place)


def _read_onnx(
    path: Path,
    projector: str | os.PathLike[str] | None,
    options: TextEncoderOptions,
    reference: str | os.PathLike[str] | None,
) -> TextEncoderSource:
    if options.output_layer != -1:
        raise InputError(f"{path}: a graph gives its last hidden states, no other layer's")
    encoder = read_onnx_encoder(path)
    settings = encoder.settings
    framing = "plain" if options.framing == "auto" else options.framing
    prefix, suffix = FRAMES[framing]
    instruction = f"{options.instruction.strip()} " if options.instruction.strip() else ""
    prompt = instruction or (settings.prompt if options.framing == "auto" else "")
    plain = framing == "plain" and not options.repeat and not instruction
    pool_all = options.pool_prefix or (plain and settings.pool_prompt)
    rules = TextRules(
        prefix=prefix + prompt,
        suffix=suffix,
        special_tokens=True,
        max_tokens=options.max_tokens or encoder.max_tokens,
        pool="all" if pool_all else "text",
        pool_skip=options.pool_skip,
        repeat=options.repeat,
        pad_id=_pad_id(encoder.folder, ("<|endoftext|>", "[PAD]", "<pad>")),
    )
    runner = GraphRunner(encoder)
    source = TextEncoderSource(
        kind=encoder.model_type,
        name=encoder.folder.resolve().name,
        make_backbone=lambda: OnnxBackbone(runner),
        backbone_weights=Weights(path, {}, _no_tensor),
        embedding_width=encoder.width,
        tokenizer_json=_tokenizer_bytes(encoder.folder),
        rules=rules,
        options=options,
        fingerprint=fingerprint([encoder.folder], encoder.files),
        folders=(encoder.folder,),
        licence=stated_licence(encoder.folder),
        onnx=encoder,
        reference=_reference(encoder, reference),
    )
    _check_tokenizer(source, [encoder.folder])
    pooling, normalise = options.pooling or settings.pooling, options.normalise
    if normalise is None:
        normalise = settings.normalise
    if pooling is None and encoder.sentence is not None:
        pooling, normalise = own_pooling(runner, source.tokenizer)
    settled = replace(options, pooling=pooling, normalise=normalise, instruction=prompt.strip())
    source = replace(source, options=_settled(settled, framing))
    if projector is not None:
        source = _with_projector(source, _projector_file(local_path(projector)))
    return source


def own_pooling(runner: GraphRunner, tokenizer: TextTokenizer) -> tuple[str, bool]:
    """Return how a graph pools its hidden states itself, and whether it normalises.

    CheckpointError if it does something else: a layer stands behind, or part of the text is left
    out.
    """
    encoder = runner.encoder
    assert encoder.sentence is not None
    ids, mask, _ = tokenizer.encode(CHECK_PROMPTS[:4])
    hidden, wanted = map(
        torch.from_numpy, runner.run(ids, mask, [encoder.hidden, encoder.sentence])
    )
    real = torch.from_numpy(mask)
    near = 1e-3 if encoder.precision == "fp32" else 1e-2
    for mode in POOLINGS:
        pooled = Pooling(mode)(hidden, real, real)
        for normalise in (False, True):
            found = functional.normalize(pooled, dim=-1) if normalise else pooled
            if found.shape == wanted.shape and (found - wanted).norm() <= near * wanted.norm():
                return mode, normalise
    raise CheckpointError(
        f"{encoder.path}: {encoder.sentence} is no pooling of {encoder.hidden} that is known "
        f"({', '.join(POOLINGS)}); take a graph without layers behind the encoder"
    )


def _no_tensor(name: str) -> Tensor:
    raise KeyError(name)


def _reference(encoder: OnnxEncoder, named: str | os.PathLike[str] | None) -> Path | None:
    """Return where an encoder's weights are as a checkpoint: where it is said, or beside it."""
    if named is not None:
        place = local_directory(named)
        open_checkpoint(place)
        return place
    found = any(encoder.folder.glob("model*.safetensors"))
    return encoder.folder if found else None


def _settled(options: TextEncoderOptions, framing: str) -> TextEncoderOptions:
    return replace(
        options,
        framing=framing,
        pooling=options.pooling or "mean",
        normalise=bool(options.normalise),
    )


def _projector_file(path: Path) -> Path:
    """Return a projector's file: the path, or the one of the folder; CheckpointError if not one."""
    if not path.is_dir():
        return path
    files = sorted(file for file in path.iterdir() if file.suffix in PROJECTOR_ENDINGS)
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "no .safetensors or .pt file"
        raise CheckpointError(f"{path}: holds {names}; name the projector's file")
    return files[0]


def _with_projector(source: TextEncoderSource, path: Path) -> TextEncoderSource:
    projector, metadata = read_projector(path, source.options.num_heads)
    if projector.config.in_dim != source.embedding_width:
        raise CheckpointError(
            f"{path}: takes {projector.config.in_dim} features, the encoder {source.name} "
            f"gives {source.embedding_width}"
        )
    stated = metadata.get("prompt_format")
    if stated is not None and stated != source.options.framing:
        raise CheckpointError(
            f"{path}: was trained with prompts framed {stated!r}, "
            f"the encoder is read with {source.options.framing!r}"
        )
    return replace(source, projector=projector, projector_metadata=metadata)


def _check_tokenizer(source: TextEncoderSource, places: Sequence[Path]) -> None:
    try:
        tokenizer = source.tokenizer
    except BundleError as error:
        raise CheckpointError(f"{places[0]}: {error}") from None
    rows = source.onnx.vocab_size if source.onnx else _table_rows(source.backbone_weights)
    if not 0 < tokenizer.vocab_size <= rows:
        raise CheckpointError(
            f"{places[0]}: the tokenizer has ids up to {tokenizer.vocab_size - 1}, the model "
            f"knows {rows}; it is another model's tokenizer"
        )
    missing = [
        token
        for token in FRAME_TOKENS.get(source.options.framing, ())
        if tokenizer.token_id(token) is None
    ]
    if missing:
        raise CheckpointError(
            f"{places[0]}: the tokenizer lacks {', '.join(missing)}, which framing "
            f"{source.options.framing} needs"
        )
    if source.kind == "llm2vec" and not tokenizer.encode([""])[1].any():
        raise CheckpointError(
            f"{places[0]}: the tokenizer puts no token at the beginning of a text"
        )


def _table_rows(weights: Weights) -> int:
    endings = ("embed_tokens.weight", "word_embeddings.weight")
    return next(shape[0] for name, shape in weights.shapes.items() if name.endswith(endings))


def _tokenizer_bytes(place: Path) -> bytes:
    refuse_lfs_pointer(place / "tokenizer.json", CheckpointError)
    try:
        return (place / "tokenizer.json").read_bytes()
    except OSError as error:
        raise CheckpointError(f"{place / 'tokenizer.json'}: {error.strerror}") from None


def _pad_id(place: Path, fallbacks: tuple[str, ...]) -> int:
    """Return the padding token's id: any will do, since padding is masked."""
    path = place / "tokenizer_config.json"
    named = read_json(path).get("pad_token") if path.is_file() else None
    if isinstance(named, dict):
        named = named.get("content")
    data = _tokenizer_bytes(place)
    try:
        tokenizer = TextTokenizer(data, TextRules())
    except BundleError as error:
        raise CheckpointError(f"{place}: {error}") from None
    for token in (named, *fallbacks):
        found = tokenizer.token_id(token) if isinstance(token, str) else None
        if found is not None:
            return found
    return 0


def _check_options(options: TextEncoderOptions) -> None:
    if options.framing not in FRAMINGS:
        raise InputError(f"framing {options.framing!r}: none of {', '.join(FRAMINGS)}")
    if options.pooling is not None and options.pooling not in POOLINGS:
        raise InputError(f"pooling {options.pooling!r}: none of {', '.join(POOLINGS)}")
    if options.pool_skip < 0 or (options.max_tokens is not None and options.max_tokens < 1):
        raise InputError("pool_skip and max_tokens must be positive")
