"""HumanML3D's features inside graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def features_to_joints(features: Tensor) -> Tensor:
    """Return the joint positions (B, T, 22, 3) of HumanML3D features (B, T, 263).

    ``motionrt.runtime.humanml.features`` has the same in numpy, and says what the features are.
    """
    before = nn.functional.pad(features[:, :-1, :3], (0, 0, 1, 0))
    # The feature is half the turn.
    heading = 2 * before[..., 0].cumsum(dim=1)
    sin, cos = heading.sin(), heading.cos()
    step_x, step_z = before[..., 1], before[..., 2]
    root_x = (step_x * cos - step_z * sin).cumsum(dim=1)
    root_z = (step_x * sin + step_z * cos).cumsum(dim=1)
    root = torch.stack((root_x, features[..., 3], root_z), dim=-1)
    local = features[..., 4:67].reshape(*features.shape[:2], 21, 3)
    sin, cos = sin.unsqueeze(-1), cos.unsqueeze(-1)
    x, y, z = local.unbind(-1)
    turned = torch.stack(
        (x * cos - z * sin + root_x.unsqueeze(-1), y, x * sin + z * cos + root_z.unsqueeze(-1)),
        dim=-1,
    )
    return torch.cat((root.unsqueeze(2), turned), dim=2)
