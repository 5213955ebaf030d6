"""MotionGPT with Qwen3 at 0.6 billion parameters: transformers eager against bundles.

    python benchmarks/motiongpt_qwen.py [--rounds 3] [--threads 2] [--only int4,genai,…] [--write]

Random weights, one text; contenders read a prompt of 40 tokens, say 20 words and 20 codes (a bundle
leaves out the head of the vocabulary inside a motion), and make a motion of 60 codes without
thinking, as a user asks for it. transformers makes the tokens of such a motion alone. Where
onnxruntime-genai is installed it is measured too. Every contender stays loaded in a process of its
own, for its memory, and takes turns with the others; a round's ratios are taken within the round.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from results import write_section

from motionrt.runtime.benchmark import describe_machine, peak_memory_mb
from motionrt.runtime.errors import MotionWarning

HEADING = "MotionGPT with Qwen3"
CONTENDERS = {
    "eager-fp32": "transformers eager, float32",
    "eager-bf16": "transformers eager, bfloat16",
    "fp32": "bundle, fp32",
    "int8": "bundle, int8",
    "int4-mixed": "bundle, int4-mixed",
    "int4": "bundle, int4",
    "genai": "onnxruntime-genai, int4",
}
EXACT = ("eager-fp32", "fp32", "eager-bf16")
"""Whose logits the others are compared with: the first that runs."""
PRECISIONS = ("fp32", "int8", "int4-mixed", "int4")
PROMPT = "a person walks in a circle and then sits down on a chair"
PROMPT_TOKENS, WORDS, CODES = 40, 20, 60
NUM_BASE_TOKENS, ROWS = 151669, 152184
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_act": "silu",
    "attention_bias": False,
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": ROWS,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
}
SAMPLING = {"temperature": 0.6, "top_k": 20, "top_p": 0.95}
Logits = NDArray[np.float32]


class Speaker(Protocol):
    """A language model that is loaded."""

    def read(self, ids: Sequence[int]) -> Logits:
        """Begin anew with a prompt; return the logits (V,) of what follows."""

    def say(self, ids: Sequence[int], codes: bool) -> None:
        """Run on over tokens one by one; codes: inside a motion."""

    def move(self) -> None:
        """Make a motion of CODES codes, start and end beside them."""


def main() -> None:
    """Prepare, measure, print the table, and with --write put it into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, help="keep model and bundles here (6 GB)")
    parser.add_argument("--only", help="of these contenders alone, with commas between")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        serve(options.contender, options.folder)
        return
    if options.prepare:
        prepare(options.folder, options.only.split(","))
        return
    named = options.only.split(",") if options.only else list(CONTENDERS)
    if unknown := set(named) - CONTENDERS.keys():
        parser.error(f"--only: no {', '.join(sorted(unknown))} among {', '.join(CONTENDERS)}")
    names = [name for name in contenders() if name in named]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        # Elsewhere, because a process counts the memory of the one that it was forked from.
        itself = [sys.executable, __file__, "--folder", str(folder)]
        subprocess.run([*itself, "--prepare", "--only", ",".join(names)], check=True)
        text = report(measure(folder, names, options), options)
    print(text)
    if options.write:
        write_section(HEADING, text)


def contenders() -> list[str]:
    """Return those that can run here."""
    missing = importlib.util.find_spec("onnxruntime_genai") is None
    return [name for name in CONTENDERS if not (missing and name == "genai")]


def prepare(folder: Path, names: Sequence[str]) -> None:
    """Write the model, the bundles, and onnxruntime-genai's form, unless they are there."""
    if not (folder / "prompt.json").is_file():
        write_model(folder)
    export = [sys.executable, "-m", "motionrt", "export", "motiongpt-qwen", "--lm"]
    export += [str(folder / "lm"), "--vq", str(folder / "vq.safetensors")]
    export += ["--mean", str(folder / "mean.npy"), "--std", str(folder / "std.npy")]
    for name in names:
        target = folder / name
        if name in PRECISIONS and not (target / "manifest.json").is_file():
            subprocess.run([*export, "--precision", name, "-o", str(target)], check=True)
        if name == "genai" and not (target / "genai_config.json").is_file():
            build = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
            build += ["-i", str(folder / "lm"), "-o", str(target), "-p", "int4", "-e", "cpu"]
            built = subprocess.run(build, capture_output=True, text=True)
            if built.returncode:
                raise SystemExit(built.stderr)


