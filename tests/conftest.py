from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from cloakbench.system import (
    cpu,  # noqa: F401 - before torch: tests compute with the instruction set of runs
    imports,
)
from tests import shared
from tests.command_forks import Helper

# A busy machine takes longer than Hypothesis's 200 ms per example, and than its second for making ten of them.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

SLOWEST_FILES = (
    "test_walk.py",
    "test_execute_ray.py",
    "test_cells_faults.py",
    "test_cells_isolated.py",
    "test_leaderboards_browser.py",
    "test_execute_local.py",
    "test_walls.py",
    "test_baselines_directions.py",
    "test_isolation.py",
    "test_attack_entries.py",
    "test_leaderboards_drilldown.py",
    "test_memory.py",
    "test_suites_seeds.py",
    "test_cells_fitting.py",
    "test_refreshing_kill.py",
    "test_jupyter.py",
    "test_cells_intake.py",
    "test_cells_verifying.py",
    "test_metrics_golden.py",
)
"""Files of about twenty processor seconds and more, first, because one that begins last runs alone at the end."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports the test modules without what their libraries import and hardly a test uses."""
    with imports.unused_skipped():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slowest files first, in their order; `make test` gives out files in the order of collection."""
    order = {name: number for number, name in enumerate(SLOWEST_FILES)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A folder of untrained stand-ins for all embedded weights."""
    import stand_in

    return shared.folder(tmp_path_factory, "weights", stand_in.write)


@pytest.fixture(scope="session")
def forks(tmp_path_factory) -> Iterator[Helper]:
    """Runs commands and workers of submissions in processes of their own that have imported the libraries already."""
    with Helper(tmp_path_factory.mktemp("forks"), shared.root(tmp_path_factory)) as helper:
        yield helper


@pytest.fixture
def forked_workers(forks) -> Iterator[None]:
    """Lets submissions run in forks, for tests of what is made of their answers."""
    with forks.workers():
        yield


@pytest.fixture
def stand_ins(weights, monkeypatch) -> Path:
    """Makes every alias mean its untrained stand-in."""
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    return weights


@pytest.fixture(scope="session")
def sd_weights(tmp_path_factory) -> Path:
    """A folder of stand-ins for all weights, those of Stable Diffusion too."""
    import sd_shaped
    import stand_in

    return shared.folder(tmp_path_factory, "sd", lambda folder: sd_shaped.write(stand_in.write(folder)))


@pytest.fixture
def sd_stand_ins(sd_weights, tmp_path, monkeypatch) -> Path:
    """Makes every alias mean its stand-in, with a lock file of the test's own."""
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(sd_weights))
    monkeypatch.setenv("CLOAKBENCH_LOCK", str(tmp_path / "lock.json"))
    return sd_weights


@pytest.fixture
def model(stand_ins):
    from cloakbench.models import loader

    return loader.load("mini-a")


@pytest.fixture
def tiny_suite(tmp_path) -> Path:
    """Path of a suite file that runs in a second on the stand-ins."""
    import tiny

    path = tmp_path / "tiny.toml"
    path.write_text(tiny.TEXT)
    return path


class CommandResult(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cloakbench(capsys) -> Callable[..., CommandResult]:
    """Runs the command line in this process."""
    from cloakbench import cli

    def run(*arguments: object) -> CommandResult:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(a) for a in arguments])
        said = capsys.readouterr()
        return CommandResult(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def python(weights) -> Callable[[str], str]:
    """Runs a few lines in a fresh interpreter and returns what they print."""

    def run(code: str) -> str:
        environment = {**os.environ, "CLOAKBENCH_MODELS": str(weights)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    return run


@pytest.fixture(scope="session")
def mimicry():
    """One real mimicry of a shipped artist on the trained mini-a: what tests of learning share."""
    import learned

    if not learned.present():
        pytest.skip("the trained weights of mini-a and mini-clip are not in the package yet")
    return learned.mimicry()
