"""Values, names and places in a stranger's records that a file can hold and that a program trips over."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile

import pytest

from cloakbench.errors import UserError
from cloakbench.store.store import Store
from cloakbench.upkeep import archive
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.verify import verify

pytestmark = pytest.mark.usefixtures("stand_ins")


def nested(depth):
    return {"a": nested(depth - 1)} if depth else {}


VALUES = {
    "more digits than Python converts": (("seed",), "9" * 5000),
    "a number of images with more digits": (("strength",), "9" * 5000),
    "the first moment there is, in a zone east of it": (("created",), '"0001-01-01T00:00:00+14:00"'),
    "the last moment, in a zone west of it": (("created",), '"9999-12-31T23:59:59-14:00"'),
    "an hour of 25": (("created",), '"2026-01-01T25:00:00+00:00"'),
    "objects in each other": (("components", "measure", "metrics"), json.dumps(nested(150))),
    "an object with a name twice": (("environment", "threads"), '1, "threads": 1e999'),
}


@pytest.mark.finding("D34")
@pytest.mark.parametrize("name", VALUES)
def test_every_command_says_in_words_what_is_wrong_with_a_value(name, reference, tmp_path, cloakbench):
    path, text = VALUES[name]
    lines = (reference / "records.jsonl").read_text().splitlines()
    document = json.loads(lines[0])
    parent = document
    for part in path[:-1]:
        parent = parent[part]
    parent[path[-1]] = "VALUE"
    lines[0] = json.dumps(document).replace('"VALUE"', text)
    (reference / "records.jsonl").write_text("\n".join(lines) + "\n")
    store = tmp_path / "store"
    commands = [
        ["verify", reference], ["merge", reference, "--store", store], ["adopt", reference, "--store", store],
        ["board", "--store", reference, "--unofficial", "--out", tmp_path / "site"], ["verify", store, "--json"],
    ]  # fmt: skip
    for command in commands:
        done = cloakbench(*command)
        assert done.code in (0, 1, 2)
        assert "Traceback" not in done.err
        assert "unexpected" not in done.err
    named = "expected recipes" if path[0] == "components" else "records.jsonl:1:"
    assert any(named in problem for problem in verify(reference).problems), verify(reference).problems


@pytest.mark.finding("D35")
@pytest.mark.parametrize("name", [b"\xff\xfe", b"\x1b[2J\x1b]0;x\x07", b"two\nlines", "\u202egnp.0000".encode()])
def test_names_of_files_that_no_text_can_hold_are_named_in_clean_words(name, source, tmp_path, cloakbench):
    for place in ("records", "images", "facts", "."):
        folder = source.root / place / os.fsdecode(name)
        folder.mkdir()
        (folder / f"{folder.name}.json").write_text("{}")
    store = tmp_path / "store"
    for command in (["verify", source.root], ["merge", source.root, "--store", store], ["gc", "--store", source.root]):
        for form in ([], ["--json"]):
            done = cloakbench(*command, *form)
            assert done.code in (0, 1, 2)
            assert "Traceback" not in done.err
            assert all(letter.isprintable() or letter == "\n" for letter in done.out + done.err)
    assert not [path for path in store.rglob("*") if os.fsencode(path.name).startswith(name)]


@pytest.mark.finding("D36")
def test_a_store_that_lies_in_the_one_it_is_merged_into_changes_nothing(source, tmp_path):
    inner = source.root / "records" / "inner"
    shutil.copytree(source.root, tmp_path / "copy")
    shutil.copytree(tmp_path / "copy", inner)
    before = contents(source.root)
    for other in (source.root, inner):
        with contextlib.suppress(UserError):
            assert merge([other], Store(source.root)).records == 0
    assert contents(source.root) == before


def contents(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.mark.finding("D37")
def test_a_name_that_leads_to_another_files_content_or_nowhere_is_refused(source, tmp_path):
    path = tmp_path / "good.zip"
    archive.pack("good", None, source.root, path)
    with zipfile.ZipFile(path) as opened:
        image = next(info for info in opened.infolist() if info.filename.endswith(".png"))
    raw = path.read_bytes()
    start = raw.rindex(image.filename.encode())  # in the list at the archive's end, after the place of its content
    assert int.from_bytes(raw[start - 4 : start], "little") == image.header_offset
    for other in (0, len(raw) + 1000, 2**32 - 1):
        (tmp_path / "x.zip").write_bytes(raw[: start - 4] + other.to_bytes(4, "little") + raw[start:])
        with pytest.raises(UserError, match="expected"):
            merge([tmp_path / "x.zip"], Store(tmp_path / "target"))
    assert not (tmp_path / "target" / "images").exists()
