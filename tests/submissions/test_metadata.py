"""Damaged metadata of one installed package: its own fault, and nobody else's."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cloakbench.errors import BenchmarkError
from cloakbench.submissions import discovery, environments, package, source_facts
from cloakbench.submissions.sandbox import bubblewrap, visible
from cloakbench.system.locations import ENVIRONMENTS_VARIABLE
from tests.submissions import hostile

INNOCENT = "cloakbench-photoguard"


@pytest.fixture(params=["beside the harness", "environment of its own"])
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that holds the distribution `evil`."""
    if request.param == "beside the harness":
        folder = tmp_path / "site-packages"
        monkeypatch.syspath_prepend(str(folder))
    else:
        folder = tmp_path / "own" / "evil" / "lib" / "python3" / "site-packages"
        monkeypatch.setenv(ENVIRONMENTS_VARIABLE, str(tmp_path / "own"))
    hostile.install(folder, "evil")
    package.package_digest.cache_clear()
    return folder


@pytest.mark.finding("A20")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("METADATA", b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\nRequires-Dist: \xff[[[ ;;;\n"),
        ("METADATA", b""),
        ("top_level.txt", b"\xff\xfe\n"),
        ("RECORD", b"evil_module.py,,\n\x00,,\n"),
        ("RECORD", b"\xff\xfe,,\n"),
        ("RECORD", b",,\n"),
        ("RECORD", b"/etc/hostname,,\n../../../../../../../etc/hostname,,\nevil_module.py,,\n"),
        ("direct_url.json", b"[]"),
        ("direct_url.json", b"\xff"),
        ("direct_url.json", b"[" * 100_000),
        ("direct_url.json", b'{"dir_info": {"editable": true}, "url": 5}'),
        ("direct_url.json", b'{"dir_info": {"editable": true}, "url": "file://[::1"}'),
        ("../evil.pth", b"\x00\n\xff\n/nonexistent\n"),
    ],
)
def test_damage_stops_nobody_else(site: Path, name: str, content: bytes) -> None:
    (site / "evil-1.0.dist-info" / name).write_bytes(content)
    assert discovery.find("photoguard").distribution == INNOCENT
    assert len(package.package_digest(INNOCENT)) == 64
    assert "cloakbench_photoguard" in package.importable_names(INNOCENT)
    assert environments.python(INNOCENT) == Path(sys.executable)
    assert visible.folders(Path(sys.executable), bubblewrap.environment(Path(os.curdir), "mark"))
    with contextlib.suppress(BenchmarkError):  # in words
        package.package_digest("evil")
    with contextlib.suppress(BenchmarkError):
        source_facts.problem(discovery.find("evil"))


@pytest.mark.finding("A20")
@pytest.mark.parametrize("source", ["-" * 200_000 + "1", "a" + ".b" * 100_000, "(" * 300, "\0", "x = 1\xff", "é" * 9])
def test_source_that_no_parser_can_read_is_refused_in_words(site: Path, source: str) -> None:
    (site / "evil_module.py").write_text(source, encoding="latin-1")
    assert "evil" in source_facts.problem(discovery.find("evil"))


def test_a_search_path_that_is_empty_shows_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty part would mean the folder in which the harness was started, with the store and the salt in it."""
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}/usr{os.pathsep}")
    variables = bubblewrap.environment(Path(os.curdir), "mark")
    assert variables["PYTHONPATH"] == "/usr"
    assert Path.cwd() not in visible.folders(Path(sys.executable), variables)


def as_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_an_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_terabytes_without_content(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


PLACES = [
    "METADATA",
    "RECORD",
    "entry_points.txt",
    "top_level.txt",
    "direct_url.json",
    "../more.pth",
    "../evil_module.py",
]


@pytest.mark.finding("D33")
@pytest.mark.parametrize("place", [as_a_pipe, as_an_endless_device, as_terabytes_without_content])
@pytest.mark.parametrize("name", PLACES)
def test_nobody_reads_without_end_what_an_environment_holds(
    name: str, place: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own" / "evil" / "lib" / "python3" / "site-packages"
    monkeypatch.setenv(ENVIRONMENTS_VARIABLE, str(tmp_path / "own"))
    hostile.install(folder, "evil")
    package.package_digest.cache_clear()
    path = folder / "evil-1.0.dist-info" / name
    path.unlink(missing_ok=True)
    place(path)
    problems: list[BaseException] = []
    reader = threading.Thread(target=read_everything, args=(tmp_path / "own" / "evil", problems), daemon=True)
    reader.start()
    reader.join(60)
    assert not reader.is_alive(), "it reads without end"
    assert problems == []


def read_everything(environment: Path, problems: list[BaseException]) -> None:
    """Does what a run, a list and a worker's start read of an environment; keeps what is no error in words."""
    try:
        assert discovery.find("photoguard").distribution == INNOCENT
        visible.folders(environment / "bin" / "python", bubblewrap.environment(Path(os.curdir), "mark", is_own=True))
        for act in (lambda: package.package_digest("evil"), lambda: source_facts.problem(discovery.find("evil"))):
            with contextlib.suppress(BenchmarkError):
                act()
    except BaseException as error:
        problems.append(error)
