"""Smaller batches where memory is short: the batch is halved and the work is repeated.

The size of a batch is no part of any recipe: noise is drawn image by image, so that results differ by rounding alone.
Code that sends images through a model in batches takes their size from `at_once`; code that can repeat the work runs it
by `within`. Functions between the two pass nothing on.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import torch

from cloakbench.errors import InfrastructureError

T = TypeVar("T")


class OutOfMemory(InfrastructureError):  # noqa: N818 - says what happened
    """Not even one image at a time fits."""


@dataclass(slots=True)
class _Limit:
    most: int | None
    largest: int = 1
    """The most that this attempt has computed together."""


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


def at_once(usual: int, count: int) -> int:
    """Returns how many of `count` items to compute together: `usual`, or fewer where memory was too short for that."""
    limit, chunk = _limit.get(), max(1, min(usual, count))
    if limit is None:
        return chunk
    chosen = chunk if limit.most is None else min(chunk, limit.most)
    limit.largest = max(limit.largest, chosen)
    return chosen


def within(work: Callable[[], T]) -> tuple[T, int | None]:
    """Does the work, again with half as much at once whenever memory runs out; returns its result and the last chunk.

    The chunk is None where it was as usual. Raises OutOfMemory where one at a time is too much.
    """
    most: int | None = None
    while True:
        limit = _Limit(most)
        token = _limit.set(limit)
        try:
            return work(), most
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if limit.largest == 1:
                raise _does_not_fit(error) from error
            most = limit.largest // 2
        finally:
            _limit.reset(token)
        release()  # not above: the error's traceback holds what the work held


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error says that the memory of a device or of the machine is used up."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch's CPU allocator


def release() -> None:
    """Gives back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _does_not_fit(error: Exception) -> OutOfMemory:
    """Returns the error that names the memory that was used, where it is known."""
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    if not torch.cuda.is_available():
        return OutOfMemory(f"expected one image at a time to fit into memory, got {reason[:300]}", "Use fewer workers.")
    used = torch.cuda.max_memory_allocated() / 2**30
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / 2**30
    return OutOfMemory(
        f"expected one image at a time to fit into the GPU's {total:.1f} GiB, got {reason[:300]}",
        f"It used {used:.1f} GiB and needs more: take a GPU with more memory, or smaller images.",
    )
