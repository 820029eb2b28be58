"""The results of the baselines as the tables of submissions/README.md; `python -m tests.baselines` refreshes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cloakbench.store.reading import load
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.number_cells import limits
from cloakbench_leaderboards.board.tables import estimate_cell
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence, gather
from cloakbench_leaderboards.scores.statistics import Estimate

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
    found = gather(load(RECORDS))
    shown = [entry for entry in found.entries if not entry.is_control or entry.facts.role == "random-noise"]
    return "\n".join(["", *_equal(found, shown), "", *_whole(found, shown), "", ""])


def refresh() -> None:
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + current() + END + rest.partition(END)[2])


def _equal(found: Evidence, shown: list[BoardEntry]) -> Iterable[str]:
    """Yields the entries as visible as each other, in the order of the board."""
    yield f"**At equal quality**, mini-lpips {TARGET:g}:\n"
    yield from _head(["entry", *COLUMNS])
    for entry in shown:
        values = {name: found.standings.value(key, entry.name) for name, key in COLUMNS.items() if key}
        first, estimate = values["P against dreambooth"]
        told = {name: _told(each, value.lacks) for name, (value, each) in values.items()}
        how = first.note if first.state in first.note else first.state
        binds = limits(first) if first.is_whole else []
        told |= {"P against dreambooth": _told(estimate), "how": "; ".join([how, *binds, *first.lacks])}
        sought = entry.subject.calibrations.get(TARGET)
        strength = sought.strength if sought else 0.0
        told["strength sought"] = f"{strength:g}" if strength else text.NONE
        for metric in VISIBLE:
            told[metric] = _told(found.quality.get((entry.name, strength, metric)))
        yield _row([f"`{entry.label}`", *(told[name] for name in COLUMNS)])


def _whole(found: Evidence, shown: list[BoardEntry]) -> Iterable[str]:
    """Yields every attack on the entries at their whole budget."""
    swept = [entry for entry in shown if WHOLE in entry.strengths]
    yield f"**At strength 1**, {found.suite.budget_255} of 255 levels:\n"
    yield from _head(["attack", *(f"`{entry.label}`" for entry in swept)])
    for metric in VISIBLE:
        visible = [found.quality.get((entry.name, WHOLE, metric)) for entry in swept]
        yield _row([f"({metric})", *(_told(each) for each in visible)])
    for attack in found.ranked:
        points = [found.scores.summary.get((entry.name, WHOLE, attack.name)) for entry in swept]
        yield _row([f"`{attack.name}`", *(_told(each and each.p, each.missing if each else ()) for each in points)])
    for attack in found.edits:
        metric = found.suite.metrics.edit[0]
        edits = [found.raw.get((entry.name, WHOLE, attack.name, metric)) for entry in swept]
        yield _row([f"`{attack.name}` ({metric})", *(_told(each) for each in edits)])


def _told(estimate: Estimate | None, lacks: Iterable[str] = ()) -> str:
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
