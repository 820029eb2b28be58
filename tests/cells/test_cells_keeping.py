"""Verifying, merging and clearing stores, on a store that a run has made."""

from __future__ import annotations

import json
import shutil

import pytest

from cloakbench import cli
from cloakbench.errors import UserError
from cloakbench.store.reading import export_reference
from cloakbench.store.store import Store
from cloakbench.upkeep.gc import clear
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.verify import verify
from tests.cells.folders import spoil
from tests.running import told

pytestmark = pytest.mark.usefixtures("stand_ins")
"""The weights that the run measured with: a merge compares recipes, which name them."""


@pytest.fixture
def store(good_run, tmp_path):
    shutil.copytree(good_run.store.root, tmp_path / "store")
    return Store(tmp_path / "store")


def test_a_runs_own_store_and_its_reference_verify(good_run, tmp_path):
    report = verify(good_run.store.root)
    assert (report.suite, report.records, report.problems) == ("tiny", len(good_run.cells), [])
    assert report.images > 0
    export_reference(good_run.store.root, None, tmp_path / "reference")
    assert verify(tmp_path / "reference").problems == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["components"]["protect"].update(strength=0.25), "expected the parent 'protect'"),
        (lambda d: d["components"]["measure"].update(judge="f" * 64), "expected the key of its recipe"),
        (lambda d: d["generations"].pop("style-distance"), "expected the metric 'style-distance', got none"),
        (lambda d: d.update(status="failed"), "expected a reason for the status failed"),
        (lambda d: d["digests"].update(protect=["0" * 64] * 3), "expected the images of 'protect'"),
    ],
)
def test_each_forgery_is_found(store, change, words):
    spoil(store, change)
    assert any(words in problem for problem in verify(store.root).problems)


def test_a_changed_image_is_found(store):
    picture = sorted(store.root.glob("images/*/*/*/000.png"))[0]
    picture.write_bytes(picture.read_bytes()[:300])
    assert any("are damaged" in problem for problem in verify(store.root).problems)


def test_verify_ends_with_2_and_says_what(store, capsys):
    spoil(store, lambda d: d["components"]["measure"].update(judge="f" * 64))
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", str(store.root)])
    assert ended.value.code == 2
    assert "1 faults" in capsys.readouterr().out


def test_two_halves_merge_into_the_whole(good_run, store, tmp_path):
    halves = [Store(tmp_path / name) for name in ("a", "b")]
    for half in halves:
        shutil.copytree(store.root, half.root)
    for number, path in enumerate(sorted(store.records())):
        (halves[number % 2].root / path.relative_to(store.root)).unlink()
    whole = Store(tmp_path / "whole")
    done = merge([half.root for half in halves], whole)
    assert (done.records, done.known) == (len(good_run.cells), 0)
    assert done.files > 0
    assert told(whole) == told(good_run.store)
    assert verify(whole.root).problems == []
    again = merge([half.root for half in halves], whole)
    assert (again.records, again.files) == (0, 0)


def test_a_source_that_does_not_verify_is_refused_whole(good_run, store, tmp_path):
    spoil(store, lambda d: d["components"]["measure"].update(judge="f" * 64))
    target = Store(tmp_path / "target")
    with pytest.raises(UserError, match="expected records that verify, got 1 faults"):
        merge([good_run.store.root, store.root], target)
    assert not list(target.records())


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(UserError, match="which has neither facts"):
        merge([tmp_path], Store(tmp_path / "target"))


def test_clearing_removes_only_what_no_record_names(store):
    before = told(store)
    files = {path for path in store.root.rglob("*") if path.is_file()}
    assert clear(store).stages == 0
    assert {path for path in store.root.rglob("*") if path.is_file()} == files
    stray = store.root / "images" / "ab" / ("ab" + "0" * 62) / "env" / "000.png"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"12345")
    assert (clear(store, dry_run=True).stages, stray.exists()) == (1, True)
    done = clear(store)
    assert (done.stages, done.bytes, stray.exists()) == (1, 5, False)
    assert told(store) == before


def test_nothing_is_cleared_while_a_record_is_damaged(store):
    next(iter(store.records())).write_text("{")
    with pytest.raises(UserError, match="expected readable records"):
        clear(store)


def test_a_boards_numbers_are_worked_out_from_the_rows_again(store, tmp_path, cloakbench):
    cloakbench("board", "tiny", "--store", store.root, "--out", tmp_path / "site", "--unofficial")
    board = tmp_path / "site" / "board.json"
    assert verify(store.root, board=board).problems == []
    said = json.loads(board.read_bytes())
    said["points"][0]["p"]["value"] = 0.99
    board.write_text(json.dumps(said))
    [problem] = verify(store.root, board=board).problems
    assert problem.startswith("board.json.points[0].p.value: expected ")
    assert problem.endswith(", got 0.99")
    result = cloakbench("verify", store.root, "--board", board)
    assert (result.code, "points[0].p.value" in result.out) == (2, True)


def test_what_a_killed_process_left_half_written_is_cleared(store):
    before = told(store)
    (store.root / "records" / ".partial-abc").write_bytes(b"123")
    done = clear(store)
    assert (done.stages, done.partial, done.bytes) == (0, 1, 3)
    assert told(store) == before
