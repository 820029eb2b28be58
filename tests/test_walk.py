"""A new submitter follows the README: its own commands, from `new` to a row on the board and a packed archive.

The short walk carries out the commands after the installation in one process, because most of their time is that of
importing the libraries; the long one starts each as the README says.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tiny

ROOT = Path(__file__).parents[1]
SECTION = "## Submit a protection"
VERBS = """
import json, sys
from cloakbench.cli import main

for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as ended:
        if ended.code:
            raise
"""
"""Runs one command of cloakbench after the other."""
DEMONSTRATION = tiny.TEXT.replace('description = "', 'demonstration = true\ndescription = "')


def commands() -> list[str]:
    """The commands of the README's section, as they stand there, without comments."""
    section = (ROOT / "README.md").read_text().partition(SECTION)[2].partition("\n## ")[0]
    return [line.partition("#")[0].strip() for line in re.findall(r"^    (.+)$", section, flags=re.MULTILINE)]


class Submitter:
    """A folder with a virtual environment of its own in which our packages can be imported and pip works offline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.environment], check=True)
        [packages] = self.environment.glob("lib/python*/site-packages")
        lent = "".join(f"import site; site.addsitedir({place!r})\n" for place in site.getsitepackages())
        (packages / "lent.pth").write_text(lent)
        python = self.environment / "bin" / "python"
        self._script("pip", f'exec {python} -m pip "$@"')
        self._script("cloakbench", f'exec {python} -c "from cloakbench.cli import main; main()" "$@"')
        self._script("cloakbench-verbs", f'exec {python} verbs.py "$@"')
        (folder / "verbs.py").write_text(VERBS)

    def _script(self, name: str, line: str) -> None:
        path = self.environment / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def run(self, command: str, **variables: str) -> str:
        offline = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1"}
        path = os.pathsep.join([str(self.environment / "bin"), os.environ["PATH"]])
        environment = {**os.environ, **offline, **variables, "PATH": path, "OMP_NUM_THREADS": "1"}
        environment.pop("CLOAKBENCH_STORE", None)
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def together(written: list[str]) -> list[str]:
    """The commands with those after the last of another program joined into one that runs them in one process."""
    *_, last = [number for number, command in enumerate(written) if not command.startswith("cloakbench ")]
    verbs = [shlex.split(command)[1:] for command in written[last + 1 :]]
    return [*written[: last + 1], f"cloakbench-verbs {shlex.quote(json.dumps(verbs))}"]


def walked(folder: Path, written: list[str], steps: int = 40, **variables: str) -> None:
    """Carries out the commands; `steps` are those of the new protection's descent, which its author may change."""
    submitter = Submitter(folder)
    printed = ""
    for command in written:
        printed += submitter.run(command, **variables)
        if command.startswith("cloakbench new "):
            code = folder / "my-cloak" / "my_cloak" / "cloak.py"
            code.write_text(code.read_text().replace("steps: int = 40", f"steps: int = {steps}"))
    assert "an official run would accept it" in printed
    board = json.loads((folder / "site" / "board.json").read_text())
    assert "my-cloak" in {row["protection"] for row in board["points"]}
    assert "my-cloak" in (folder / "site" / "index.html").read_text()
    with zipfile.ZipFile(folder / "my-cloak.zip") as archive:
        assert any(name.startswith("images/") for name in archive.namelist())


def test_the_readme_goes_from_new_to_a_row_on_the_board():
    verbs = []
    for command in commands():
        if command.startswith("cloakbench "):
            verbs.append(command.split()[1])
    assert verbs == ["new", "check", "run", "board", "submit"]


def test_a_new_submitter_gets_a_row_on_the_board_of_a_tiny_suite(weights, tmp_path):
    (tmp_path / "tiny.toml").write_text(DEMONSTRATION)
    short = []
    for command in commands():
        short.append(command.replace("mini-quick", "tiny.toml" if " run " in command else "tiny"))
    walked(tmp_path, together(short), steps=4, CLOAKBENCH_MODELS=str(weights))


@pytest.mark.long
def test_a_new_submitter_gets_a_row_on_the_board_by_the_readmes_very_commands(tmp_path):
    walked(tmp_path, commands())