def write_model(folder: Path) -> None:
    """Write random weights: the language model's directory, the motion tokenizer, a prompt."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer

    from motionrt.export.readers.decoder_lm import decoder_config, expected_shapes
    from motionrt.models.motion_vq import MotionVq, MotionVqConfig
    from motionrt.runtime.motiongpt_qwen.chat import Message, render

    torch.manual_seed(0)
    place = folder / "lm"
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (place / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    sampling = {"do_sample": True, "eos_token_id": 151645, "pad_token_id": 151643, **SAMPLING}
    (place / "generation_config.json").write_text(json.dumps(sampling), "utf-8")
    shapes = expected_shapes(decoder_config(CONFIG, place / "config.json"))
    weights = {
        f"model.{name}": (torch.randn(shape) * deviation_of(name)).to(torch.bfloat16)
        if len(shape) > 1
        else torch.ones(shape, dtype=torch.bfloat16)
        for name, shape in shapes.items()
    }
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    vq = MotionVq(MotionVqConfig(263, 512, 512, 512, 2, 2, 3, 3))
    save_file({n: t.contiguous() for n, t in vq.state_dict().items()}, folder / "vq.safetensors")
    np.save(folder / "mean.npy", np.zeros(263, np.float32))
    np.save(folder / "std.npy", np.ones(263, np.float32))
    prompt = render([Message("user", f"Generate motion: {PROMPT}")], False)
    write_tokenizer(place / "tokenizer.json", prompt)
    ids = Tokenizer.from_file(str(place / "tokenizer.json")).encode(prompt).ids
    (folder / "prompt.json").write_text(json.dumps(ids), "utf-8")


def deviation_of(name: str) -> float:
    """Return the spread of a weight: tokens outweigh what layers add, as in trained models.

    Where layers add noise alone, that of 4 bits adds up to more than an export allows.
    """
    if name == "embed_tokens.weight":
        return 0.5
    adds = name.endswith(("o_proj.weight", "down_proj.weight"))
    return 0.02 / (2 * CONFIG["num_hidden_layers"]) ** 0.5 if adds else 0.02


def write_tokenizer(path: Path, prompt: str) -> None:
    """Write a tokenizer of Qwen3's size in which each word of the prompt is one token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [word for word, _ in pieces.pre_tokenize_str(prompt)]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*words, "Ċ", "ĊĊ", "?"]))}
    vocabulary |= {f"unused{i}": i for i in range(len(vocabulary), NUM_BASE_TOKENS - 26)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pieces
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    others = [*(f"<|other_{i}|>" for i in range(21)), "<think>", "</think>"]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in others])
    tokenizer.save(str(path))


