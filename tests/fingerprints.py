"""Fingerprints of the code behind every versioned stage and metric; `python -m tests.fingerprints` refreshes them."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cloakbench.attacks import catalogue as attacks
from cloakbench.cells import recipes
from cloakbench.metrics import catalogue as metrics
from cloakbench.metrics.metric import Metric

ROOT = Path(__file__).parents[1]
COMMITTED = Path(__file__).with_name("fingerprints.json")
REFRESH = "python -m tests.fingerprints"
COUNTED = (
    "cloakbench.attacks",
    "cloakbench.metrics",
    "cloakbench.models.autoencoders",
    "cloakbench.models.compiled",
    "cloakbench.models.loader",
    "cloakbench.models.mini.perceptual",
    "cloakbench.models.upscalers",
    "cloakbench.eot",
    "cloakbench.submissions.guard",
    "cloakbench.submissions.state",
    "cloakbench.images",
    "cloakbench.pgd",
    "cloakbench.streams",
    "cloakbench.whitebox",
)
"""Packages and modules whose code makes numbers; the catalogues hold the versions themselves."""
LEFT_OUT = (
    "cloakbench.attacks.catalogue",
    "cloakbench.attacks.stage",
    "cloakbench.attacks.stages",
    "cloakbench.metrics.catalogue",
    "cloakbench.metrics.entries_generations",
    "cloakbench.metrics.entries_quality",
    "cloakbench.metrics.metric",
    "cloakbench.metrics.weights",
)


class Versioned(NamedTuple):
    """Something with a version: its name, the version, and the module its code starts in."""

    name: str
    version: int
    module: str


class Fingerprint(NamedTuple):
    version: int
    digest: str


def versioned() -> list[Versioned]:
    stages = []
    for s in attacks.STAGES:
        stages.append(Versioned(f"{s.kind} {s.name}", s.version, s.target.partition(":")[0]))
    measures = []
    for m in metrics.METRICS:
        measures.append(Versioned(f"metric {m.name}", m.facts.version, module_of(m)))
    harness = [
        Versioned("stage calibrate", recipes.CALIBRATION_VERSION, "cloakbench.cells.calibration"),
        Versioned("stage calibrate on own images", recipes.OWN_CALIBRATION_VERSION, "cloakbench.cells.fitting"),
        Versioned("stage protect", recipes.GUARD_VERSION, "cloakbench.submissions.guard"),
        Versioned("helpers of protections", recipes.GUARD_VERSION, "cloakbench.pgd"),
        Versioned("stage generate", recipes.SAMPLING_VERSION, "cloakbench.attacks.mimicry.sampling"),
    ]
    return [*stages, *measures, *harness]


def module_of(metric: Metric) -> str:
    return f"cloakbench.metrics.{metric.target.partition(':')[0]}"


def path_of(module: str) -> Path:
    return ROOT / "benchmark" / f"{module.replace('.', '/')}.py"


def counts(module: str) -> bool:
    inside = any(module == name or module.startswith(f"{name}.") for name in COUNTED)
    return inside and module not in LEFT_OUT and path_of(module).is_file()


def imported(module: str) -> Iterator[str]:
    """Yields the project modules that a module's source imports, wherever in it."""
    for node in ast.walk(ast.parse(path_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure(module: str) -> list[str]:
    """Returns a module and all counted modules it imports, directly or not, sorted."""
    covered, waiting = set(), [module]
    while waiting:
        next_module = waiting.pop()
        if next_module not in covered:
            covered.add(next_module)
            waiting += [other for other in imported(next_module) if counts(other)]
    return sorted(covered)


def digest(module: str) -> str:
    total = hashlib.sha256()
    for covered_module in closure(module):
        total.update(f"{covered_module} {hashlib.sha256(path_of(covered_module).read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def current() -> dict[str, Fingerprint]:
    return {
        cell_record.name: Fingerprint(cell_record.version, digest(cell_record.module)) for cell_record in versioned()
    }


def committed() -> dict[str, Fingerprint]:
    return {name: Fingerprint(**fields) for name, fields in json.loads(COMMITTED.read_text()).items()}


def faults(before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> list[str]:
    """Returns what is wrong, one sentence each: a change of code without one of version, or a stale file."""
    problems = []
    for name in sorted(before.keys() - now.keys()):
        problems.append(f"{name} is gone: refresh the fingerprints ({REFRESH})")
    for name, fingerprint in now.items():
        known = before.get(name)
        if known is None or known.version != fingerprint.version:
            problems.append(f"{name} is new or has a new version: refresh the fingerprints ({REFRESH})")
        elif known.digest != fingerprint.digest:
            problems.append(
                f"the code of {name} changed and its version did not: bump the version of {name}, "
                f"or, where no number can change, refresh the fingerprint ({REFRESH})"
            )
    return problems


def main() -> None:
    values = {name: fingerprint._asdict() for name, fingerprint in current().items()}
    COMMITTED.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
