from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from cloakbench.errors import SubmissionError, UserError
from cloakbench.submissions.package import digest_of, package_digest
from tests.submissions.conftest import Environment

FILES = {"pack/__init__.py": "x = 1\n", "pack/data/table.json": "{}\n", "pack/deep/code.py": "y = 2\n"}
IMPORTABLE = {"pack/old.pyc": "?", "pack/tests/test_x.py": "assert 1\n", "pack/.mypy_cache/hidden.py": "z = 3\n"}
NOISE = {"pack/__pycache__/code.cpython-311.pyc": "?", "pack/.mypy_cache/3.11/code.data.json": "{}"}


def expected(files: dict[str, str]) -> str:
    lines = []
    for path, text in sorted(files.items()):
        lines.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.finding("A21")
@pytest.mark.parametrize("editable", [False, True])
def test_digest_covers_everything_that_can_be_imported(environment, editable: bool) -> None:
    owner = environment.install("pack", {"p": "pack:A"}, FILES | IMPORTABLE | NOISE, editable=editable)
    assert digest_of(owner) == expected(FILES | IMPORTABLE)
    for path in FILES | IMPORTABLE:
        before = digest_of(owner)
        (owner.root / path).write_text("changed = True\n")
        assert digest_of(owner) != before, path


@pytest.mark.finding("A20")
@pytest.mark.parametrize("top_level", ["dotpk.sub", "dotpk", "../dotpk", "dotpk/sub", ".", "dotpk.sub\ndotpk"])
def test_nothing_of_a_package_runs_while_its_digest_is_taken(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, top_level: str
) -> None:
    mark = tmp_path / "ran"
    files = {"dotpk/__init__.py": f"open({str(mark)!r}, 'w')\n", "dotpk/sub.py": "", "plain.py": ""}
    owner = environment.install("dot", {"p": "plain:A"}, files)
    owner.texts |= {"RECORD": "", "top_level.txt": top_level}
    monkeypatch.syspath_prepend(str(owner.root))
    digest_of(owner)
    assert not mark.exists()
    assert "dotpk" not in sys.modules


@pytest.mark.finding("D3")
@pytest.mark.parametrize("editable", [False, True])
def test_a_module_that_is_a_pipe_is_never_opened(environment: Environment, editable: bool) -> None:
    owner = environment.install("pack", {"p": "pack:A"}, {"pack.py": "x = 1\n"}, editable=editable)
    (owner.root / "pack.py").unlink()
    os.mkfifo(owner.root / "pack.py")
    with pytest.raises(SubmissionError, match="found none"):
        digest_of(owner)


@pytest.mark.finding("A21")
def test_code_that_the_record_does_not_name_counts(environment: Environment) -> None:
    owner = environment.install("pack", {"p": "pack:A"}, FILES)
    before = digest_of(owner)
    (owner.root / "pack" / "unlisted.py").write_text("x = 1\n")
    assert digest_of(owner) != before


def test_a_folder_that_links_to_itself_is_read_once(environment: Environment) -> None:
    owner = environment.install("pack", {"p": "pack:A"}, FILES, editable=True)
    (owner.root / "pack" / "again").symlink_to(owner.root / "pack")
    elsewhere = owner.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "code.py").write_text("x = 1\n")
    (owner.root / "pack" / "linked").symlink_to(elsewhere)
    before = digest_of(owner)
    (elsewhere / "code.py").write_text("x = 2\n")
    assert digest_of(owner) != before


def test_editable_sources_may_lie_in_src_or_be_one_module(environment) -> None:
    nested = {f"src/{path}": text for path, text in FILES.items()}
    owner = environment.install("nested", {"p": "pack.deep.code:A"}, nested | {"setup.py": "?"}, editable=True)
    assert digest_of(owner) == expected(FILES)
    single = environment.install("single", {"p": "only:A"}, {"only.py": "z = 1\n"}, editable=True)
    assert digest_of(single) == expected({"only.py": "z = 1\n"})


def test_scripts_and_installer_files_do_not_count(environment) -> None:
    owner = environment.install("pack", {"p": "pack:A"}, FILES)
    before = digest_of(owner)
    owner.texts["RECORD"] += "../../../bin/pack,,\npack-1.0.dist-info/INSTALLER,,\npack/gone.py,,\n"
    assert digest_of(owner) == before


def test_nothing_found_is_said(environment) -> None:
    owner = environment.install("hollow", {"p": "no_such_package_anywhere:A"})
    with pytest.raises(SubmissionError, match=r"files of hollow 1\.0, found none"):
        digest_of(owner)
    with pytest.raises(UserError, match="got 'absent'"):
        package_digest("absent", environment)
    with pytest.raises(UserError, match="got 'no-such-distribution-here'"):
        package_digest("no-such-distribution-here")


def test_installed_baselines_have_a_digest() -> None:
    assert len(package_digest("cloakbench-controls")) == 64
    assert package_digest("cloakbench-controls") != package_digest("cloakbench-photoguard")


def test_the_code_of_a_required_submission_is_part_of_the_digest(environment: Environment) -> None:
    environment.install("base", {"base": "base:Base"}, {"base.py": "x = 1"})
    user = environment.install("user", {"user": "user:User"}, {"user.py": "import base"})
    package_digest.cache_clear()
    alone = package_digest("user", environment)
    user.texts["METADATA"] += "Requires-Dist: base>=1\nRequires-Dist: absent; extra == 'more'\n"
    package_digest.cache_clear()
    together = package_digest("user", environment)
    (environment.root / "base" / "base.py").write_text("x = 2")
    package_digest.cache_clear()
    assert len({alone, together, package_digest("user", environment)}) == 3
