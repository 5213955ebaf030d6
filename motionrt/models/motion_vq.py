"""Motion tokenizers: clips of features <-> ids of a codebook, by convolutions over time.

Two architectures: HumanML3D's, with residual stacks, and the MyoSkeleton's, which is plain.
Parameter names are those of the published code, without its leading ``vae.``. Sources: van den Oord
2017, arXiv:1711.00937; Zhang 2023, arXiv:2301.06052 (HumanML3D's); Jiang 2023, arXiv:2306.14795.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}
NORMS = ("none", "layer", "group", "batch")
GROUPS, NORM_EPS = 32, 1e-6


@dataclass(frozen=True)
class MotionVqConfig:
    """Sizes of a tokenizer: most of them are a checkpoint's tensors'."""

    num_features: int
    width: int
    code_dim: int
    num_codes: int
    num_halvings: int
    """Blocks that halve the frames; the MyoSkeleton's has one."""
    stride: int
    depth: int
    """Layers of a residual stack, or of all of the MyoSkeleton's encoder."""
    dilation_growth: int
    activation: str = "relu"
    """A key of ``ACTIVATIONS``."""
    norm: str = "none"
    """One of ``NORMS``."""


class Codebook(nn.Module):
    """The codes, and which of them is nearest."""

    codebook: Tensor

    def __init__(self, num_codes: int, code_dim: int) -> None:
        """Make num_codes codes of code_dim numbers."""
        super().__init__()
        self.register_buffer("codebook", torch.zeros(num_codes, code_dim))

    def nearest(self, latents: Tensor) -> Tensor:
        """Return the ids (...) of the codes nearest to latents (..., C), the lowest of equals."""
        distances = (
            latents.square().sum(-1, keepdim=True)
            - 2 * latents @ self.codebook.T
            + self.codebook.square().sum(-1)
        )
        return distances.argmin(-1)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the codes (..., C) of ids (...)."""
        return nn.functional.embedding(ids, self.codebook)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, T)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every frame."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def make_norm(kind: str, width: int) -> nn.Module:
    """Return a norm of ``NORMS`` for (B, width, T)."""
    if kind == "layer":
        return ChannelNorm(width)
    if kind == "group":
        return nn.GroupNorm(GROUPS, width, eps=NORM_EPS)
    if kind == "batch":
        return nn.BatchNorm1d(width, eps=NORM_EPS)
    return nn.Identity()


class ResidualLayer(nn.Module):
    """Two convolutions, the first dilated, added to their input."""

    def __init__(self, config: MotionVqConfig, dilation: int) -> None:
        """Make a layer."""
        super().__init__()
        width = config.width
        self.norm1 = make_norm(config.norm, width)
        self.norm2 = make_norm(config.norm, width)
        self.activation = ACTIVATIONS[config.activation]()
        self.conv1 = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, T) to the same shape."""
        hidden = self.conv1(self.activation(self.norm1(x)))
        out: Tensor = x + self.conv2(self.activation(self.norm2(hidden)))
        return out


