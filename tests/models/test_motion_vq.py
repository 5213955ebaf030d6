from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from motionrt.models.motion_vq import MotionVq, MotionVqConfig, MyoSkeletonVq

HUMANML = MotionVqConfig(263, 8, 6, 16, 2, 2, 3, 3)
MYO = MotionVqConfig(78, 8, 8, 16, 1, 2, 3, 3)


def humanml(**changes: object) -> MotionVq:
    torch.manual_seed(0)
    made = MotionVq(replace(HUMANML, **changes))  # type: ignore[arg-type]
    made.quantizer.codebook.normal_()
    return made.eval()


def myo(**changes: object) -> MyoSkeletonVq:
    torch.manual_seed(0)
    made = MyoSkeletonVq(replace(MYO, **changes))  # type: ignore[arg-type]
    made.quantizer.codebook.normal_()
    return made.eval()


def test_names_and_shapes_are_the_published_ones() -> None:
    shapes = {name: tuple(t.shape) for name, t in humanml().state_dict().items()}
    assert shapes["encoder.model.0.weight"] == (8, 263, 3)
    assert shapes["encoder.model.2.0.weight"] == (8, 8, 4)
    assert shapes["encoder.model.3.1.model.2.conv1.weight"] == (8, 8, 3)
    assert shapes["encoder.model.4.weight"] == (6, 8, 3)
    assert shapes["decoder.model.2.0.model.2.conv2.weight"] == (8, 8, 1)
    assert shapes["decoder.model.3.2.weight"] == (8, 8, 3)
    assert shapes["decoder.model.6.weight"] == (263, 8, 3)
    assert shapes["quantizer.codebook"] == (16, 6)
    shapes = {name: tuple(t.shape) for name, t in myo().state_dict().items()}
    convolutions = [name for name in shapes if "conv_layers" in name and "weight" in name]
    assert convolutions == [
        f"{h}.conv_layers.{i}.weight" for h in ("encoder", "decoder") for i in (0, 2, 4)
    ]
    assert shapes["decoder.conv_layers.4.weight"] == (8, 8, 4)
    assert shapes["decoder.output_proj.weight"] == (78, 8)


@pytest.mark.parametrize(("frames", "tokens"), [(64, 16), (50, 12), (7, 1), (4, 1)])
def test_humanml_tokens_are_a_quarter_of_the_frames(frames: int, tokens: int) -> None:
    vq = humanml()
    ids, latents = vq.encode(torch.randn(2, frames, 263))
    assert ids.shape == (2, tokens)
    assert latents.shape == (2, tokens, 6)
    assert vq.decode(ids).shape == (2, 4 * tokens, 263)


@pytest.mark.parametrize(("frames", "tokens"), [(64, 32), (51, 26), (1, 1)])
def test_myo_tokens_are_half_of_the_frames_rounded_up(frames: int, tokens: int) -> None:
    vq = myo()
    ids, _ = vq.encode(torch.randn(2, frames, 78))
    assert ids.shape == (2, tokens)
    assert vq.decode(ids).shape == (2, 2 * tokens, 78)


def test_ids_are_the_nearest_codes_the_lowest_of_equals() -> None:
    quantizer = humanml().quantizer
    quantizer.codebook[9] = quantizer.codebook[4]
    latents = torch.randn(2, 5, 6)
    latents[1, 3] = quantizer.codebook[9]
    distances = (latents[:, :, None] - quantizer.codebook).square().sum(-1)
    ids = quantizer.nearest(latents)
    assert torch.equal(ids, distances.argmin(-1))
    assert ids[1, 3] == 4


def residual(x: Tensor, state: dict[str, Tensor], name: str, dilation: int) -> Tensor:
    hidden = F.conv1d(
        F.relu(x),
        state[f"{name}.conv1.weight"],
        state[f"{name}.conv1.bias"],
        padding=dilation,
        dilation=dilation,
    )
    hidden = F.conv1d(F.relu(hidden), state[f"{name}.conv2.weight"], state[f"{name}.conv2.bias"])
    return x + hidden


