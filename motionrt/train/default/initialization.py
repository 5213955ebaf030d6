"""Start a denoiser so that what constraints hold is heard through the noise of what is free."""

from __future__ import annotations

import torch

from motionrt.models.kimodo import LOCAL_ROOT_WIDTH, ROOT_WIDTH, Kimodo

ROOT_MASK_NORM, POSITION_MASK_NORM, OTHER_MASK_NORM = 6.0, 2.5, 1.0
"""Lengths of what a mask adds to a token. A path's mask is two features of hundreds: as long as
theirs, one token hardly shows it."""


@torch.no_grad()
def separate_held_features(model: Kimodo) -> None:
    """Give the root and the joint positions dimensions of the tokens that nothing else uses.

    A token is narrower than a frame's features. Where all of them overlap, a held feature drowns
    in the noise of the free ones, and a model that has to guess learns to leave it alone.
    """
    num_positions = 3 * model.config.num_joints
    for stage, root_width in (
        (model.root_model, ROOT_WIDTH),
        (model.body_model, LOCAL_ROOT_WIDTH),
    ):
        weight = stage.input_linear.weight
        num_values = weight.shape[1] - model.config.num_features
        values, mask = weight[:, :num_values], weight[:, num_values:]
        # A token too narrow for that keeps half of its dimensions for the rest.
        num_apart = min(root_width + num_positions, weight.shape[0] // 2)
        basis = torch.linalg.qr(values[:, :num_apart]).Q
        rest = values[:, num_apart:]
        rest -= basis @ (basis.T @ rest)

        norms = torch.full((mask.shape[1],), OTHER_MASK_NORM, device=mask.device)
        norms[: ROOT_WIDTH + num_positions] = POSITION_MASK_NORM
        norms[:ROOT_WIDTH] = ROOT_MASK_NORM
        mask *= norms / mask.norm(dim=0)
