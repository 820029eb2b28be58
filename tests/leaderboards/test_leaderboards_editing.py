from __future__ import annotations

import json
from pathlib import Path

import pytest
import synthetic
import synthetic_edits
from synthetic import EDIT, EDIT_METRICS, JPEG, PLAIN, arms, edited, lost, record

from cloakbench.schemas.kinds import Status
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.board import board
from cloakbench_leaderboards.board.board import view as board_view
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

NAMES = [f"artist{n}" for n in range(6)]
EDITING = {"metrics": EDIT_METRICS, "edit_prompts": ["a boat at night", "a boat in snow"], "rank_by": "dreambooth"}


def edits(names=NAMES):
    cell_records = [edited("x", name, [n / 10, n / 10 + 0.2]) for n, name in enumerate(names)]
    return [*cell_records, *(edited("placebo", name, [0.98, 0.96]) for name in names)]


def learned(names=NAMES):
    records = []
    for name in names:
        records += [*arms(name, 0.0, 1.0), record("x", name, 0.5)]
    return records


def view(records, names=NAMES, attacks=(PLAIN, EDIT), **changes):
    return board(Loaded(synthetic.facts(synthetic.suite(names, attacks, **{**EDITING, **changes})), records, []))


def cells(table, head, strength=None):
    labels = [column.label for column in table.columns]
    [rows_by_label] = [
        dict(zip(labels, row.cells, strict=True))
        for row in table.rows
        if row.head == head and (strength is None or row.cells[0].value == strength)
    ]
    return rows_by_label


def test_means_over_artists_with_their_interval():
    [section] = view([*learned(), *edits()]).editing.attacks
    row_cells = cells(section.table, "x")
    # artists' means 0.1, 0.2 ... 0.6: mean 0.35, t(5) 2.5706 * sd 0.18708 / root 6
    assert (row_cells["edit-ssim"].value, row_cells["edit-ssim"].detail) == (pytest.approx(0.35), "0.15 to 0.55")
    assert row_cells["edit-ssim"].low == pytest.approx(0.35 - 0.19633, abs=1e-4)
    assert row_cells["edit-psnr"].value == pytest.approx(20 + 40 * 0.35)
    assert row_cells["mini-lpips"].value == pytest.approx(0.3)
    assert cells(section.table, "placebo")["edit-ssim"].value == pytest.approx(0.97)
    assert [row.head for row in section.table.rows] == ["x", "placebo"]
    assert [(c.label, c.better) for c in section.table.columns][2:] == [("edit-ssim", "lower"), ("edit-psnr", "lower")]


def test_an_artist_weighs_the_same_however_many_seeds_it_has():
    cell_records = [edited("x", NAMES[0], [0.2]), edited("x", NAMES[0], [0.4], seed=1), edited("x", NAMES[1], [0.9])]
    [section] = view([*learned(), *cell_records]).editing.attacks
    assert cells(section.table, "x")["edit-ssim"].value == pytest.approx((0.3 + 0.9) / 2)


def test_below_six_artists_there_is_no_interval_and_the_reason_is_given():
    few = NAMES[:5]
    [section] = view([*learned(few), *edits(few)], few).editing.attacks
    row_cells = cells(section.table, "x")["edit-ssim"]
    assert (row_cells.low, row_cells.detail, row_cells.note) == (None, "", "5 artists, an interval needs 6")
    assert section.table.notes == ("No intervals: 5 artists, an interval needs 6.",)


def test_editing_moves_no_score_and_no_section():
    facts, records = synthetic.demonstration(artists=6, seeds=2)
    before = board(Loaded(facts, records, []))
    after = board(Loaded(*synthetic_edits.with_edits(facts, records), []))
    assert before.editing is None
    assert len(after.editing.attacks) == 1
    for part in ("headline", "attacks", "no_signal", "gaps"):
        assert getattr(before, part) == getattr(after, part)
    assert "5 attacks, editing and" in after.explanation[-1]


