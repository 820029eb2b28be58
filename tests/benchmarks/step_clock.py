"""What a training costs: seconds per step, seconds of set-up, floating-point operations, peak memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.flop_counter import FlopCounterMode

from cloakbench.attacks.mimicry import finetune, sampling
from cloakbench.attacks.mimicry.captured import Batch

GIB = 2**30


class Moment(NamedTuple):
    """Seconds by the clock, and of this process's own work."""

    wall: float
    own: float


class Seconds(NamedTuple):
    """Of one training: for a step, and for all that is no step."""

    step: float
    setup: float


class Cost(NamedTuple):
    """Of one training, by the clock, and of the process's own work."""

    wall: Seconds
    own: Seconds


def now(device: torch.device) -> Moment:
    """Returns the time, once the device has done what it was given; a GPU's work shows by the clock alone."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return Moment(time.perf_counter(), time.perf_counter())
    return Moment(time.perf_counter(), time.process_time())


def timed(train: Callable[[], Any], steps: int, device: torch.device) -> Cost:
    """Trains and returns the cost. Steps are told by the optimizer, in any code; the first counts as set-up in part.

    What lies between the end of the first step and the end of the last is `steps - 1` steps; the rest, less one
    average step, is set-up.
    """
    ends: list[Moment] = []
    finished = 0

    def stepped(*_: Any) -> None:
        nonlocal finished
        finished += 1
        if finished in (1, steps):
            ends.append(now(device))

    gc.collect()
    hook = register_optimizer_step_post_hook(stepped)
    try:
        began = now(device)
        train()
        ended = now(device)
    finally:
        hook.remove()
    if finished != steps or steps < 2:
        raise ValueError(f"expected {max(steps, 2)} steps of one optimizer, got {finished}")
    wall, own = zip(began, *ends, ended, strict=True)
    return Cost(_seconds(wall, steps), _seconds(own, steps))


def _seconds(moments: Sequence[float], steps: int) -> Seconds:
    began, first, last, ended = moments
    step = (last - first) / (steps - 1)
    return Seconds(step, max(0.0, ended - began - steps * step))


class Eager:
    """Takes the place of `Captured`: the same loss and gradients, kernel by kernel."""

    def __init__(self, loss: Callable[[Batch], Tensor], network: nn.Module, batch: Batch) -> None:
        self._loss = loss

    def replay(self, batch: Batch) -> Tensor:
        value = self._loss(batch)
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()


@contextmanager
def eagerly() -> Iterator[None]:
    """Nothing is captured or compiled meanwhile: operations are counted, and shown in a profile, one by one."""
    with (
        mock.patch.object(finetune, "Captured", Eager),
        mock.patch.object(sampling, "compiled", lambda network, *_: network),
    ):
        yield


def operations(work: Callable[[], Any]) -> int:
    """Returns the floating-point operations of matrix products, convolutions and attention, with their gradients."""
    with eagerly(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def peak(work: Callable[[], Any], device: torch.device) -> dict[str, float] | None:
    """Works and returns the most GPU memory held meanwhile, in GiB, what lay there before included."""
    gc.collect()
    if device.type != "cuda":
        work()
        return None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    return {"allocated": allocated / GIB, "reserved": reserved / GIB}


def bf16_peak(device: torch.device, side: int, rounds: int) -> float:
    """Returns operations per second of a large product of bfloat16 matrices: the measured peak of the device."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(rounds // 4 + 1):
        a @ b
    best = 0.0
    for _ in range(3):
        began = now(device).wall
        for _ in range(rounds):
            a @ b
        best = max(best, 2 * side**3 * rounds / (now(device).wall - began))
    return best


def middle(values: Sequence[float]) -> dict[str, float]:
    """Returns the median with the least and the most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}
