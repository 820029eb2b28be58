"""Code of an environment that runs before the worker: its interpreter, start-up files and a cloakbench of its own."""

from __future__ import annotations

import os
import site
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

import cloakbench
from cloakbench.submissions.guard import SubmissionFault
from cloakbench.submissions.package import package_digest
from cloakbench.submissions.sandbox import kernel
from cloakbench.submissions.sandbox.client import Limits, SandboxedSubmission
from tests import roots
from tests.submissions import hostile, sandboxes
from tests.submissions.findings import FINDINGS, Outcome
from tests.waiting import has_ended, wait_until

SOURCE = """
import builtins
from cloakbench import Protection


class Hostile(Protection):
    title = " ".join(builtins.outcome)
    licence = "none"

    def protect(self, images, request):
        return images
"""
"""Its title says how each attempt of the start-up code ended."""
ATTEMPTS = """
import builtins, os, socket


def ends(name, act):
    try:
        act()
    except OSError:
        return name + ":refused"
    return name + ":done"


if not hasattr(builtins, "outcome"):
    ends("writes", lambda: open({note!r}, "w").close())  # bubblewrap: in a /tmp of its own
    builtins.outcome = [
        ends("reads", lambda: open({secret!r}).read()),
        ends("connects", lambda: socket.socket(socket.AF_INET).connect(("127.0.0.1", {port}))),
        ends("chmods", lambda: os.chmod({secret!r}, 0o777)),
        ends("asks the kernel", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    ]
"""


STAYS = """
import builtins, ctypes, os, subprocess

builtins.outcome = ["stays"]
note = os.path.join(os.environ["TMPDIR"], "started")
if not os.path.exists(note):
    open(note, "w").close()
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # no process that has lost its parent becomes a child of this one
    subprocess.run(["setsid", "sh", "-c", "sleep {seconds} &"], env={{"PATH": os.environ["PATH"]}})
"""
"""A daemon with no parent, session and environment, started before the worker; `seconds` tells it from others."""


def by_a_start_up_file(packages: Path, code: str) -> None:
    (packages / "early_deeds.py").write_text(code)
    (packages / "early.pth").write_text("import early_deeds\n")


def by_a_site_module(packages: Path, code: str) -> None:
    (packages / "sitecustomize.py").write_text(code)


def by_a_cloakbench_of_its_own(packages: Path, code: str) -> None:
    real = Path(cloakbench.__file__)
    (packages / "cloakbench").mkdir()
    (packages / "cloakbench" / "__init__.py").write_text(
        f"{code}\n__path__ = [{str(real.parent)!r}]\nexec(open({str(real)!r}).read())\n"
    )


def make_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of packages of a new environment for the submission `early`, beside a secret file."""
    (tmp_path / "secret").write_text("private")
    (tmp_path / "secret").chmod(0o600)
    own = tmp_path / "environments" / "early"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", own], check=True)
    [packages] = own.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text("\n".join([*site.getsitepackages(), *roots.IMPORTABLE]) + "\n")
    hostile.install(packages, "early", SOURCE)
    monkeypatch.setenv("CLOAKBENCH_ENVIRONMENTS", str(own.parent))
    package_digest.cache_clear()
    return packages


def is_held(isolation: str) -> bool:
    """Returns whether the walls hold for code that runs before the worker."""
    return FINDINGS["D30"].plain is Outcome.HELD or isolation != "plain"


def require_walls(isolation: str, secret: Path, note: Path) -> None:
    """Fails unless the attempts on a file of the maintainer and on a new file ended as the isolation promises."""
    assert secret.stat().st_mode & 0o777 == (0o600 if is_held(isolation) else 0o777)
    assert note.exists() is not is_held(isolation)


@pytest.mark.finding("D30")
@pytest.mark.parametrize("isolation", sandboxes.MODES)
@pytest.mark.parametrize("place", [by_a_start_up_file, by_a_site_module, by_a_cloakbench_of_its_own])
def test_code_that_runs_before_the_worker_meets_the_walls(
    isolation: str, place: Callable[[Path, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isolation == "process" and kernel.landlock_version() < 1:
        pytest.skip("the kernel has no Landlock")
    secret, note = tmp_path / "secret", tmp_path / "note"
    packages = make_environment(tmp_path, monkeypatch)
    sandboxes.choose(isolation, monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as server:
        place(packages, ATTEMPTS.format(secret=str(secret), note=str(note), port=server.getsockname()[1]))
        with SandboxedSubmission("early", Limits(seconds=600)) as worker:
            title = worker.load().title
    ending = "refused" if is_held(isolation) else "done"
    assert title == f"reads:{ending} connects:{ending} chmods:{ending} asks the kernel:{ending}"
    require_walls(isolation, secret, note)


@pytest.mark.finding("D30")
@pytest.mark.parametrize("isolation", sandboxes.MODES)
def test_a_program_in_place_of_its_interpreter_meets_the_walls(
    isolation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isolation == "process" and kernel.landlock_version() < 1:
        pytest.skip("the kernel has no Landlock")
    secret, note = tmp_path / "secret", tmp_path / "note"
    python = make_environment(tmp_path, monkeypatch).parents[2] / "bin" / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\ncat '{secret}' > '{note}'\nchmod 777 '{secret}'\nexit 3\n")
    python.chmod(0o755)
    sandboxes.choose(isolation, monkeypatch)
    with SandboxedSubmission("early", Limits(seconds=600)) as worker, pytest.raises(SubmissionFault):
        worker.load()
    require_walls(isolation, secret, note)


@pytest.mark.finding("D31")
@pytest.mark.parametrize("isolation", sandboxes.MODES)
def test_a_start_up_file_cannot_take_over_who_ends_its_processes(
    isolation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages, seconds = make_environment(tmp_path, monkeypatch), str(10**6 + os.getpid())
    (packages / "early_deeds.py").write_text(STAYS.format(seconds=seconds))
    (packages / "early.pth").write_text("import early_deeds\n")
    sandboxes.choose(isolation, monkeypatch)
    with SandboxedSubmission("early", Limits(seconds=600)) as worker:
        worker.load()
        daemons = sleeping(seconds)
        assert len(daemons) == 1
    try:
        assert worker.left_behind == 1
        wait_until(partial(has_ended, daemons[0].pid), "the end of a daemon", 5)
    finally:
        for daemon in sleeping(seconds):
            daemon.kill()


def sleeping(seconds: str) -> list[psutil.Process]:
    """Returns the daemons that sleep for so long."""
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", seconds]]
