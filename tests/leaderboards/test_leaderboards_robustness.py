"""The workflow and the hook that submitters copy: their own commands are run here."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from string import Template

import pytest
import synthetic
import yaml
from versions import FACTS, FEW, version, weaker

from cloakbench.submissions.new_package import start
from tests.programs import git, needs_git

SUBMISSIONS = Path(__file__).parents[2] / "submissions"
WORKFLOW = yaml.safe_load((SUBMISSIONS / "robustness.yml").read_text())
STEPS = [step["run"] for step in WORKFLOW["jobs"]["regress"]["steps"] if "run" in step]
COMMANDS = [line for step in STEPS for line in step.splitlines()]


def hook():
    """The hook's shell commands, from the YAML in the README."""
    [block] = [
        b for b in re.findall(r"```yaml\n(.*?)```", (SUBMISSIONS / "README.md").read_text(), re.S) if "repos" in b
    ]
    [entry] = [hook["entry"] for repo in yaml.safe_load(block)["repos"] for hook in repo["hooks"]]
    shell, flag, script = shlex.split(entry)
    assert (shell, flag) == ("sh", "-c")
    return script.split(" && ")


def test_the_workflow_is_one_that_github_takes():
    # YAML 1.1 reads the key `on` as true.
    assert WORKFLOW[True] == {"pull_request": None}
    assert WORKFLOW["permissions"] == {"contents": "read"}
    job = WORKFLOW["jobs"]["regress"]
    assert {"runs-on", "timeout-minutes", "steps"} == set(job)
    for step in job["steps"]:
        assert ("run" in step) != ("uses" in step)
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
    used = set(re.findall(r"\$([A-Z]+)", "\n".join(STEPS)))
    assert used == set(WORKFLOW["env"])


def words(line, variables):
    return shlex.split(Template(line).substitute(variables))


@pytest.mark.usefixtures("stand_ins", "forked_workers")
@pytest.mark.parametrize("lines", [COMMANDS, hook()], ids=["workflow", "hook"])
def test_its_commands_run_one_after_the_other(lines, tiny_suite, tmp_path, monkeypatch, cloakbench):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOAKBENCH_STORE", "results")
    variables = {**WORKFLOW["env"], "SUITE": str(tiny_suite), "PROTECTION": "photoguard[steps=2]"}
    lines = [
        line.replace("my-cloak", variables["PROTECTION"])
        .replace("run mini", f"run {tiny_suite}")
        .replace("strength=1", "strength=1 strength=0.5")
        for line in lines
    ]
    variables["CELLS"] = variables["CELLS"].replace("strength=1", "strength=1 strength=0.5")
    if not any("--baseline before" in line for line in lines):  # what the README says is committed
        cloakbench("run", tiny_suite, "--protection", variables["PROTECTION"], "--store", "first")
        cloakbench("export", "tiny", "--store", "first", "--out", "robustness")
    results = []
    for line in lines:
        if line.startswith("cloakbench "):
            results.append(cloakbench(*words(line, variables)[1:]))
    assert [result.code for result in results] == [0] * len(results), results
    assert len(results) >= 3
    assert "photoguard[steps=2] 0.2.0" in results[-1].out
    assert "equivalent" in results[-1].out


@pytest.mark.parametrize("line", [COMMANDS[-1], hook()[-1]], ids=["workflow", "hook"])
def test_its_last_command_fails_where_robustness_regressed_and_only_there(line, tmp_path, monkeypatch, cloakbench):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOAKBENCH_STORE", "after")
    after = version(FEW, "1.1", weaker(0.25), created="2026-02-01T00:00:00+00:00")
    for name, records in (("before", FEW), ("robustness", FEW), ("after", after)):
        synthetic.save(tmp_path / name, FACTS, records)
    command = words(line.replace("my-cloak", "photoguard"), {**WORKFLOW["env"], "PROTECTION": "photoguard"})
    assert cloakbench(*command[1:]).code == 1
    other = words(line.replace("my-cloak", "glaze"), {**WORKFLOW["env"], "PROTECTION": "glaze"})
    assert cloakbench(*other[1:]).code == 0


PIP = """#!/bin/sh
# Installs packages in a folder of the test's own; cloakbench itself is here.
for last; do :; done
[ -d "$last" ] || exit 0
rm -rf "$SITE"
exec {python} -m pip install -q --no-deps --no-build-isolation --no-index --target "$SITE" "$last"
"""


@pytest.mark.long
@needs_git
def test_the_workflows_steps_run_in_a_shell(weights, tiny_suite, tmp_path):
    """A pull request that changes the package of `cloakbench new`, from the checkout to the verdict."""
    [first, *_] = start("my-cloak", tmp_path)
    folder, tools, site = first.parent, tmp_path / "bin", tmp_path / "site"
    tools.mkdir()
    (tools / "pip").write_text(PIP.format(python=sys.executable))
    (tools / "pip").chmod(0o755)
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["commit", "-qm", "as it was"],
        ["switch", "-qc", "change"],
    ):
        git(folder, *command)
    code = folder / "my_cloak/cloak.py"
    code.write_text(code.read_text().replace("steps: int = 40", "steps: int = 2"))
    environment = {
        **os.environ,
        **WORKFLOW["env"],
        "SUITE": str(tiny_suite),
        "CELLS": "attack=dreambooth strength=0 strength=0.5 strength=1 seed=0",
        "BASE": "main",
        "SITE": str(site),
        "PYTHONPATH": str(site),
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CLOAKBENCH_MODELS": str(weights),
    }
    for step in STEPS:
        command = ["bash", "-e", "-o", "pipefail", "-c", step]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "my-cloak 0.1.0 (before) → my-cloak 0.1.0 (after), suite tiny 1: inconclusive" in done.stdout
    assert "changed: code: protect.package" in done.stdout
