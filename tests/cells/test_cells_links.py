"""Links, pipes and files of any size in a stranger's folder: none leads to the maintainer's files."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cloakbench.errors import InfrastructureError, UserError
from cloakbench.schemas.record import Record
from cloakbench.store import origins, paths, reading, running
from cloakbench.store.store import Store
from cloakbench.upkeep.gc import clear
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.verify import verify

pytestmark = pytest.mark.usefixtures("stand_ins")
ORIGIN = f"origins/ab/{'ab' * 32}/0123456789ab.json"
MANIFEST = "signatures/0123456789abcdef.manifest"


def files(root: Path) -> list[str]:
    """Returns the names of all files below a folder but for the lock of merges."""
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.name != "merge.lock")


@pytest.mark.finding("D2")
@pytest.mark.parametrize("name", [MANIFEST, ORIGIN, "origins.jsonl"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_cannot_be_read_beside_the_records_counts_for_nothing(
    name: str, make: Callable[[Path], None], source: Store, reference: Path
) -> None:
    is_reference = name.endswith(".jsonl")
    folder = reference if is_reference else source.root
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    make(folder / name)
    assert reading.load(folder).signed == {}
    if is_reference:
        with pytest.raises(UserError, match="origins"):
            origins.read(folder)
    else:
        assert set(origins.read(folder).values()) <= {origins.UNREADABLE}


@pytest.mark.finding("D2")
def test_more_folders_in_each_other_than_a_path_can_name_are_refused_in_few_words(reference: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(reference)
    try:
        for _ in range(30):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
    finally:
        os.fchdir(here)
        os.close(here)
    for read in (verify, lambda path: merge([path], Store(path.parent / "target"))):
        with pytest.raises(UserError, match="too long") as caught:
            read(reference)
        assert len(caught.value.message) < 1000
    subprocess.run(["rm", "-rf", "--", str(reference)], check=True)  # shutil cannot


@pytest.mark.finding("D24")
@pytest.mark.parametrize("name", ["records.jsonl", "canaries.jsonl", "origins.jsonl"])
def test_a_file_of_any_size_is_refused_unread(name: str, reference: Path, tmp_path: Path) -> None:
    with (reference / name).open("ab") as file:
        file.truncate(1 << 32)
    with pytest.raises(UserError, match="bytes"):
        merge([reference], Store(tmp_path / "target"))


@pytest.mark.finding("D22")
@pytest.mark.parametrize("read", [verify, reading.load, lambda path: merge([path], Store(path.parent / "target"))])
def test_no_file_is_moved_out_of_a_folder_that_an_interrupted_merge_links_to(
    read: Callable[[Path], object], source: Store, tmp_path: Path
) -> None:
    """Reading a store completes a merge into it that was killed: this one looks like one, and was not."""
    home = tmp_path / "home" / "facts"
    home.mkdir(parents=True)
    (home / "mine-1.json").write_text("private")
    (source.root / ".committed-0").symlink_to(home.parent)
    with contextlib.suppress(UserError):  # a merge names the link
        read(source.root)
    assert (home / "mine-1.json").read_text() == "private"
    assert not (source.root / "facts" / "mine-1.json").exists()
    assert any("symbolic link" in problem for problem in verify(source.root).problems)


@pytest.mark.finding("D22")
@pytest.mark.parametrize("read", [verify, reading.load, lambda path: merge([path], Store(path.parent / "target"))])
def test_no_file_is_moved_by_an_interrupted_merge_through_a_link(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    home, folder = tmp_path / "home", tmp_path / "stranger"
    home.mkdir()
    for name in ("facts/mine-1.json", "signatures/authorized_keys"):
        (folder / ".committed-0" / name).parent.mkdir(parents=True)
        (folder / ".committed-0" / name).write_text("evil")
        (folder / name).parent.symlink_to(home)
    with pytest.raises(InfrastructureError, match="symbolic link"):
        read(folder)
    assert list(home.iterdir()) == []


@pytest.mark.finding("D22")
def test_a_merge_into_a_store_with_links_is_refused_before_anything_arrives(source: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "records").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="symbolic link"):
        merge([source.root], Store(tmp_path / "target"))
    assert files(tmp_path / "elsewhere") == files(tmp_path / "target") == []


@pytest.mark.finding("D23")
def test_a_hard_link_gives_away_no_file_by_a_merge(source: Store, tmp_path: Path) -> None:
    (tmp_path / "private.key").write_text("PRIVATE")
    path = next(file for file in source.stage_files() if file.suffix == ".webp")
    path.unlink()
    path.hardlink_to(tmp_path / "private.key")
    with pytest.raises(UserError, match="hard link"):
        merge([source.root], Store(tmp_path / "target"))
    assert files(tmp_path / "target") == []


@pytest.mark.finding("D23")
@pytest.mark.parametrize("make", [Path.hardlink_to, Path.symlink_to])
def test_a_link_gives_away_no_file_by_an_export(
    make: Callable[[Path, Path], None], source: Store, tmp_path: Path
) -> None:
    (tmp_path / "private.key").write_text("PRIVATE")
    (source.root / "signatures").mkdir(exist_ok=True)
    make(source.root / MANIFEST, tmp_path / "private.key")
    with pytest.raises(UserError, match="files of their own"):
        reading.export_reference(source.root, None, tmp_path / "exported")
    assert not (tmp_path / "exported" / "signatures").exists()


@pytest.mark.finding("D23")
def test_what_replaces_a_hard_link_leaves_its_other_name_as_it_was(source: Store, tmp_path: Path) -> None:
    """Files of a store are replaced by a rename, never written in place."""
    path = next(source.records())
    (tmp_path / "other name").hardlink_to(path)
    before, record = path.read_bytes(), Record.model_validate_json(path.read_bytes())
    source.write_record(record.model_copy(update={"created": "2020-01-01T00:00:00+00:00"}))
    assert path.read_bytes() != before
    assert (tmp_path / "other name").read_bytes() == before


@pytest.mark.finding("D27")
@pytest.mark.parametrize("kind", [*paths.STAGE_KINDS, "origins"])
@pytest.mark.parametrize("depth", ["prefix", "stage", "unfinished"])
def test_gc_removes_nothing_that_a_link_leads_to(source: Store, tmp_path: Path, kind: str, depth: str) -> None:
    private = tmp_path / "private"
    (private / "folder").mkdir(parents=True)
    (private / "folder" / "letter.txt").write_text("mine")
    (private / ".partial-0").write_text("mine")
    link = {"prefix": f"{kind}/zz", "stage": f"{kind}/zy/{'zy' * 32}", "unfinished": f"{kind}/.partial-link"}[depth]
    (source.root / link).parent.mkdir(parents=True, exist_ok=True)
    (source.root / link).symlink_to(private)
    with pytest.raises(UserError, match="symbolic link"):
        clear(source)
    assert (private / "folder" / "letter.txt").read_text() == "mine"
    assert (private / ".partial-0").read_text() == "mine"


@pytest.mark.finding("D2", "D27")
def test_a_pipe_or_a_link_in_place_of_the_lock_of_runs_is_no_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / running.LOCK)
    assert not running.is_running(tmp_path)
    (tmp_path / running.LOCK).unlink()
    (tmp_path / running.LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), running.running(tmp_path):
        pass
    assert not running.is_running(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