def test_humanml_decoder_is_what_the_paper_computes() -> None:
    vq = humanml()
    state = vq.state_dict()

    def convolve(x: Tensor, name: str) -> Tensor:
        weight, bias = state[f"decoder.model.{name}.weight"], state[f"decoder.model.{name}.bias"]
        return F.conv1d(x, weight, bias, padding=1)

    ids = torch.randint(0, 16, (2, 5))
    x = F.relu(convolve(state["quantizer.codebook"][ids].transpose(1, 2), "0"))
    for block in (2, 3):
        for j, dilation in enumerate((9, 3, 1)):
            x = residual(x, state, f"decoder.model.{block}.0.model.{j}", dilation)
        x = convolve(x.repeat_interleave(2, dim=-1), f"{block}.2")
    x = convolve(F.relu(convolve(x, "4")), "6")
    torch.testing.assert_close(vq.decode(ids), x.transpose(1, 2))


def test_myo_halves_are_what_the_published_layers_compute() -> None:
    vq = myo(activation="gelu")
    state = vq.state_dict()
    features = torch.randn(1, 9, 78)
    x = F.linear(features, state["encoder.input_proj.weight"], state["encoder.input_proj.bias"])
    x = x.transpose(1, 2)
    for i, reach in enumerate((1, 3, 9)):
        weight = state[f"encoder.conv_layers.{2 * i}.weight"]
        bias = state[f"encoder.conv_layers.{2 * i}.bias"]
        stride = 2 if i == 0 else 1
        x = F.gelu(F.conv1d(x, weight, bias, stride=stride, padding=reach, dilation=reach))
    x = x.transpose(1, 2)
    x = F.linear(x, state["encoder.output_proj.weight"], state["encoder.output_proj.bias"])
    ids, latents = vq.encode(features)
    torch.testing.assert_close(latents, x)
    x = state["quantizer.codebook"][ids]
    x = F.linear(x, state["decoder.input_proj.weight"], state["decoder.input_proj.bias"])
    x = x.transpose(1, 2)
    for i, reach in enumerate((9, 3)):
        weight = state[f"decoder.conv_layers.{2 * i}.weight"]
        bias = state[f"decoder.conv_layers.{2 * i}.bias"]
        x = F.gelu(F.conv1d(x, weight, bias, padding=reach, dilation=reach))
    weight, bias = state["decoder.conv_layers.4.weight"], state["decoder.conv_layers.4.bias"]
    x = F.conv_transpose1d(x, weight, bias, stride=2, padding=1).transpose(1, 2)
    x = F.linear(x, state["decoder.output_proj.weight"], state["decoder.output_proj.bias"])
    torch.testing.assert_close(vq.decode(ids), x)


@pytest.mark.parametrize("norm", ["layer", "group", "batch"])
def test_norms_stand_where_the_published_layers_have_them(norm: str) -> None:
    width = 32
    names = set(humanml(norm=norm, width=width).state_dict())
    assert "encoder.model.2.1.model.0.norm1.weight" in names
    names = set(myo(norm=norm, width=width, code_dim=width).state_dict())
    numbers = sorted({int(n.split(".")[2]) for n in names if n.startswith("decoder.conv_layers")})
    assert numbers == [0, 1, 3, 4, 6, 7]
    vq = humanml(norm=norm, width=width)
    assert vq.decode(vq.encode(torch.randn(1, 9, 263))[0]).isfinite().all()


def test_layer_norm_is_over_channels() -> None:
    norm = humanml(norm="layer").encoder.model[2][1].model[0].norm1  # type: ignore[index, union-attr]
    x = torch.randn(2, 8, 5) * 3 + 1
    assert norm(x).mean(1).abs().max() < 1e-5


def test_dilations_shrink_in_both_halves() -> None:
    for half in ("encoder", "decoder"):
        found = [
            m.dilation[0]
            for name, m in humanml().named_modules()
            if name.startswith(half) and name.endswith("conv1")
        ]
        assert found == [9, 3, 1] * 2
        assert all(a != b for a, b in pairwise(found))
