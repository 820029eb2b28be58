"""Refreshing the tiny suite on stand-in weights: what is due, what runs, what is said."""

from __future__ import annotations

import json

import pytest
import tiny
from filelock import FileLock

from cloakbench.runs.choice import Choice
from cloakbench.runs.executors import ExecutorOptions
from cloakbench.schemas.kinds import Status
from cloakbench.store import reading
from cloakbench.store.store import Store
from cloakbench.upkeep import refresh

INLINE = ExecutorOptions("inline")


class Board:
    """A suite's file, its store and its site."""

    def __init__(self, folder) -> None:
        self.suite, self.store, self.site = folder / "tiny.toml", folder / "store", folder / "site"
        self.write(tiny.TEXT)
        self.arguments = ["refresh", self.suite, "--protection", "placebo", "--store", self.store, "--out", self.site]

    def write(self, text: str) -> None:
        self.suite.write_text(text)

    def refresh(self) -> refresh.Refreshed:
        return refresh.refresh(Choice(str(self.suite), ["placebo"]), self.store, self.site, INLINE, unofficial=True)

    def due(self) -> list[refresh.Due]:
        return refresh.due(Choice(str(self.suite), ["placebo"]), self.store)

    def files(self) -> dict[str, bytes]:
        """All but the canaries, of which every refresh adds some."""
        content_by_path = {}
        for p in self.store.rglob("*"):
            if p.is_file():
                content_by_path[p.relative_to(self.store).as_posix()] = p.read_bytes()
        return {name: data for name, data in content_by_path.items() if not name.startswith("canaries/")}


@pytest.fixture(scope="module")
def board(weights, tmp_path_factory):
    """Refreshed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        board = Board(tmp_path_factory.mktemp("board"))
        dry = board.due()
        assert not board.store.exists(), "a dry run writes nothing"
        assert sum(dry_line.missing for dry_line in dry) == 7
        assert {reason for dry_line in dry for reason in dry_line.reasons} == {"no record yet"}
        first = board.refresh()
        assert (first.ran, first.rescored, first.lost, first.busy) == (7, 0, 0, False)
        assert {line.split(":")[0] for line in first.moved} == {"floor", "identity", "placebo", "random-noise"}
        return board


@pytest.mark.usefixtures("stand_ins")
def test_a_second_refresh_runs_nothing_and_keeps_the_account_of_the_first(board, cloakbench):
    before, page = board.files(), (board.site / "changes.html").read_bytes()
    result = cloakbench(*board.arguments, "--unofficial", "--json")
    said = json.loads(result.out)
    assert (result.code, said["ran"], said["rescored"], len(said["canaries"])) == (0, 0, 0, 2)
    assert len(said["moved"]) == 4
    assert board.files() == before
    assert (board.site / "changes.html").read_bytes() == page
    assert cloakbench(*board.arguments, "--dry-run").out == "missing: 0, of which measured again: 0\n"


@pytest.mark.usefixtures("stand_ins")
def test_of_two_at_once_the_second_says_so_and_ends_well(board, cloakbench):
    before = board.files()
    with FileLock(board.store / refresh.LOCK):
        result = cloakbench(*board.arguments, "--unofficial")
    assert (result.code, result.out) == (0, "")
    assert result.err.endswith(f"another refresh is at work on {board.store}; nothing to do\n")
    assert board.files() == before


@pytest.mark.usefixtures("stand_ins")
def test_a_failing_gold_run_publishes_nothing_without_unofficial(board, cloakbench):
    before, page = board.files(), (board.site / "index.html").read_bytes()
    result = cloakbench(*board.arguments)
    assert result.code == 2
    assert "expected checks with known answers that hold" in result.err
    assert (board.files(), (board.site / "index.html").read_bytes()) == (before, page)


@pytest.mark.usefixtures("stand_ins")
def test_metrics_that_changed_are_measured_again_and_stale_attacks_run(board):
    board.write(tiny.TEXT.replace('sets = ["frechet", "kid"]', 'sets = ["frechet"]'))
    assert {reason for due_entry in board.due() for reason in due_entry.reasons} == {"metrics only"}
    assert sum(due_entry.rescored for due_entry in board.due()) == 7
    done = board.refresh()
    assert (done.rescored, done.ran) == (7, 0)
    board.write(tiny.TEXT.replace("sigma = 0.05", "sigma = 0.1"))
    assert {reason for due_entry in board.due() for reason in due_entry.reasons} == {"stale: suite"}
    done = board.refresh()
    assert (done.rescored, done.ran) == (0, 3), "the cells of the one attack"
    assert any("suite: countermeasure" in line for line in done.moved)


@pytest.mark.usefixtures("stand_ins")
def test_a_lost_cell_is_tried_again(board):
    board.write(tiny.TEXT)
    board.refresh()
    store = Store(board.store)
    record = next(r for r in reading.load(board.store).records if r.protection.name == "placebo")
    store.write_record(record.model_copy(update={"status": Status.INFRA_ERROR, "reason": "no disk"}))
    [due_cells] = board.due()
    assert due_cells.reasons == {"to be tried again: infra_error": 1}
    assert board.refresh().ran == 1


def test_workers_and_suites_are_looked_at_first(cloakbench):
    assert cloakbench("refresh", "mini", "--workers", "0").code == 2
    result = cloakbench("refresh", "minii")
    assert (result.code, "did you mean" in result.err.lower()) == (2, True)


def test_workers_and_salt_reach_the_run(cloakbench, tmp_path, monkeypatch):
    asked = []
    page = refresh.Refreshed(page=tmp_path / "index.html")
    monkeypatch.setattr(refresh, "refresh", lambda *given: asked.append(given) or page)
    secret = tmp_path / "salt"
    secret.write_text("0123456789abcdef")
    arguments = (
        "--protection",
        "placebo",
        "--workers",
        "3",
        "--salt-file",
        secret,
        "--store",
        tmp_path,
        "--unofficial",
    )
    assert cloakbench("refresh", "mini", *arguments).code == 0
    [(choice, root, out, executor, unofficial)] = asked
    assert (choice.suite, [*choice.protections], choice.salt_file) == ("mini", ["placebo"], secret)
    assert (root, out.name, executor.workers, unofficial) == (tmp_path, "site", 3, True)
