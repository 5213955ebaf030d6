"""A text encoder that came as a graph, against its own weights as transformers runs them.

The graph was made by another program: what it says is only known to be the model's where the
weights are at hand and the library that they were made for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motionrt.export.quantise.deviation import measure_deviation
from motionrt.export.text_encoder import CHECK_PROMPTS, TextEncoderSource
from motionrt.models.text_encoder import TextEncoder
from motionrt.runtime.errors import CheckpointError, ParityError, one_line

ALLOWED = {"fp32": 1e-3, "fp16": 2e-2}
"""Relative differences of embeddings, by the precision that the graph came in."""
ALLOWED_ROUNDED = 0.25
"""The same in fewer bits: above it, it is no longer the same model."""


def compare_with_transformers(source: TextEncoderSource) -> dict[str, Any]:
    """Return what a manifest says of the comparison, on ``CHECK_PROMPTS``.

    library: what it was compared with, empty if it was not, with a reason; hidden_states: largest
    |graph - library| of a real token; relative and cosine: of embeddings. ParityError if they are
    further apart than ``ALLOWED``, CheckpointError if the library cannot load the weights.
    """
    assert source.onnx is not None
    if source.reference is None:
        return _not_compared("no safetensors beside the graph")
    try:
        import transformers
    except ImportError:
        return _not_compared("transformers is not installed")
    library: Any = transformers
    model = _load(library, source.reference)
    ids, mask, pool_mask = map(torch.from_numpy, source.tokenizer.encode(CHECK_PROMPTS))
    head = source.make_module().eval()
    with torch.no_grad():
        wanted = model(ids, mask)
        found = head.backbone(ids, mask)
        if wanted.shape != found.shape:
            raise ParityError(
                f"{source.onnx.path}: hidden states {list(found.shape)}, those of "
                f"{source.reference} are {list(wanted.shape)}: another model's weights"
            )
        real = mask.bool()
        apart = float((wanted - found)[real].abs().max())
        exact = _over(model, head)(ids, mask, pool_mask).numpy()
        ours = head(ids, mask, pool_mask).numpy()
    deviation = measure_deviation(ours, exact)
    allowed = ALLOWED.get(source.onnx.precision, ALLOWED_ROUNDED)
    if not deviation.relative <= allowed:
        raise ParityError(
            f"{source.onnx.path}: embeddings differ from transformers' by "
            f"{deviation.relative:.1e} (relative), allowed is {allowed:g}; are the weights in "
            f"{source.reference} the graph's?"
        )
    return {
        "library": f"transformers {library.__version__}",
        "hidden_states": apart,
        **deviation.to_dict(),
    }


def _not_compared(reason: str) -> dict[str, Any]:
    return {"library": "", "reason": reason}


class _Transformers(nn.Module):
    """transformers' model as a backbone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        result = self.model(input_ids=input_ids, attention_mask=attention_mask)
        hidden: Tensor = result.last_hidden_state
        return hidden.float()


def _load(library: Any, folder: Path) -> nn.Module:
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    try:
        model = library.AutoModel.from_pretrained(
            str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True
        )
    except Exception as error:  # the library's own, and torch's
        raise CheckpointError(
            f"{folder}: transformers cannot load it to compare ({one_line(error, 160)})"
        ) from error
    return _Transformers(model.eval())


def _over(backbone: nn.Module, module: TextEncoder) -> TextEncoder:
    """Return a module's head over another backbone."""
    made = TextEncoder(backbone, module.pooling.mode, module.projector, module.normalise)
    return made.eval()
