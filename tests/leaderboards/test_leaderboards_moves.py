"""What changed since the last board, and why: on records made by arithmetic."""

from __future__ import annotations

import pytest
import synthetic

from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.history import last_board
from cloakbench_leaderboards.history.last_board import LastBoard
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

NAMES = [f"artist-{n}" for n in range(1, 8)]
RECIPE = {
    "protect": {"stage": "protect", "version": 1, "package": "a" * 64, "surrogate": "b" * 64, "images": ["c" * 64]},
    "measure": {"stage": "measure", "metrics": {"style-distance": 1}, "judge": "d" * 64, "parents": {}},
}


def protected(name, power, key="", **fields):
    def one(artist):
        record = synthetic.record(name, artist, power, components=RECIPE)
        return record.model_copy(update={"key": key.ljust(8, "0") + record.key[8:], **fields} if key else fields)

    return [one(artist) for artist in NAMES]


def changed(stage, **fields):
    return {**RECIPE, stage: {**RECIPE[stage], **fields}}


def arms(seed=0):
    cell_records = []
    for n, name in enumerate(NAMES):
        cell_records += synthetic.arms(name, 0.3 + n / 100, 0.8, seed=seed)
    return [record.model_copy(update={"components": RECIPE}) for record in cell_records]


def board(*groups, control=None):
    records = [*(control or arms()), *(record for group in groups for record in group)]
    return gather(Loaded(synthetic.facts(synthetic.suite(NAMES)), records, [])), records


def between(before, after):
    (old, were), (new, are) = before, after
    known = {last_board.address(record): record for record in [*were, *are]}
    comparison = last_board.compare(last_board.state(old), last_board.state(new), known)
    return {move.protection: move for move in comparison.moves}


def test_equal_boards_have_no_moves_and_a_first_board_has_only_new_entries():
    shown_board = board(protected("cloak", 0.6))
    assert between(shown_board, shown_board) == {}
    first = last_board.compare(None, last_board.state(shown_board[0]), {})
    assert {move.what for move in first.moves} == {"new"}
    assert first.before == ""


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"components": changed("protect", package="e" * 64)}, "code", "package"),
        ({"components": changed("measure", metrics={"style-distance": 2})}, "code", "style-distance"),
        ({"components": changed("protect", surrogate="e" * 64)}, "weights", "surrogate"),
        ({"components": changed("measure", judge="e" * 64)}, "weights", "judge"),
        ({"components": changed("protect", images=["e" * 64])}, "data", "images"),
        ({"components": changed("protect", budget_255=8)}, "suite", "budget_255"),
        ({"salt_digest": "1" * 64}, "suite", "salt"),
    ],
)
def test_each_kind_of_cause_is_named(fields, kind, words):
    before = board(protected("cloak", 0.6), protected("other", 0.55))
    control = []
    for r in arms():
        control.append(r.model_copy(update={k: v for k, v in fields.items() if k == "salt_digest"}))
    other = []
    for r in protected("other", 0.55):
        other.append(r.model_copy(update={k: v for k, v in fields.items() if k == "salt_digest"}))
    after = board(protected("cloak", 0.5, "f", **fields), other, control=control)
    move = between(before, after)["cloak"]
    assert (move.what, move.rank_before, move.rank) == ("moved", 1, 2)
    assert move.p < move.p_before
    assert set(move.causes) == {kind} or kind == "suite"
    assert any(words in cause for cause in move.causes[kind])


def test_another_environment_is_named_by_what_differs_in_it():
    environment = synthetic.record("cloak", NAMES[0], 0.5).environment
    newer = environment.model_copy(update={"env_class": "other", "packages": {**environment.packages, "torch": "3.0"}})
    before = board(protected("cloak", 0.6))
    move = between(
        before,
        board(
            protected("cloak", 0.5, environment=newer),
            control=[r.model_copy(update={"environment": newer}) for r in arms()],
        ),
    )["cloak"]
    assert "torch" in " ".join(move.causes["environment"])
    assert "3.0" in " ".join(move.causes["environment"])


def test_an_entry_that_others_pass_and_one_that_goes_and_comes():
    before = board(protected("cloak", 0.6), protected("old", 0.5))
    moves = between(before, board(protected("cloak", 0.6), protected("new", 0.7)))
    assert {name: move.what for name, move in moves.items()} == {"cloak": "moved", "old": "gone", "new": "new"}
    assert moves["cloak"].causes == {"others": ["other protections moved"]}
    assert (moves["cloak"].rank_before, moves["cloak"].rank) == (1, 2)


def test_more_cells_and_moved_controls_are_causes():
    before = board(protected("cloak", 0.6)[:-1])
    moves = between(before, board(protected("cloak", 0.6)))
    assert moves["cloak"].causes == {"cells": ["1 more"]}
    stronger = []
    for r in arms():
        stronger.append(
            r.model_copy(update={"key": "9" + r.key[1:], "generations": {**r.generations, "style-distance": [0.9]}})
            if r.protection.role == "floor"
            else r
        )
    judged = []
    for r in stronger:
        judged.append(r.model_copy(update={"components": changed("measure", judge="e" * 64)}))
    moved = between(board(protected("cloak", 0.6)), board(protected("cloak", 0.6), control=judged))["cloak"]
    assert any(weight.startswith("references: ") and "judge" in weight for weight in moved.causes["weights"])


def test_the_page_and_its_data_say_it(tmp_path):
    name = "cloak[x=bold]"
    evidence, records = board(protected(name, 0.6))
    store = synthetic.save(tmp_path / "store", evidence.facts, records)
    state = last_board.state(evidence)
    last_board.write(store, LastBoard(state=state, changes=last_board.compare(None, state, {})))
    page = site.build(store, tmp_path / "out", unofficial=True)
    assert "Since the board of" not in page.read_text()
    text = (tmp_path / "out" / "changes.html").read_text()
    assert name in text
    assert "first board" in text
    assert 'href="changes.html"' in page.read_text()
    assert (tmp_path / "out" / "changes.json").read_text().startswith("{")


def test_the_front_page_says_what_moved_since_the_last_board(tmp_path):
    evidence, records = board(protected("new-cloak", 0.6))
    store = synthetic.save(tmp_path / "store", evidence.facts, records)
    state = last_board.state(evidence)
    others = {entry: standing for entry, standing in state.standings.items() if entry != "new-cloak"}
    before = state.model_copy(update={"standings": others, "updated": "2026-01-01"})
    last_board.write(store, LastBoard(state=state, changes=last_board.compare(before, state, {})))
    front = site.build(store, tmp_path / "out", unofficial=True).read_text()
    [line] = [line for line in front.splitlines() if "Since the board of 2026-01-01" in line]
    assert "1 new" in line
    assert 'href="changes.html"' in line


def test_an_unreadable_state_counts_as_none(tmp_path):
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "mini.json").write_text("{")
    assert last_board.read(tmp_path, "mini") is None
