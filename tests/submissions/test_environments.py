"""A submission in a virtual environment of its own: found, identified and run by its own interpreter."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cloakbench import submissions
from cloakbench.errors import UserError
from cloakbench.submissions import environments
from cloakbench.submissions.guard import Order
from cloakbench.submissions.package import package_digest
from cloakbench.submissions.sandbox import visible
from cloakbench.submissions.sandbox.client import Limits, SandboxedSubmission
from tests import roots
from tests.submissions import hostile

SOURCE = """
import sys
from cloakbench import Protection


class Hostile(Protection):
    title = sys.prefix
    licence = "none"

    def protect(self, images, request):
        return images + 1 / 255
"""
"""Its title says in which environment it runs."""
ORDER = Order(strength=1.0, budget_255=16, seed=0, class_word="painting", captions=["a painting"])
IMAGE = np.full((16, 24, 3), 120, dtype=np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`own-cloak` in an environment that borrows our packages by a .pth file."""
    root = tmp_path_factory.mktemp("environments")
    own = root / "Own_Cloak"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", own], check=True)
    [packages] = own.glob("lib/python*/site-packages")
    lent = [*site.getsitepackages(), *roots.IMPORTABLE]
    (packages / "lent.pth").write_text("\n".join(lent) + "\n")
    hostile.install(packages, "own-cloak", SOURCE)
    (packages / "own-cloak_module.py").rename(packages / "own_cloak_module.py")
    facts = (packages / "own-cloak-1.0.dist-info").rename(packages / "own_cloak-1.0.dist-info")
    (facts / "entry_points.txt").write_text("[cloakbench.protections]\nown-cloak = own_cloak_module:Hostile\n")
    (facts / "RECORD").write_text("own_cloak_module.py,,\n")
    hostile.install(packages, "stowaway", SOURCE)
    return root


@pytest.fixture(autouse=True)
def named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOAKBENCH_ENVIRONMENTS", str(root))
    package_digest.cache_clear()


def test_only_the_distribution_that_the_folder_is_named_after_is_found(root: Path) -> None:
    assert submissions.find("own-cloak").version == "1.0"
    assert environments.folder("own.cloak") == root / "Own_Cloak"
    with pytest.raises(UserError, match="expected an installed protection, got 'stowaway'"):
        submissions.find("stowaway")
    assert environments.python("own-cloak") == root / "Own_Cloak" / "bin" / "python"
    assert environments.python("cloakbench-controls") == Path(sys.executable)


def test_its_code_runs_in_its_own_environment_and_the_record_says_so(root: Path) -> None:
    with SandboxedSubmission("own-cloak", Limits(seconds=120)) as worker:
        assert worker.load().title == str(root / "Own_Cloak")
        assert worker.isolation.endswith(", own environment")
        done = worker.protect([IMAGE], ORDER)
        assert (done.images[0] == IMAGE + 1).all()
    assert "own environment" not in SandboxedSubmission("identity").isolation


def test_nobody_imports_it_into_our_own_process(root: Path) -> None:
    with pytest.raises(UserError, match="installed beside cloakbench, got 'own-cloak'") as told:
        submissions.load("own-cloak")
    assert told.value.hint == f"Call the cloakbench in it: {root / 'Own_Cloak' / 'bin' / 'cloakbench'}"


def test_other_versions_in_the_environment_make_another_entry(root: Path) -> None:
    before = package_digest("own-cloak")
    [packages] = (root / "Own_Cloak").glob("lib/python*/site-packages")
    hostile.install(packages, "newcomer", SOURCE)
    package_digest.cache_clear()
    assert package_digest("own-cloak") != before


def test_an_environment_without_a_python_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own-cloak"
    packages = own / "lib" / "python3.11" / "site-packages"
    hostile.install(packages, "own-cloak", SOURCE)
    monkeypatch.setenv("CLOAKBENCH_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(UserError, match="expected a Python in the environment"):
        environments.python("own-cloak")


def name_in_a_start_up_file(packages: Path, private: Path) -> None:
    (packages / "more.pth").write_text(f"{private}\n")


def name_by_a_relative_line(packages: Path, private: Path) -> None:
    (packages / "more.pth").write_text(os.path.relpath(private, packages) + "\n")


def name_by_a_link(packages: Path, private: Path) -> None:
    (packages / "linked").symlink_to(private)
    (packages / "more.pth").write_text("linked\n")


def name_the_root_by_dots(packages: Path, private: Path) -> None:
    (packages / "more.pth").write_text("/usr/..\n")


def name_as_an_editable_source(packages: Path, private: Path) -> None:
    hostile.install(packages, "elsewhere", SOURCE)
    [facts] = packages.glob("elsewhere-*.dist-info")
    origin = {"url": private.parent.as_uri(), "dir_info": {"editable": True}}
    (facts / "direct_url.json").write_text(json.dumps(origin))
    (facts / "top_level.txt").write_text(private.name + "\n")


def name_as_another_site(packages: Path, private: Path) -> None:
    other = packages.parents[1] / "python3.99"
    other.mkdir()
    (other / "site-packages").symlink_to(private)


def name_by_the_interpreter(packages: Path, private: Path) -> None:
    python = packages.parents[2] / "bin" / "python"
    python.unlink()
    python.symlink_to(private / "python")


@pytest.mark.finding("D26")
@pytest.mark.parametrize(
    "name",
    [
        name_in_a_start_up_file, name_by_a_relative_line, name_by_a_link, name_the_root_by_dots,
        name_as_an_editable_source, name_as_another_site, name_by_the_interpreter,
    ],
)  # fmt: skip
def test_an_environment_shows_no_folder_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Callable[[Path, Path], None]
) -> None:
    packages, private = tmp_path / "own/lib/python3.11/site-packages", tmp_path / "home" / "private"
    for folder in (packages, tmp_path / "own/bin", private):
        folder.mkdir(parents=True)
    (private / "python").write_text("")
    (tmp_path / "own/bin/python").symlink_to(sys.executable)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    own = site.getsitepackages()
    (packages / "lent.pth").write_text("\n".join(own) + "\n")
    name(packages, private)
    variables = {"HF_HOME": "/nowhere", "TORCH_HOME": "/nowhere"}
    shown = []
    for path in visible.folders(tmp_path / "own/bin/python", variables):
        shown.append(Path(os.path.realpath(path)))
    assert not [path for path in shown if private.is_relative_to(path) or path.is_relative_to(private)]
    assert {Path(os.path.realpath(path)) for path in own} <= set(shown)


def test_a_variable_that_names_no_folder_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOAKBENCH_ENVIRONMENTS", os.devnull)
    assert environments.folder("own-cloak") is None
    assert "identity" in submissions.discover().names
