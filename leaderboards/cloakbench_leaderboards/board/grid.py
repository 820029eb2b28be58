"""Tables whose row heads lead to other pages."""

from __future__ import annotations

from dataclasses import dataclass

from cloakbench_leaderboards.board.tables import TableCell, TableColumn


@dataclass(frozen=True, slots=True)
class HeadedRow:
    """One row: its head with the page behind it, and the cells."""

    head: str
    link: str
    """From the site's folder; empty where there is no page."""
    detail: str
    is_control: bool
    cells: tuple[TableCell, ...]
    key: str = ""
    """What a script knows the row by."""


@dataclass(frozen=True, slots=True)
class HeadedTable:
    """One table; `head` names the column of row heads."""

    caption: str
    head: str
    columns: tuple[TableColumn, ...]
    lines: tuple[HeadedRow, ...]
    notes: tuple[str, ...] = ()
