"""Whether everything a run needs is here: versions, devices, weights, images, submissions, the store."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from cloakbench import readiness, submissions
from cloakbench.attacks import catalogue
from cloakbench.datasets import manifest, masks
from cloakbench.datasets.artists import check_option
from cloakbench.errors import BenchmarkError
from cloakbench.metrics import weights
from cloakbench.models import hub, lock, registry
from cloakbench.models.aliases import ModelFacts
from cloakbench.schemas.suite import Suite
from cloakbench.store.store import Store
from cloakbench.submissions import loading
from cloakbench.submissions.claims import ask
from cloakbench.submissions.naming import normalised
from cloakbench.submissions.sandbox.client import SandboxedSubmission
from cloakbench.suites import load as suites
from cloakbench.suites import read

_PACKAGES = ("torch", "torchvision", "diffusers", "transformers", "peft", "open_clip_torch", "pyiqa", "lpips")


State = Literal["ok", "warning", "unverified", "missing", "wrong"]
_WORSE: tuple[State, ...] = ("ok", "warning", "unverified", "missing", "wrong")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; `unverified` weights are here, and the first load will lock them."""

    name: str
    state: State
    detail: str


def examine(
    store: Path, suite: str | None = None, images: Path | None = None, fetch: hub.Fetch = hub.cached
) -> list[Finding]:
    """Returns all findings; with `suite`, only about its models and metrics, and whether its `images` are here.

    Nothing is downloaded. Without `suite`, a hub model that is not here is no fault: the embedded suites need none.
    """
    chosen = suites.load(suite) if suite else None
    if chosen is not None:
        check_option(chosen, images)
    device = readiness.find_device()
    aliases: set[str] = set()
    for name in [suite] if suite else read.names():
        aliases |= catalogue.models(suites.load(name))
    checks = [
        Finding("python", "ok", sys.version.split()[0]),
        *map(_package, _PACKAGES),
        *_device(device, chosen),
        *_models(aliases, "missing" if suite else "warning", fetch),
        *map(_weights, ("mini-clip", "mini-lpips.safetensors", "mini-viewer.safetensors")),
    ]
    reasons: dict[str, readiness.Lack] = {}
    if chosen is not None:
        checks += map(_metric, dict.fromkeys([*chosen.metrics.every, chosen.perceptual]))
        if chosen.dataset != "mini":
            checks.append(_images(chosen, images))
        reasons = _reasons(chosen, images, device, fetch)
    checks += _protections(reasons)
    return [*checks, _store(store)]


def _models(aliases: set[str], if_absent: State, fetch: hub.Fetch) -> list[Finding]:
    return [_model(alias, if_absent, fetch) for alias in sorted(aliases)]


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "missing", "pip install cloakbench")


def _device(device: readiness.Device, suite: Suite | None) -> list[Finding]:
    """Returns the finding about the device: with a suite, whether it suffices for that."""
    import torch

    threads = f"{torch.get_num_threads()} CPU threads"
    name = threads if device.kind == "cpu" else f"{torch.cuda.get_device_name()}, {device.gib:.0f} GiB"
    if suite is None:
        is_gpu = device.kind == "cuda"
        hint = "" if is_gpu else ", no GPU; enough for the mini suites"
        return [Finding("device", "ok" if is_gpu else "warning", name + hint)]
    if refusal := readiness.suite_lacks(suite, device):
        return [Finding("device", "missing", str(refusal))]
    warnings = readiness.suite_warnings(suite, device)
    return [Finding("device", "warning", warning) for warning in warnings] or [Finding("device", "ok", name)]


