"""A regression that was planted: PhotoGuard at a quarter of its budget, on the real models of the suite `mini`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from running import run

from benchmark import submissions
from benchmark.adopting import adopt
from benchmark.cells.plan import Entry
from benchmark.execute import session as sessions
from benchmark.execute.choice import Choice
from leaderboards.references import parse
from leaderboards.regress import comparisons, has_regressed, lines
from leaderboards.verdicts import Verdict

ATTACKS = ("dreambooth", "jpeg")
REFERENCE = Path(__file__).parents[2] / "leaderboards/reference/mini-next"


class Weakened:
    """PhotoGuard that uses a quarter of what it may use, and does not say so."""

    def __init__(self, whole):
        self.whole = whole

    def __getattr__(self, name):
        return getattr(self.whole, name)

    def protect(self, images, request):
        return self.whole.protect(images, dataclasses.replace(request, epsilon=request.epsilon / 4))


def planned(root, entry=None):
    """PhotoGuard, or `entry` in its place, against the first seeds of two attacks, with the arms that they need."""
    session = sessions.plan(Choice("mini", ["photoguard"]), root)
    if entry is not None:
        artists = list({cell.artist.name: cell.artist for cell in session.cells}.values())
        ours = [cell for cell in session.cells if cell.entry.facts.role != "submission"]
        session = dataclasses.replace(session, cells=[*ours, *session.planner.cells([entry], artists)])
    cells = [
        cell
        for cell in session.cells
        if cell.seed == 0 and cell.attack.name in ATTACKS and cell.strength in (0.0, 1.0)
        if cell.entry.facts.role in ("identity", "floor", "submission")
        or (cell.entry.facts.role, cell.attack.name) == ("placebo", "dreambooth")
    ]
    return dataclasses.replace(session, cells=cells)


@pytest.mark.long
def test_photoguard_at_a_quarter_of_its_budget_is_found(tmp_path):
    before = planned(tmp_path / "before")
    adopt(REFERENCE, "mini", before.store)  # of use where the environment class is the same
    run(before)
    [facts] = {cell.entry.facts for cell in before.cells if cell.entry.facts.role == "submission"}
    weakened = facts.model_copy(update={"version": f"{facts.version}+quarter", "package_digest": "f" * 64})
    after = planned(tmp_path / "after", Entry(weakened, Weakened(submissions.load("photoguard").instance)))
    adopt(tmp_path / "before", "mini", after.store)
    run(after)
    sides = f"{tmp_path / 'before'}:photoguard", f"{tmp_path / 'after'}:photoguard@{weakened.version}"
    [found] = comparisons(*map(parse, sides), tmp_path)
    print("\n".join(lines(found)))
    assert has_regressed([found])
    assert {change.field for change in found.changes} == {"protect.protection_version", "protect.package"}
    # What is planted is worth finding: at least twice what so many artists show.
    strong = [each for each in found.attacks if -each.change >= 2 * each.least]
    assert {each.attack for each in strong} >= {"dreambooth"}
    assert all(each.verdict is Verdict.REGRESSED for each in strong)
