"""A store that a stranger made, as the place to write to: links in it lead to no other file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from cloakbench import files
from cloakbench.store.store import Store

pytestmark = [pytest.mark.usefixtures("stand_ins"), pytest.mark.finding("D29")]
COMMANDS = {
    "run": ["run", "mini-quick", "--store", "STORE"],
    "merge": ["merge", "SOURCE", "--store", "STORE"],
    "adopt": ["adopt", "SOURCE", "--store", "STORE"],
    "gc": ["gc", "--store", "STORE"],
    "rescore": ["rescore", "mini-quick", "--store", "STORE"],
    "refresh": ["refresh", "mini-quick", "--store", "STORE", "--out", "OUT"],
    "sign": ["sign", "STORE", "--key", "KEY"],
}


def link_a_folder(store: Path, elsewhere: Path) -> None:
    (store / "calibrations").symlink_to(elsewhere)


def link_a_folder_of_a_key(store: Path, elsewhere: Path) -> None:
    (store / "records" / "zz").symlink_to(elsewhere)


def link_a_file(store: Path, elsewhere: Path) -> None:
    (store / "facts" / "mine-1.json").symlink_to(elsewhere / "letter.txt")


def link_to_a_file_that_is_absent(store: Path, elsewhere: Path) -> None:
    (store / "merge.lock").unlink(missing_ok=True)
    (store / "merge.lock").symlink_to(elsewhere / "new.txt")


def put_a_pipe(store: Path, _elsewhere: Path) -> None:
    os.mkfifo(store / "signatures")


VARIANTS = [link_a_folder, link_a_folder_of_a_key, link_a_file, link_to_a_file_that_is_absent, put_a_pipe]


def content(folder: Path) -> dict[str, bytes]:
    """Returns what a folder's regular files hold, by path."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("mine")
    return tmp_path / "home"


@pytest.mark.parametrize("put", VARIANTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_into_a_store_with_a_link(
    command: str,
    put: Callable[[Path, Path], None],
    cloakbench: Callable[..., object],
    source: Store,
    reference: Path,
    elsewhere: Path,
    tmp_path: Path,
) -> None:
    put(source.root, elsewhere)
    places = {"STORE": source.root, "SOURCE": reference, "OUT": tmp_path / "out", "KEY": tmp_path / "key"}
    before = content(source.root), content(elsewhere)
    result = cloakbench(*(places.get(word, word) for word in COMMANDS[command]))
    assert result.code == 2  # type: ignore[attr-defined]
    err = result.err  # type: ignore[attr-defined]
    assert "expected files and folders only in the store" in err
    assert "which is a symbolic link" in err or "which is neither a file nor a folder" in err
    assert (content(source.root), content(elsewhere)) == before


@pytest.mark.parametrize("put", [link_a_folder_of_a_key, link_a_folder])
def test_a_link_that_comes_later_is_not_followed(
    put: Callable[[Path, Path], None], source: Store, elsewhere: Path
) -> None:
    """As if the link came after the store was looked at."""
    put(source.root, elsewhere)
    [link] = [path for path in source.root.rglob("*") if path.is_symlink()]
    inside = link.relative_to(source.root)
    with pytest.raises(OSError, match=r"irectory|symbolic"):
        files.write_below(source.root, PurePath(inside, "letter.txt"), b"evil")
    with pytest.raises(OSError, match=r"irectory|symbolic"):
        files.remove_below(source.root, PurePath(inside, "letter.txt"))
    assert content(elsewhere) == {str(elsewhere / "letter.txt"): b"mine"}


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(source: Store, elsewhere: Path) -> None:
    link_a_file(source.root, elsewhere)
    files.write_below(source.root, PurePath("facts", "mine-1.json"), b"new")
    assert (elsewhere / "letter.txt").read_text() == "mine"
    assert (source.root / "facts" / "mine-1.json").read_bytes() == b"new"
    assert not (source.root / "facts" / "mine-1.json").is_symlink()


def test_a_store_that_is_named_by_a_link_is_written(source: Store, tmp_path: Path) -> None:
    """The user's own link leads where the user wants."""
    (tmp_path / "named").symlink_to(source.root)
    Store(tmp_path / "named").prepare()
    files.write_below(tmp_path / "named", PurePath("facts", "mine-1.json"), b"new")
    assert (source.root / "facts" / "mine-1.json").read_bytes() == b"new"