def _reasons(
    suite: Suite, images: Path | None, device: readiness.Device, fetch: hub.Fetch
) -> dict[str, readiness.Lack]:
    """Returns for each installed protection that cannot run on a suite why, by name."""
    has_masks = any(images.rglob(f"{masks.FOLDER}/*.png")) if images is not None else False
    claims = {}
    for offer in submissions.discover().offers:
        if offer.rivals or normalised(offer.distribution) == loading.CONTROLS:
            continue
        worker = SandboxedSubmission(offer.name)
        try:
            digest = submissions.package_digest(offer.distribution)
            claims[offer.name] = ask(offer, submissions.parse(offer.name).identity, digest, worker)
        except BenchmarkError:  # a run leaves it out and says why
            continue
    return readiness.entries_lack(claims, suite, device, has_masks, fetch)


def _model(alias: str, absent: State, fetch: hub.Fetch) -> Finding:
    name = f"model {alias}"
    facts = registry.find(alias)
    try:
        located = registry.locate(alias, fetch)
    except BenchmarkError as error:
        return Finding(name, absent if facts.mirrors else "missing", _one_line(error))
    try:
        registry.verify(facts, located)
    except BenchmarkError as error:
        return Finding(name, "wrong", _one_line(error))
    return _verified(name, facts, located.folder)


def _verified(name: str, facts: ModelFacts, folder: Path) -> Finding:
    detail = f"sha256 {registry.digest(folder)[:16]}"
    if facts.mirrors and not facts.digest and facts.name not in lock.read():
        return Finding(name, "unverified", f"{detail} in {folder}; not verified yet, the first load locks it")
    return Finding(name, "ok", detail)


def _one_line(error: BenchmarkError) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines()).replace(":; ", ": ")


def _images(suite: Suite, folder: Path | None) -> Finding:
    name = f"images of {suite.name}"
    if suite.dataset == "folder":
        if folder is None or not folder.is_dir():
            return Finding(name, "missing", "give a folder with --images")
        return Finding(name, "ok", str(folder))
    try:
        return Finding(name, "ok", f"{manifest.check(folder, suite)} in {folder}, all as their manifest says")
    except BenchmarkError as error:
        return Finding(name, "missing", _one_line(error))


def _weights(name: str) -> Finding:
    path = registry.weights(name)
    if not path.exists():
        return Finding(name, "missing", "reinstall the package")
    digest = registry.digest(path) if path.is_dir() else registry.file_digest(path)
    return Finding(name, "ok", f"sha256 {digest[:16]}")


def _metric(name: str) -> Finding:
    """Returns whether the weights that a metric needs are here; the worst of its files decides."""
    worst: State = "ok"
    details = []
    for file in weights.needed(name):
        state = weights.state(file)
        details.append(f"{file.name}: {state}")
        worst = max(worst, "unverified" if state == "repacked" else state, key=_WORSE.index)
    hint = f"; {weights.how_to_get()}" if worst in {"missing", "wrong"} else ""
    return Finding(f"metric {name}", worst, (", ".join(details) or "needs no weights") + hint)


def _protections(reasons: Mapping[str, readiness.Lack]) -> list[Finding]:
    """Returns the installed protections, with the reasons of those that cannot run, by name."""
    listing = submissions.discover()
    checks = []
    for offer in listing.offers:
        if offer.name in reasons:
            checks.append(Finding(f"protection {offer.name}", "warning", str(reasons[offer.name])))
        elif not offer.rivals:
            checks.append(Finding(f"protection {offer.name}", "ok", f"{offer.distribution} {offer.version}"))
    for offer in listing.offers:
        if offer.rivals:
            others = ", ".join(offer.rivals)
            checks.append(
                Finding(f"protection {offer.name}", "warning", f"{offer.distribution} and {others} both offer it")
            )
    return checks + [Finding("submission", "warning", problem) for problem in listing.problems]


def _store(root: Path) -> Finding:
    try:
        Store(root).prepare()
    except BenchmarkError as error:
        return Finding("store", "missing", error.message)
    free = shutil.disk_usage(root).free / 2**30
    return Finding("store", "ok" if free > 1 else "warning", f"{root}, {free:.1f} GiB free")