class ResidualStack(nn.Module):
    """Residual layers whose dilation shrinks, in the encoder as in the decoder."""

    def __init__(self, config: MotionVqConfig) -> None:
        """Make depth layers."""
        super().__init__()
        self.model = nn.Sequential(
            *(
                ResidualLayer(config, config.dilation_growth**i)
                for i in reversed(range(config.depth))
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, T) to the same shape."""
        out: Tensor = self.model(x)
        return out


class Doubling(nn.Module):
    """Every frame twice."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T) to (B, C, 2 T)."""
        batch, channels, frames = x.shape
        return x.unsqueeze(-1).expand(-1, -1, -1, 2).reshape(batch, channels, 2 * frames)


class _Convolutions(nn.Module):
    """A sequence of convolutions, as the published code names it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T) to (B, C', T')."""
        out: Tensor = self.model(x)
        return out


def _encoder(config: MotionVqConfig) -> _Convolutions:
    width, stride = config.width, config.stride
    blocks = [
        nn.Sequential(
            nn.Conv1d(width, width, 2 * stride, stride, stride // 2), ResidualStack(config)
        )
        for _ in range(config.num_halvings)
    ]
    return _Convolutions(
        nn.Conv1d(config.num_features, width, 3, padding=1),
        nn.ReLU(),
        *blocks,
        nn.Conv1d(width, config.code_dim, 3, padding=1),
    )


def _decoder(config: MotionVqConfig) -> _Convolutions:
    width = config.width
    blocks = [
        nn.Sequential(ResidualStack(config), Doubling(), nn.Conv1d(width, width, 3, padding=1))
        for _ in range(config.num_halvings)
    ]
    return _Convolutions(
        nn.Conv1d(config.code_dim, width, 3, padding=1),
        nn.ReLU(),
        *blocks,
        nn.Conv1d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv1d(width, config.num_features, 3, padding=1),
    )


class MotionVq(nn.Module):
    """A tokenizer of HumanML3D features: 2^num_halvings frames a token.

    There is no mask: the ends of a clip are zeros to the convolutions, so every clip of a batch is
    as long as it is.
    """

    def __init__(self, config: MotionVqConfig) -> None:
        """Make both halves and the codebook."""
        super().__init__()
        self.config = config
        self.encoder: nn.Module = _encoder(config)
        self.decoder: nn.Module = _decoder(config)
        self.quantizer = Codebook(config.num_codes, config.code_dim)

    @property
    def frames_per_token(self) -> int:
        """Frames that one id becomes."""
        return int(2**self.config.num_halvings)

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return ids (B, S) and the latents (B, S, C) that they stand for.

        features is (B, T, D), normalised; S is T halved and rounded down num_halvings times.
        """
        latents = self.latents(features)
        return self.quantizer.nearest(latents), latents

    def latents(self, features: Tensor) -> Tensor:
        """Return the latents (B, S, C) of features (B, T, D)."""
        encoded: Tensor = self.encoder(features.transpose(1, 2)).transpose(1, 2)
        return encoded

    def decode(self, ids: Tensor) -> Tensor:
        """Return the normalised features (B, frames_per_token S, D) of ids (B, S)."""
        decoded: Tensor = self.decoder(self.quantizer(ids).transpose(1, 2)).transpose(1, 2)
        return decoded


class _MyoHalf(nn.Module):
    """Convolutions between two maps of each frame."""

    def __init__(self, inputs: int, config: MotionVqConfig, outputs: int) -> None:
        super().__init__()
        self.input_proj = nn.Linear(inputs, config.width)
        self.output_proj = nn.Linear(config.width, outputs)

    conv_layers: nn.Sequential

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, inputs) to (B, T', outputs)."""
        hidden = self.conv_layers(self.input_proj(x).transpose(1, 2))
        out: Tensor = self.output_proj(hidden.transpose(1, 2))
        return out


def _after(convolution: nn.Module, config: MotionVqConfig, activated: bool) -> list[nn.Module]:
    """Return a convolution with what follows it: an absent norm takes no place in the sequence."""
    norm = [] if config.norm == "none" else [make_norm(config.norm, config.width)]
    return [convolution, *norm, *([ACTIVATIONS[config.activation]()] if activated else [])]


class MyoEncoder(_MyoHalf):
    """Features to latents; the first convolution alone is strided."""

    def __init__(self, config: MotionVqConfig) -> None:
        """Make the encoder."""
        super().__init__(config.num_features, config, config.code_dim)
        layers: list[nn.Module] = []
        for i in range(config.depth):
            reach = config.dilation_growth**i
            stride = config.stride if i == 0 else 1
            convolution = nn.Conv1d(
                config.width, config.width, 3, stride, padding=reach, dilation=reach
            )
            layers += _after(convolution, config, activated=True)
        self.conv_layers = nn.Sequential(*layers)


class MyoDecoder(_MyoHalf):
    """Codes to features; the last convolution, transposed, makes stride frames of each."""

    def __init__(self, config: MotionVqConfig) -> None:
        """Make the decoder."""
        super().__init__(config.code_dim, config, config.num_features)
        width, stride = config.width, config.stride
        layers: list[nn.Module] = []
        for i in range(config.depth - 1):
            reach = config.dilation_growth ** (config.depth - 1 - i)
            convolution = nn.Conv1d(width, width, 3, padding=reach, dilation=reach)
            layers += _after(convolution, config, activated=True)
        last = nn.ConvTranspose1d(width, width, 2 * stride, stride, stride // 2)
        self.conv_layers = nn.Sequential(*layers, *_after(last, config, activated=False))


class MyoSkeletonVq(MotionVq):
    """A tokenizer of the MyoSkeleton's joint positions: stride frames a token.

    ``encode`` looks up the code nearest to each step. (The published class swaps what its quantiser
    takes and gives, so that it never returns ids.)
    """

    def __init__(self, config: MotionVqConfig) -> None:
        """Make both halves and the codebook."""
        nn.Module.__init__(self)
        self.config = config
        self.encoder = MyoEncoder(config)
        self.decoder = MyoDecoder(config)
        self.quantizer = Codebook(config.num_codes, config.code_dim)

    @property
    def frames_per_token(self) -> int:
        """Frames that one id becomes."""
        return self.config.stride

    def latents(self, features: Tensor) -> Tensor:
        """Return the latents (B, ceil(T / stride), C) of features (B, T, D)."""
        encoded: Tensor = self.encoder(features)
        return encoded

    def decode(self, ids: Tensor) -> Tensor:
        """Return the features (B, stride S, D) of ids (B, S)."""
        decoded: Tensor = self.decoder(self.quantizer(ids))
        return decoded
