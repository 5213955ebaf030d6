from __future__ import annotations

import torch

from motionrt.models.kimodo import LOCAL_ROOT_WIDTH, ROOT_WIDTH, Kimodo, KimodoConfig, MotionStats
from motionrt.train.default.initialization import separate_held_features


def fresh(width: int) -> Kimodo:
    torch.manual_seed(0)
    config = KimodoConfig(22, 30.0, 8, 1, width, 2 * width, 1, 2, norm_first=True)
    return Kimodo(config, MotionStats.identity(config))


def error_of_reading(weight: torch.Tensor, held: int, features: int) -> float:
    """Return how far off the best linear reading of the held features is, where 1 is a guess."""
    held_part, noise = weight[:, :held].double(), weight[:, held:features].double()
    seen = held_part @ held_part.T + noise @ noise.T + 1e-9 * torch.eye(len(weight))
    known = (held_part * torch.linalg.solve(seen, held_part)).sum(0)
    return float((1 - known).clamp(min=0).sqrt().max())


def test_held_features_are_read_through_any_noise() -> None:
    model = fresh(128)
    stages = ((model.root_model, ROOT_WIDTH), (model.body_model, LOCAL_ROOT_WIDTH))
    sizes = [root + 22 * 3 for _, root in stages]
    features = [stage.input_linear.weight.shape[1] - 273 for stage, _ in stages]
    weights = [stage.input_linear.weight.detach() for stage, _ in stages]
    drowned = [error_of_reading(*each) for each in zip(weights, [64, 64], features, strict=True)]
    assert min(drowned) > 0.3
    separate_held_features(model)
    assert min(sizes) > 64  # half of the width is what a narrow token gives
    heard = [error_of_reading(*each) for each in zip(weights, [64, 64], features, strict=True)]
    assert max(heard) < 0.01


def test_masks_are_loud_and_the_rest_of_the_model_is_left_alone() -> None:
    model, before = fresh(256), fresh(256).state_dict()
    separate_held_features(model)
    for stage in (model.root_model, model.body_model):
        mask = stage.input_linear.weight[:, -273:].norm(dim=0)
        assert mask[:5].min() > 5.9 and mask[5:71].min() > 2.4 and mask[71:].min() > 0.9
        assert torch.isfinite(stage.input_linear.weight).all()
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"root_model.input_linear.weight", "body_model.input_linear.weight"}
