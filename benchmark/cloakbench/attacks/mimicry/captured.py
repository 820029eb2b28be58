"""A step's loss and its gradients as one CUDA graph: launched together instead of kernel by kernel.

A step of fine-tuning on one image of the artist and one of the class is some thousands of kernels, which a GPU runs in
less time than Python takes to launch them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

WARM_UP = 3
"""Runs before the recording, in which libraries choose their kernels and allocate what they keep."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs of one step: scaled latents and noise `[B, C, h, w]`, times `[B]`, contexts `[B, L, C]`."""

    latents: Tensor
    noise: Tensor
    times: Tensor
    context: Tensor

    def tensors(self) -> list[Tensor]:
        """Returns its parts, in order."""
        return [self.latents, self.noise, self.times, self.context]

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Returns the batches concatenated."""
        if len(batches) == 1:
            return batches[0]
        parts = zip(*[batch.tensors() for batch in batches], strict=True)
        return cls(*map(torch.cat, parts))

    def copied(self) -> Batch:
        """Returns a copy whose context is a leaf of the graph: its gradients go no further."""
        latents, noise, times, context = (part.detach().clone() for part in self.tensors())
        return Batch(latents, noise, times, context.requires_grad_(self.context.requires_grad))


class Captured:
    """The loss of batches of one size, with the gradients of `network`'s weights and of the contexts.

    Recorded from the first batch. The network may not draw anything at random, nor move to another device.
    """

    def __init__(self, loss: Callable[[Batch], Tensor], network: nn.Module, batch: Batch) -> None:
        self._batch = batch.copied()
        self._weights = [weight for weight in network.parameters() if weight.requires_grad]
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                loss(self._batch).backward()  # type: ignore[no-untyped-call]
                self._forget()
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            value = loss(self._batch)
            value.backward()  # type: ignore[no-untyped-call]
        self._value = value.detach()
        self._gradients = [weight.grad for weight in self._weights]
        self._towards = self._batch.context.grad

    def replay(self, batch: Batch) -> Tensor:
        """Returns the loss of a batch; its gradients are in the weights, and behind its context where that has any."""
        with torch.no_grad():
            for recorded, current in zip(self._batch.tensors(), batch.tensors(), strict=True):
                recorded.copy_(current)
        self._graph.replay()
        for weight, gradient in zip(self._weights, self._gradients, strict=True):
            weight.grad = gradient
        if batch.context.requires_grad:
            batch.context.backward(self._towards)  # type: ignore[no-untyped-call]
        return self._value.clone()

    def _forget(self) -> None:
        """Removes the gradients, so that the next ones are written and not added."""
        for part in (*self._weights, self._batch.context):
            part.grad = None
