from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cloakbench.errors import UserError
from cloakbench.submissions.new_package import start
from tests.command_forks import Helper


def test_the_new_package_passes_its_own_tests(forks: Helper, tmp_path: Path) -> None:
    new_files = start("my-cloak", tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in new_files} == {
        "my-cloak/pyproject.toml", "my-cloak/README.md", "my-cloak/my_cloak/__init__.py",
        "my-cloak/my_cloak/cloak.py", "my-cloak/tests/test_cloak.py",
    }  # fmt: skip
    facts = tomllib.loads((tmp_path / "my-cloak" / "pyproject.toml").read_text())
    assert facts["project"]["entry-points"]["cloakbench.protections"] == {"my-cloak": "my_cloak:MyCloak"}
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", ".", "tests"]
    command = forks.start_pytest(*options, cwd=tmp_path / "my-cloak", OMP_NUM_THREADS="1")
    out, err = command.communicate()
    assert command.returncode == 0, out + err
    assert "3 passed" in out


@pytest.mark.parametrize("name", ["", "My-Cloak", "a b", "../evil", "-x", "class", "a--b", "a/b"])
def test_bad_names_are_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a name such as my-cloak"):
        start(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my-cloak").mkdir()
    with pytest.raises(UserError, match="expected a folder that does not exist yet"):
        start("my-cloak", tmp_path)
    assert not list((tmp_path / "my-cloak").iterdir())
