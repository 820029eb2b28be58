"""Whether a suite and its entries can run on a device: the sentences that `plan`, `doctor` and `run` share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cloakbench.datasets import masks
from cloakbench.errors import BenchmarkError
from cloakbench.models import hub, registry
from cloakbench.schemas.suite import Suite
from cloakbench.submissions import needs
from cloakbench.submissions.loading import Claims

DeviceKind = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Device:
    """What computes: a CPU, or one GPU with its memory in GiB and what it can do."""

    kind: DeviceKind
    gib: float = 0.0
    has_bfloat16: bool = True
    """Whether it computes in bfloat16 itself; older GPUs emulate it, many times slower."""
    compiles: bool = True
    """Whether networks can be compiled for it."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What is missing for a run, and what to do about it; as text, one sentence."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}"


def find_device(kind: DeviceKind | None = None) -> Device:
    """Returns the device of a run: the one that is asked for, else a GPU where there is one."""
    import torch

    from cloakbench.models import compiled, loader

    if (kind or loader.default_device()) == "cpu":
        return Device("cpu")
    return Device(
        "cuda",
        torch.cuda.get_device_properties(0).total_memory / 2**30,
        torch.cuda.is_bf16_supported(including_emulation=False),
        compiled.is_possible(torch.device("cuda"), torch.bfloat16),
    )


def suite_lacks(suite: Suite, device: Device) -> Lack | None:
    """Returns why a suite does not start on a device by itself, None where it does."""
    if suite.gpu_gib is None or device.kind == "cuda":
        return None
    return Lack(
        f"expected a GPU with {suite.gpu_gib:g} GiB for the suite {suite.name!r}, got a CPU, where a cell takes hours",
        "run it on a machine with a GPU, or with --device cpu all the same",
    )


def suite_warnings(suite: Suite, device: Device) -> list[str]:
    """Returns what makes a suite slow, or short of memory, on a GPU."""
    if suite.gpu_gib is None or device.kind == "cpu":
        return []
    warnings = []
    if device.gib < suite.gpu_gib:
        warnings.append(
            f"expected a GPU with {suite.gpu_gib:g} GiB for the suite {suite.name!r}, got {device.gib:.0f} GiB: stages "
            f"are computed in smaller parts, and cells that do not fit all the same end as oom"
        )
    if suite.dtype == "bfloat16" and not device.has_bfloat16:
        warnings.append("expected a GPU that computes in bfloat16, got one that emulates it: it is many times slower")
    elif suite.dtype == "bfloat16" and not device.compiles:
        warnings.append(
            "expected Triton and a C compiler, got none: networks are not compiled, which is slower, and records are "
            "of an environment class of their own; install one with: apt-get install gcc"
        )
    return warnings


def entry_lacks(
    name: str, claims: Claims, suite: Suite, device: Device, has_masks: bool, fetch: hub.Fetch = hub.cached
) -> Lack | None:
    """Returns why a protection cannot run on a suite, None where it can.

    Args:
        name: The protection as it is spelled.
        claims: What it says about itself.
        suite: The suite, which names the surrogate.
        device: Where it would run.
        has_masks: Whether the images of the suite have masks.
        fetch: How the files of a hub model are looked for; nothing is downloaded by default.
    """
    surrogate = registry.find(suite.surrogate).name
    if claims.surrogates is not None and surrogate not in claims.surrogates:
        ready = ", ".join(claims.surrogates) or "no model"
        reason = f"expected {name} to be prepared for the surrogate {surrogate!r}, got it prepared for {ready}"
        return Lack(reason, claims.preparation.replace("{model}", suite.surrogate) or "ask its author")
    lacks = [_unmet(need, device, has_masks, fetch) for need in claims.needs]
    first = next((lack for lack in lacks if lack is not None), None)
    return Lack(f"{name} needs {first.reason}", first.remedy) if first else None


def _unmet(need: str, device: Device, has_masks: bool, fetch: hub.Fetch) -> Lack | None:
    """Returns what a need is not met by, None where it is met."""
    if need == "mask" and not has_masks:
        return Lack("masks, and these images have none", masks.HINT)
    if need == "gpu" and device.kind == "cpu":
        return Lack("a GPU, and there is none", "run it on a machine with a GPU")
    gib = needs.gpu_gib(need)
    if gib is not None and device.gib < gib:
        return Lack(f"a GPU with {gib} GiB, and this device has {device.gib:.0f} GiB", "run it on a larger one")
    alias = needs.model(need)
    if alias is None:
        return None
    try:
        registry.locate(alias, fetch)
    except BenchmarkError as error:
        return Lack(f"the model {alias!r}, and it is not here", error.hint)
    return None


def entries_lack(
    claims: Mapping[str, Claims], suite: Suite, device: Device, has_masks: bool, fetch: hub.Fetch = hub.cached
) -> dict[str, Lack]:
    """Returns for each protection that cannot run on a suite, by its spelling, why; see `entry_lacks`."""
    lacks = {}
    for name, claimed in claims.items():
        lack = entry_lacks(name, claimed, suite, device, has_masks, fetch)
        if lack is not None:
            lacks[name] = lack
    return lacks
