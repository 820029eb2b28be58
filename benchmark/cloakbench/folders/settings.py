"""Which suite's settings a verb uses, in which precision, and what happens where memory is short."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from cloakbench.errors import UserError
from cloakbench.schemas.suite import Suite
from cloakbench.suites import load as suites

if TYPE_CHECKING:
    import torch

_Result = TypeVar("_Result")


def choose_suite(suite: str | None, model: str | None) -> Suite:
    """Returns the suite whose settings are used.

    Args:
        suite: Name or path of the suite; None: the one for the model's family.
        model: Alias or folder of the model in place of the suite's own; None: no other.

    Raises:
        UserError: One of both is unknown, or the suite's recipes are for another family of models.
    """
    if suite is None:
        return suites.for_model(model)
    chosen = suites.load(suite)
    if model is not None:
        suites.check_family(chosen, model)
    return chosen


def precision(suite: Suite, device: str) -> torch.dtype:
    """Returns the data type that models are loaded in: the suite's on a GPU, float32 on a CPU."""
    import torch

    dtype: torch.dtype = getattr(torch, suite.dtype) if device == "cuda" else torch.float32
    return dtype


def within_memory(work: Callable[[], _Result]) -> _Result:
    """Returns what `work` returns, computed with fewer images at once where memory runs out.

    Raises:
        UserError: Not even one image at a time fits.
    """
    from cloakbench.system import memory
    from cloakbench.system.free_memory import bounded

    try:
        with bounded():
            return memory.within(work)[0]
    except memory.OutOfMemory as error:
        raise UserError(error.message, error.hint) from error
