"""Muon: momentum whose matrix updates are orthogonalised; other weights by AdamW."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Returns a matrix near the closest semi-orthogonal one: quintic Newton-Schulz iteration (Jordan et al. 2024).

    The iteration multiplies from one side by polynomials of the Gram matrix, so it runs on that small square alone.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = (matrix / (matrix.norm() + 1e-7)).float()
    tall = x.shape[0] > x.shape[1]
    gram = x.T @ x if tall else x @ x.T
    identity = torch.eye(len(gram), device=x.device)
    product = identity
    for _ in range(steps):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    return (x @ product if tall else product @ x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised per weight (convolutions as `[out, in * k * k]`), scaled to unit RMS."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Applies one update to every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                buffer = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                buffer.lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(buffer, group["momentum"]).flatten(1)
                update = orthogonalise(update) * max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update.reshape(weight.shape), alpha=-group["lr"])


def split(module: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Returns a module's weights as (matrices and convolutions, everything else: embeddings, norms, biases, ends)."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, weight in module.named_parameters():
        ends = any(end in name for end in ("embedding", "conv_in", "conv_out", "time_emb", "proj_out_final"))
        (others if weight.ndim < 2 or ends else matrices).append(weight)
    return matrices, others
