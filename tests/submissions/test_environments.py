"""A submission in a virtual environment of its own: found, identified and run by its own interpreter."""

from __future__ import annotations

import os
import site
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cloakbench import submissions
from cloakbench.errors import UserError
from cloakbench.submissions import environments
from cloakbench.submissions.guard import Order
from cloakbench.submissions.package import package_digest
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


def test_a_variable_that_names_no_folder_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOAKBENCH_ENVIRONMENTS", os.devnull)
    assert environments.folder("own-cloak") is None
    assert "identity" in submissions.discover().names
