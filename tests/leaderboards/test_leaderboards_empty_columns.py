"""Columns in which every row has a dash are left out of a table, and named below it."""

from __future__ import annotations

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.tables import Row, Table, TableCell, TableColumn, without_empty_columns

DASH = TableCell(text.NONE)
COLUMNS = (TableColumn("P"), TableColumn("Area"), TableColumn("Mean"))


def table(*rows):
    shown = []
    for number, cells in enumerate(rows):
        shown.append(Row(f"row {number}", "", is_control=False, cells=cells))
    return Table("Numbers", "Protection", COLUMNS, tuple(shown), ("A note.",))


def test_a_column_of_dashes_is_left_out_and_named():
    shown = without_empty_columns(table((TableCell("0.5", 0.5), DASH, DASH), (DASH, DASH, TableCell("0.2", 0.2))))
    assert [column.label for column in shown.columns] == ["P", "Mean"]
    assert [cell.text for cell in shown.rows[0].cells] == ["0.5", text.NONE]
    assert [cell.text for cell in shown.rows[1].cells] == [text.NONE, "0.2"]
    assert shown.notes == ("A note.", "Left out, because every row has a dash: Area.")


def test_a_wide_dash_shrinks_to_the_columns_that_are_kept():
    wide = (TableCell(text.NONE, span=2), TableCell("1", 1.0))
    shown = without_empty_columns(table(wide, (TableCell("0", 0.0), DASH, DASH)))
    assert [cell.span for cell in shown.rows[0].cells] == [1, 1]


def test_a_wide_number_keeps_all_its_columns():
    whole = table((TableCell("1", 1.0, span=3),))
    assert without_empty_columns(whole) is whole


def test_a_table_without_rows_keeps_its_columns():
    assert without_empty_columns(table()).columns == COLUMNS
