"""Distil the sentence encoder into a small Qwen3 with its own vocabulary and a projector.

What comes out is a text encoder directory in Hugging Face's layout and a linear projector into the
text space: what ``motionrt export kimodo --text-encoder DIR --projector FILE`` takes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

from motionrt.models.decoder_lm import DecoderConfig, DecoderLM
from motionrt.models.projector import LinearProjector, ProjectorConfig
from motionrt.models.text_encoder import TextEncoder
from motionrt.runtime.files import atomic_file, atomic_folder
from motionrt.train.default.resumable import ResumableTrainer

ENCODER_FOLDER = "text_encoder"
PROJECTOR_FILE = "projector.safetensors"
PAD_TOKEN = "<|endoftext|>"


@dataclass(frozen=True)
class StudentConfig:
    """Sizes and training of the small text encoder."""

    num_steps: int = 12_000
    batch_size: int = 128
    vocab_size: int = 4096
    hidden_size: int = 192
    intermediate_size: int = 512
    num_layers: int = 4
    num_heads: int = 4
    learning_rate: float = 1.5e-3
    warmup_steps: int = 200
    caption_share: float = 0.5
    """Rows that are captions of the motion data; the others come from the wide corpus."""
    ema_decay: float = 0.998
    seed: int = 0

    def decoder(self, vocab_size: int) -> DecoderConfig:
        """Give the sizes of the language model."""
        return DecoderConfig(
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            num_kv_heads=self.num_heads,
            head_dim=self.hidden_size // self.num_heads,
            rms_norm_eps=1e-6,
            rope_theta=10000.0,
            qk_norm=True,
        )


def state_file(texts: Sequence[str], targets: NDArray[np.float32]) -> str:
    """Name the state by what is learnt, so that other captions start a new distillation."""
    digest = hashlib.sha256("\n".join(texts).encode())
    digest.update(np.ascontiguousarray(targets).tobytes())
    return f"student-{digest.hexdigest()[:16]}.pt"


def train_tokenizer(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """Fit a byte-level BPE; every byte has a token, so every text can be written."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[PAD_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # The corpus is sorted so that its order does not decide between equally frequent pairs.
    tokenizer.train_from_iterator(sorted(set(texts)), trainer)
    return tokenizer


class StudentTrainer(ResumableTrainer):
    """Fits the student to target vectors."""

    model: TextEncoder

    def __init__(
        self,
        captions: tuple[Sequence[str], NDArray[np.float32]],
        corpus: tuple[Sequence[str], NDArray[np.float32]],
        config: StudentConfig,
        folder: Path,
        device: torch.device,
    ) -> None:
        """Take texts with their vectors in the text space; both lists are cleaned prompts."""
        texts = [*captions[0], *corpus[0]]
        targets = np.concatenate([captions[1], corpus[1]])
        super().__init__(folder / state_file(texts, targets), asdict(config), device)
        self.config, self.folder = config, folder
        self.num_captions = len(captions[0])
        self.targets = torch.from_numpy(targets).to(device)
        self.tokenizer = train_tokenizer(texts, config.vocab_size)
        self.ids, self.mask = self._encode(texts)
        model = self._new_model()
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "projector" not in name:
                nn.init.normal_(parameter, std=0.02 if "embed" in name else 0.04)
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=0.01,
            fused=True,
        )
        self.begin(model, [optimizer])

    def losses(self) -> dict[str, Tensor]:
        """Return the mean squared error of a batch of captions and other sentences."""
        config = self.config
        num_captions = round(config.batch_size * config.caption_share)
        rows = torch.cat(
            (
                self._random_rows(0, self.num_captions, num_captions),
                self._random_rows(
                    self.num_captions, len(self.targets), config.batch_size - num_captions
                ),
            )
        )
        length = int(self.mask[rows].sum(1).max())
        ids, mask = self.ids[rows, :length], self.mask[rows, :length]
        return {"total": (self.model(ids, mask, mask) - self.targets[rows]).square().mean()}

    def rate(self) -> float:
        """Return the learning rate: a rise, then half a cosine down to a hundredth."""
        config = self.config
        warm = min(1.0, (self.step + 1) / config.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / config.num_steps))
        return config.learning_rate * warm * (0.01 + 0.99 * cosine)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Map cleaned prompts to text vectors (N, width) with the averaged weights."""
        model = self._new_model()
        model.load_state_dict(self.ema)
        parts = []
        for start in range(0, len(texts), 512):
            ids, mask = self._encode(texts[start : start + 512])
            parts.append(model(ids, mask, mask).cpu().numpy())
        vectors: NDArray[np.float32] = np.concatenate(parts)
        return vectors

    def save(self) -> None:
        """Write the encoder directory, the projector and, last, the state.

        A run that is killed between them then goes on from the older state and writes all again.
        """
        self.write_encoder(self.folder / ENCODER_FOLDER, self.folder / PROJECTOR_FILE)
        super().save()

    def write_encoder(self, folder: Path, projector: Path) -> None:
        """Write config.json, model.safetensors, tokenizer.json, and the projector beside them."""
        config = self.config
        document = {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "vocab_size": self.tokenizer.get_vocab_size(),
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "num_key_value_heads": config.num_heads,
            "head_dim": config.hidden_size // config.num_heads,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "attention_bias": False,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
        }
        weights = {name: t.detach().float().cpu().contiguous() for name, t in self.ema.items()}
        parts = {
            name.removeprefix("backbone."): f"model.{name.removeprefix('backbone.')}"
            for name in weights
            if name.startswith("backbone.")
        }
        with atomic_folder(folder, replace=True) as place:
            (place / "config.json").write_text(json.dumps(document, indent=1), "utf-8")
            tensors = {stored: weights[f"backbone.{name}"] for name, stored in parts.items()}
            (place / "model.safetensors").write_bytes(save(tensors, {"format": "pt"}))
            (place / "tokenizer.json").write_text(self.tokenizer.to_str(pretty=True), "utf-8")
        write_linear_projector(projector, weights["projector.weight"], weights["projector.bias"])

    def _new_model(self) -> TextEncoder:
        config = self.config
        return TextEncoder(
            DecoderLM(config.decoder(self.tokenizer.get_vocab_size())),
            "mean",
            LinearProjector(ProjectorConfig("linear", config.hidden_size, self.targets.shape[1])),
        ).to(self.device)

    def _random_rows(self, start: int, stop: int, count: int) -> Tensor:
        return torch.randint(start, stop, (count,), generator=self.generator, device=self.device)

    def _encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        length = max(map(len, encoded))
        ids = torch.zeros(len(encoded), length, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(encoded):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        return ids.to(self.device), mask.to(self.device)


def read_student(folder: Path) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Read the encoder that a distillation wrote: cleaned prompts to text vectors (N, width)."""
    from motionrt.export.text_encoder import read_text_encoder

    source = read_text_encoder(folder / ENCODER_FOLDER, folder / PROJECTOR_FILE)

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        inputs = [torch.from_numpy(array) for array in source.tokenizer.encode(texts)]
        with torch.no_grad():
            vectors: NDArray[np.float32] = source.module(*inputs).numpy()
        return vectors

    return encode


def write_linear_projector(path: Path, weight: Tensor, bias: Tensor) -> None:
    """Write a linear projector, (out, in) and (out,), with the metadata that readers look for."""
    metadata = {"kind": "linear", "prompt_format": "plain"}
    with atomic_file(path) as temporary:
        tensors = {"weight": weight.float().contiguous(), "bias": bias.float().contiguous()}
        temporary.write_bytes(save(tensors, metadata))