def test_an_entry_that_only_edits_has_no_score():
    shown_board = view([*learned(), *(edited("y", name, [0.5]) for name in NAMES)])
    y = next(row for row in shown_board.headline.rows if row.head == "y")
    assert y.cells[0].value is None
    assert (y.cells[2].text, y.cells[2].note) == (text.NONE, "no record at this strength")
    for point in shown_board.attacks[0].curve.series:
        assert point.label != "y"
    assert cells(shown_board.editing.attacks[0].table, "y")["edit-ssim"].value == 0.5


def test_failed_and_absent_edits_are_gaps_and_counted_in_the_cell():
    records = [*learned(), *edits()]
    records[records.index(edited("x", NAMES[5], [0.5, 0.7]))] = lost(
        "x", NAMES[5], Status.FAILED, "it broke", attack=EDIT
    )
    records.remove(edited("x", NAMES[4], [0.4, 0.6000000000000001]))
    shown_board = view(records)
    x = cells(shown_board.editing.attacks[0].table, "x")["edit-ssim"]
    # 0.1 ... 0.4 are left
    assert (x.value, x.detail, x.flag) == (pytest.approx(0.25), "", "2 missing")
    assert x.note == "4 artists, an interval needs 6"
    assert [(gap.what, gap.status, gap.reason) for gap in shown_board.gaps] == [
        ("x · edit", "absent", "no record yet"),
        ("x · edit", "failed", "it broke"),
    ]
    # P of dreambooth stays whole
    assert "second" in next(row for row in shown_board.headline.rows if row.head == "x").cells[0].note


def test_an_entry_without_an_edit_says_so():
    [section] = view(learned()).editing.attacks
    row_cells = cells(section.table, "x")["edit-ssim"]
    assert (row_cells.text, row_cells.note) == (text.NONE, "no measurement")


def test_a_suite_that_ranks_by_the_worst_case_shows_its_first_ranked_attack():
    shown_board = view([*learned(), *edits()], attacks=(EDIT, PLAIN), rank_by="worst-case")
    assert shown_board.headline.caption == "All protections at equal strength, against “dreambooth”"
    assert [section.name for section in shown_board.attacks] == ["dreambooth"]


def test_cleaning_before_the_edit_has_a_table_of_its_own():
    cleaned = JPEG.model_copy(update={"name": "noise-jpeg-edit", "countermeasure": "noise+jpeg", "mimicry": "edit"})
    records = [*learned(), *edits(), *(edited("x", name, [0.8], attack=cleaned) for name in NAMES)]
    sections = view(records, attacks=(PLAIN, EDIT, cleaned)).editing.attacks
    assert [section.name for section in sections] == ["edit", "noise-jpeg-edit"]
    assert sections[1].chain == "noise → jpeg → edit on mini-a → compare with the clean edit"
    assert [cells(section.table, "x")["edit-ssim"].value for section in sections] == [pytest.approx(0.35), 0.8]


def test_page_and_data_show_edits_only_where_there_are_some():
    def made(records, attacks=(PLAIN,), **changes):
        evidence = gather(Loaded(synthetic.facts(synthetic.suite(NAMES, attacks, **changes)), records, []))
        shown_board = board_view(evidence)
        return shown_board, {
            site_file.path: site_file for site_file in site.files(Material(evidence, shown_board, Path("nowhere")))
        }

    with_edits, files = made([*learned(), *edits()], (PLAIN, EDIT), **EDITING)
    without, others = made(learned())
    page = files["attacks/edit.html"].content().decode()
    assert "did not disturb the edit" in page
    assert "a boat at night; a boat in snow" in page
    assert "attacks/edit.html" not in others
    data = json.loads(site.serialise(with_edits))
    assert data["editing"]["attacks"][0]["table"]["rows"][0]["head"] == "x"
    assert [metric["kind"] for metric in data["metrics"] if metric["name"] == "edit-psnr"] == ["edited image"]
    assert "editing" not in json.loads(site.serialise(without))