def measure(folder: Path, names: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Let the contenders take turns."""
    threads = str(options.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MOTIONRT_THREADS": threads}
    processes = {}
    for name in names:
        command = [sys.executable, __file__, "--contender", name, "--folder", str(folder)]
        processes[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        # One after another: loading is not to be disturbed by the others.
        ask(processes[name], "load")
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in processes}
    for _ in range(options.rounds):
        for name, process in processes.items():
            rounds[name].append(ask(process, "run"))
    told = {name: ask(process, "tell") for name, process in processes.items()}
    for process in processes.values():
        process.communicate("stop\n")
    logits = {name: np.load(folder / f"logits-{name}.npy") for name in processes}
    exact = logits[next(name for name in EXACT if name in logits)]
    off = {
        name: float(np.linalg.norm(array - exact) / np.linalg.norm(exact))
        for name, array in logits.items()
    }
    return {"rounds": rounds, "told": told, "off": off}


def ask(process: subprocess.Popen[str], order: str) -> Any:
    """Give a contender an order; return its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(order + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def serve(name: str, folder: Path) -> None:
    """Be a contender: obey the orders on standard input, one JSON line each."""
    rng = np.random.default_rng(0)
    prompt: list[int] = rng.integers(0, 151643, PROMPT_TOKENS).tolist()
    words: list[int] = rng.integers(0, 151643, WORDS).tolist()
    codes: list[int] = rng.integers(NUM_BASE_TOKENS, ROWS - 3, WORDS).tolist()
    makers = {"eager-fp32": Eager, "eager-bf16": Eager, "genai": Genai}
    speaker: Any = None
    told: dict[str, Any] = {}
    for order in sys.stdin:
        answer: Any = {}
        if order == "load\n":
            start = time.perf_counter()
            speaker = makers.get(name, OfBundle)(folder, name)
            told["load"] = time.perf_counter() - start
            np.save(folder / f"logits-{name}.npy", speaker.read(prompt))
            speaker.say(words[:2], False)
            speaker.say(codes[:2], True)
        elif order == "run\n":
            answer = timed(speaker, prompt, words, codes)
        elif order == "tell\n":
            answer = {**told, **memory_mb()}
        else:
            return
        print(json.dumps(answer), flush=True)


def timed(
    speaker: Speaker, prompt: list[int], words: list[int], codes: list[int]
) -> dict[str, float]:
    """Return seconds of the prompt, a word, a code and a motion, on the clock and of CPU."""
    found: dict[str, float] = {}

    def lap(name: str, work: Callable[[], object], count: int) -> None:
        cpu, start = time.process_time(), time.perf_counter()
        work()
        found[name] = (time.perf_counter() - start) / count
        found[f"{name}_cpu"] = (time.process_time() - cpu) / count

    lap("prompt", lambda: speaker.read(prompt), 1)
    lap("word", lambda: speaker.say(words, False), len(words))
    speaker.read(prompt)
    lap("code", lambda: speaker.say(codes, True), len(codes))
    lap("motion", speaker.move, 1)
    return found


class OfBundle:
    """A bundle through the runtime."""

    def __init__(self, folder: Path, name: str) -> None:
        """Load it."""
        from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline

        self._pipeline = MotionGptQwenPipeline.load(folder / name, backend="cpu")
        self._cache = self._pipeline.new_cache()

    def read(self, ids: Sequence[int]) -> Logits:
        """Forget, and read the prompt."""
        self._cache.forget([0])
        found: Logits = self._cache.read([list(ids)])[0]
        return found

    def say(self, ids: Sequence[int], codes: bool) -> None:
        """Read token by token."""
        for token in ids:
            self._cache.read([[token]], short=codes)

    def move(self) -> None:
        """Generate as a user does: prompt to joints and rotations."""
        frames = CODES * self._pipeline.code.frames_per_token
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MotionWarning)  # random weights, and 12 s
            motion = self._pipeline.generate(
                PROMPT, frames / self._pipeline.fps, seed=0, thinking=False
            )
        assert motion.num_frames == frames


class Eager:
    """Transformers, as upstream runs it."""

    def __init__(self, folder: Path, name: str) -> None:
        """Load it in the type that its name ends with."""
        import torch
        from transformers import AutoModelForCausalLM

        kind = torch.bfloat16 if name.endswith("bf16") else torch.float32
        self._torch = torch
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder / "lm", dtype=kind, attn_implementation="eager"
        )
        self._prompt: list[int] = json.loads((folder / "prompt.json").read_text("utf-8"))
        self._past: Any = None

    def read(self, ids: Sequence[int]) -> Logits:
        """Forget, and read the prompt."""
        self._past = None
        return self._step(list(ids))

    def say(self, ids: Sequence[int], codes: bool) -> None:
        """Read token by token; all of the head is always computed."""
        for token in ids:
            self._step([token])

    def move(self) -> None:
        """Sample as many tokens as a motion has."""
        count = CODES + 2
        ids = self._torch.tensor([self._prompt])
        options = {**SAMPLING, "min_new_tokens": count, "max_new_tokens": count}
        found = self._model.generate(ids, do_sample=True, pad_token_id=151643, **options)
        assert found.shape[1] == len(self._prompt) + count

    def _step(self, ids: list[int]) -> Logits:
        with self._torch.inference_mode():
            found = self._model(
                input_ids=self._torch.tensor([ids]),
                past_key_values=self._past,
                use_cache=True,
                logits_to_keep=1,
            )
        self._past = found.past_key_values
        logits: Logits = found.logits[0, -1].float().numpy()
        return logits


