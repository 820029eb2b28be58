"""Whether everything a run needs is here: versions, devices, weights, submissions, the store."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from benchmark import submissions
from benchmark.cells.store import Store
from benchmark.errors import BenchmarkError
from benchmark.models import registry
from benchmark.suites import load as suites

_PACKAGES = ("torch", "torchvision", "diffusers", "transformers", "peft", "open_clip_torch", "pyiqa", "lpips")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    state: Literal["ok", "warning", "missing"]
    detail: str


def examine(store: Path, suite: str | None = None) -> list[Check]:
    """Returns all findings; with `suite`, also whether each model it names is present."""
    checks = [Check("python", "ok", sys.version.split()[0]), *(_package(name) for name in _PACKAGES), _device()]
    wanted = [suites.load(suite)] if suite else [suites.load(name) for name in suites.names()]
    aliases = {alias for one in wanted for alias in (one.surrogate, *(a.model for a in one.attacks))}
    checks += [_model(alias) for alias in sorted(aliases)]
    checks += [_weights("mini-clip"), _weights("mini-lpips.safetensors")]
    checks += _protections()
    return [*checks, _store(store)]


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        return Check(name, "missing", "pip install cloakbench")


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("device", "ok", torch.cuda.get_device_name())
    return Check("device", "warning", f"no GPU: {torch.get_num_threads()} CPU threads; enough for the mini suites")


def _model(alias: str) -> Check:
    try:
        path = registry.folder(alias)
    except BenchmarkError as error:
        return Check(f"model {alias}", "missing", str(error).replace("\n", " "))
    return Check(f"model {alias}", "ok", f"sha256 {registry.digest(path)[:16]}")


def _weights(name: str) -> Check:
    path = registry.weights(name)
    if not path.exists():
        return Check(name, "missing", "reinstall the package")
    found = registry.digest(path) if path.is_dir() else registry.file_digest(path)
    return Check(name, "ok", f"sha256 {found[:16]}")


def _protections() -> list[Check]:
    listing = submissions.discover()
    checks = [
        Check(f"protection {o.name}", "ok", f"{o.distribution} {o.version}") for o in listing.offers if not o.rivals
    ]
    for offer in listing.offers:
        if offer.rivals:
            others = ", ".join(offer.rivals)
            checks.append(
                Check(f"protection {offer.name}", "warning", f"{offer.distribution} and {others} both offer it")
            )
    return checks + [Check("submission", "warning", problem) for problem in listing.problems]


def _store(root: Path) -> Check:
    try:
        Store(root).prepare()
    except BenchmarkError as error:
        return Check("store", "missing", error.message)
    free = shutil.disk_usage(root).free / 2**30
    return Check("store", "ok" if free > 1 else "warning", f"{root}, {free:.1f} GiB free")
