"""Changes since the last board, with their causes; the page exists where `cloakbench refresh` keeps the board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from cloakbench.files import to_json
from cloakbench_leaderboards import text
from cloakbench_leaderboards.history import last_board
from cloakbench_leaderboards.history.last_board import Changes, Move, MoveKind
from cloakbench_leaderboards.parts.page import Asset, Material, Page

PATH = "changes.html"
DATA = "changes.json"


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One entry that came, went or moved."""

    label: str
    version: str
    what: str
    rank: str
    p: str
    causes: tuple[tuple[str, str], ...]
    """Kind of the cause, and the change in words."""


def exists(material: Material) -> bool:
    """Returns whether the store holds an account of changes for this version of the suite."""
    last = last_board.read(material.source, material.board.suite)
    return last is not None and last.state.version == material.board.version


def summary(material: Material) -> str:
    """Returns in one sentence what moved since the last board; empty where the store holds no account of it."""
    last = last_board.read(material.source, material.board.suite)
    if last is None or last.state.version != material.board.version or not last.changes.before:
        return ""
    counts = Counter(move.what for move in last.changes.moves)
    words = [f"{counts[kind]} {kind}" for kind in MoveKind if counts[kind]]
    return f"Since the board of {text.plain(last.changes.before, 10)}: {', '.join(words) or 'nothing moved'}."


def pages(material: Material) -> Iterator[Page | Asset]:
    """Yields the page and its data, where the store holds an account of changes."""
    last = last_board.read(material.source, material.board.suite)
    if last is None or last.state.version != material.board.version:
        return
    changes = last.changes
    context = {
        "before": text.plain(changes.before, 10),
        "after": text.plain(changes.after, 10),
        "column": text.plain(changes.column),
        "lines": tuple(map(_line, changes.moves)),
        "data": DATA,
    }
    yield Page(PATH, PATH, "What changed", context, section=PATH)
    yield Asset(DATA, partial(_data, changes))


def _data(changes: Changes) -> bytes:
    return to_json(changes.model_dump(mode="json"))


def _line(move: Move) -> ChangeLine:
    causes = []
    for kind, words in sorted(move.causes.items()):
        causes.append((kind, text.plain(", ".join(words), 500)))
    return ChangeLine(
        label=text.name(move.protection),
        version=text.plain(move.version, 20),
        what=text.plain(move.what, 10),
        rank=_step(move, _rank(move.rank_before), _rank(move.rank)),
        p=_step(move, _p(move.p_before), _p(move.p)),
        causes=tuple(causes),
    )


def _step(move: Move, before: str, after: str) -> str:
    if move.what in {"new", "gone"}:
        return after if move.what == "new" else before
    return after if before == after else f"{before} → {after}"


def _rank(rank: int | None) -> str:
    return text.NONE if rank is None else str(rank)


def _p(value: float | None) -> str:
    return text.NONE if value is None else text.number(value)