class Genai:
    """The same weights by onnxruntime-genai's own builder and loop."""

    def __init__(self, folder: Path, name: str) -> None:
        """Load it, with as many threads as the others."""
        path = folder / name / "genai_config.json"
        config = json.loads(path.read_text("utf-8"))
        threads = int(os.environ["OMP_NUM_THREADS"])
        config["model"]["decoder"]["session_options"]["intra_op_num_threads"] = threads
        path.write_text(json.dumps(config, indent=1), "utf-8")
        self._package: Any = importlib.import_module("onnxruntime_genai")
        self._model = self._package.Model(str(folder / name))
        self._prompt: list[int] = json.loads((folder / "prompt.json").read_text("utf-8"))
        self._generator: Any = None

    def read(self, ids: Sequence[int]) -> Logits:
        """Begin a generation with the prompt."""
        self._begin(ids, do_sample=False)
        found: Logits = np.asarray(self._generator.get_output("logits"), np.float32)[0, -1]
        return found

    def say(self, ids: Sequence[int], codes: bool) -> None:
        """Choose the likeliest, and run on: all of the head is always computed."""
        for _ in ids:
            self._generator.generate_next_token()

    def move(self) -> None:
        """Sample as many tokens as a motion has."""
        self._begin(self._prompt, do_sample=True, **SAMPLING)
        for _ in range(CODES + 2):
            self._generator.generate_next_token()

    def _begin(self, ids: Sequence[int], **search: Any) -> None:
        parameters = self._package.GeneratorParams(self._model)
        parameters.set_search_options(max_length=512, min_length=512, **search)
        self._generator = self._package.Generator(self._model, parameters)
        self._generator.append_tokens(np.array([ids], np.int32))


def memory_mb() -> dict[str, float]:
    """Return what is resident now, and at most."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return {
        "resident_mb": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "peak_mb": peak_memory_mb() or float("nan"),
    }


def report(found: dict[str, Any], options: argparse.Namespace) -> str:
    """Write the section of RESULTS.md."""
    machine = describe_machine()
    rounds, told = found["rounds"], found["told"]

    def median(name: str, key: str) -> float:
        return float(statistics.median(row[key] for row in rounds[name]))

    def speed(name: str, base: str, key: str) -> str:
        """Write how many times as fast, on the clock and by processor time."""
        ratios = []
        for kind in (key, f"{key}_cpu"):
            pairs = zip(rounds[base], rounds[name], strict=True)
            ratios.append(statistics.median(theirs[kind] / ours[kind] for theirs, ours in pairs))
        return f"{ratios[0]:.1f}x ({ratios[1]:.1f}x)"

    write = f" --only {options.only}" if options.only else ""
    write += " --write" if options.write else ""
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine['processor']}, {options.threads} threads, "
        f"onnxruntime {machine['onnxruntime']}, load average {machine['load_average']:.1f} on "
        f"{machine['cores']} cores; 0.6 billion random weights, a prompt of {PROMPT_TOKENS} "
        f"tokens, then {WORDS} more, and a motion of {CODES} codes without thinking; medians of "
        f"{options.rounds} rounds of `python benchmarks/motiongpt_qwen.py --rounds "
        f"{options.rounds} --threads {options.threads}{write}`. A word takes the whole head, a "
        "code of a bundle that of the motion tokens. Where the load is above the number of "
        "threads, processor time says more than the clock.",
        "",
        "| | prompt, s | words/s | codes/s | CPU ms a word | a code | a motion, s | CPU s | "
        "resident (peak), MB | load, s | logits off |",
        "| --- |" + " ---: |" * 10,
    ]
    for name in rounds:
        cells = [
            CONTENDERS[name],
            f"{median(name, 'prompt'):.2f}",
            f"{1 / median(name, 'word'):.1f}",
            f"{1 / median(name, 'code'):.1f}",
            f"{1000 * median(name, 'word_cpu'):.0f}",
            f"{1000 * median(name, 'code_cpu'):.0f}",
            f"{median(name, 'motion'):.1f}",
            f"{median(name, 'motion_cpu'):.1f}",
            f"{told[name]['resident_mb']:.0f} ({told[name]['peak_mb']:.0f})",
            f"{told[name]['load']:.1f}",
            f"{found['off'][name]:.1e}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    bases = [name for name in rounds if name.startswith("eager")]
    columns = [f"{what}, {CONTENDERS[base]}" for base in bases for what in ("codes", "words")]
    lines += [
        "",
        "Times as fast, on the clock (by processor time):",
        "",
        f"| | {' | '.join(columns)} |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name in rounds:
        if name not in bases:
            cells = [speed(name, base, key) for base in bases for key in ("code", "word")]
            lines.append(f"| {CONTENDERS[name]} | {' | '.join(cells)} |")
    lines += ["", "The goal is 3x in int8 or int4, below 1000 MB, and a motion within 4 s."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
