"""The results of the baselines as the tables of submissions/README.md; `python -m tests.baselines` refreshes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cloakbench.schemas.kinds import PointState, Role
from cloakbench.store.reading import load
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.number_cells import limits
from cloakbench_leaderboards.board.tables import estimate_cell
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence, gather
from cloakbench_leaderboards.scores.scores import ScoredPoint
from cloakbench_leaderboards.scores.statistics import Estimate
from tests.claims import table

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "leaderboards" / "reference" / "mini"
README = ROOT / "submissions" / "README.md"
REFRESH = "python -m tests.baselines"
BEGIN, END = f"<!-- from the records, by {REFRESH} -->\n", "<!-- end -->\n"
TARGET = 0.08
WHOLE = 1.0
VISIBLE = ("mini-lpips", "gmsd")
COLUMNS = {
    "strength sought": "",
    **dict.fromkeys(VISIBLE, ""),
    "P against dreambooth": f"p at mini-lpips {TARGET:g}",
    "how": "",
    "worst case": "worst case",
    "mean over attacks": "mean",
}


def committed() -> str:
    """Returns what the README holds between the marks."""
    return README.read_text().partition(BEGIN)[2].partition(END)[0]


def current() -> str:
    """Returns what it should hold by the committed records."""
    evidence = gather(load(RECORDS))
    shown = []
    for entry in evidence.entries:
        if not entry.is_control or entry.facts.role == Role.RANDOM_NOISE:
            shown.append(entry)
    head = "**Directions that papers report**, paired over artists and corrected together (`python -m tests.claims`):"
    tables = [*_equal(evidence, shown), "", *_whole(evidence, shown), "", head, "", *table(evidence)]
    return "\n".join(["", *tables, "", ""])


def refresh() -> None:
    """Writes the tables of today's records into the README."""
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + current() + END + rest.partition(END)[2])


def _equal(evidence: Evidence, shown: list[BoardEntry]) -> Iterable[str]:
    """Yields the entries as visible as each other, in the order of the board."""
    yield f"**At equal quality**, mini-lpips {TARGET:g}:\n"
    yield from _head(["protection", *COLUMNS])
    for entry in shown:
        values = {}
        for name, key in COLUMNS.items():
            if key:
                values[name] = evidence.standings.value(key, entry.name)
        first, estimate = values["P against dreambooth"]
        cells = {name: _format(number, value.lacks) for name, (value, number) in values.items()}
        how = first.note if first.state is PointState.OVER_TARGET else str(first.state)
        binds = limits(first) if first.is_whole else []
        cells |= {"P against dreambooth": _format(estimate), "how": "; ".join([how, *binds, *first.lacks])}
        search = entry.subject.calibrations.get(TARGET)
        strength = search.strength if search else 0.0
        cells["strength sought"] = f"{strength:g}" if strength else text.NONE
        for metric in VISIBLE:
            cells[metric] = _format(evidence.quality.get((entry.name, strength, metric)))
        yield _row([f"`{entry.label}`", *(cells[name] for name in COLUMNS)])


def _whole(evidence: Evidence, shown: list[BoardEntry]) -> Iterable[str]:
    """Yields every attack on the entries at their whole budget."""
    swept = [entry for entry in shown if WHOLE in entry.strengths]
    yield f"**At strength 1**, {evidence.suite.budget_255} of 255 levels:\n"
    yield from _head(["attack", *(f"`{entry.label}`" for entry in swept)])
    for metric in VISIBLE:
        visible = [evidence.quality.get((entry.name, WHOLE, metric)) for entry in swept]
        yield _row([f"({metric})", *map(_format, visible)])
    for attack in evidence.ranked:
        points = [evidence.scores.summary.get((entry.name, WHOLE, attack.name)) for entry in swept]
        yield _row([f"`{attack.name}`", *map(_score, points)])
    for attack in evidence.edits:
        metric = evidence.suite.metrics.edit[0]
        edits = [evidence.raw.get((entry.name, WHOLE, attack.name, metric)) for entry in swept]
        yield _row([f"`{attack.name}` ({metric})", *map(_format, edits)])


def _score(point: ScoredPoint | None) -> str:
    return _format(point.p, point.missing) if point else _format(None)


def _format(estimate: Estimate | None, lacks: Iterable[str] = ()) -> str:
    """Returns a number with its interval; of one that is not whole, that and nothing else."""
    if estimate is None:
        return "not run"
    if lacks:
        return "not whole"
    cell = estimate_cell(estimate)
    return f"{cell.text} ({cell.detail})" if cell.detail else cell.text


def _head(names: list[str]) -> list[str]:
    return [_row(names), f"|---|{'---:|' * (len(names) - 1)}"]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    refresh()
