"""A limit of time: what fits by the medians, and nothing begun when it is over."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cloakbench.cells.costing import Costs, MedianCost, steps
from cloakbench.errors import UserError
from cloakbench.execute.duration import seconds
from cloakbench.execute.inline import InlineExecutor
from cloakbench.execute.pool import Dispatcher
from cloakbench.execute.progress import Lines, Outcome
from cloakbench.execute.schedule import CellQueue
from cloakbench.execute.time_limit import PASSED, CostEstimator, Deadline
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status
from tests import tiny
from tests.running import Quiet, Then

CELLS = tiny.planner().cells([tiny.entry("one"), tiny.entry("two")], [tiny.artist()])
"""Of each entry dreambooth and noise; both share the protected images."""


class Flat(Costs):
    """Each stage takes a second, but for `measure`, of which nothing is recorded."""

    def usual(self, step):
        return None if step.stage == "measure" else MedianCost(1, 1.0, 0, None, None)


class Clock:
    """Moves on by ten seconds for each cell."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    primary = ""

    def calibrate(self, cells, say): ...

    def expect(self, cells): ...

    def run(self, cell):
        self.now += 10
        return Outcome(cell.key, Status.OK)


class Pool(SimpleNamespace):
    """Workers that are ready at once and end one cell after the other."""

    def __init__(self, clock):
        super().__init__(clock=clock, started=[])

    def __enter__(self):
        return self

    def __exit__(self, *_): ...

    def start(self):
        return SimpleNamespace(is_ready=True, cell=None)

    def submit(self, worker, cell):
        self.started.append(worker)

    def wait(self, workers, seconds):
        return [self.started.pop(0)]

    def result(self, worker):
        return self.clock.run(worker.cell)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("0.5h", 1800), ("1d", 86400)],
)
def test_durations_are_read(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "2", "h", "0s", "-2h", "2 h", "2h and more", "1h30"])
def test_other_texts_are_refused(text):
    with pytest.raises(UserError, match="expected --time-limit as 90s, 30m, 2h or 1h30m"):
        seconds(text)


def test_a_shared_stage_counts_for_the_first_cell_alone():
    # protect, personalise, generate; then countermeasure, personalise, generate with the images that are there
    reckoning = CostEstimator(Flat("cpu", 1))
    assert [reckoning.next(cell) for cell in CELLS] == [3.0, 3.0, 3.0, 3.0]
    assert [step.stage for step in CostEstimator(Flat("cpu", 1)).due(CELLS[1])] == list(CELLS[1].keys)
    protect_keys = {step.key for step in steps(CELLS[0].recipes) if step.stage == "protect"}
    assert CostEstimator(Flat("cpu", 1), lambda step: step.key in protect_keys).next(CELLS[0]) == 2.0


@pytest.mark.parametrize(("limit", "workers", "count"), [(2, 1, 0), (6, 1, 2), (8.9, 1, 2), (4.5, 2, 3), (1000, 1, 4)])
def test_as_many_cells_as_fit_are_taken_from_the_front(limit, workers, count):
    assert Deadline(limit, Flat("cpu", 1)).fitting(CELLS, workers) == CELLS[:count]


def test_without_records_the_clock_alone_decides():
    assert Deadline(1, Costs("cpu", 1)).fitting(CELLS) == CELLS


def test_no_cell_begins_when_the_time_is_over(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(Outcome, "of", lambda outcome, _primary: outcome)
    deadline = Deadline(25, Costs("cpu", 1), clock=clock)
    ended = InlineExecutor().run(CELLS, clock, Quiet(), deadline.may_start)
    assert [outcome.key for outcome in ended] == [cell.key for cell in CELLS[:3]]  # the third began at 20 s


def test_it_is_said_once_that_the_time_is_over(monkeypatch):
    monkeypatch.setattr(Outcome, "of", lambda outcome, _primary: outcome)
    for limit, times in ((25, 1), (1000, 0)):
        clock, report = Clock(), Then()
        InlineExecutor().run(CELLS, clock, report, Deadline(limit, Costs("cpu", 1), clock=clock).may_start)
        assert report.said == [PASSED] * times


def test_workers_finish_and_it_is_said_once():
    clock, report = Clock(), Then()
    deadline = Deadline(15, Costs("cpu", 1), clock=clock)
    ended = Dispatcher(Pool(clock), clock, report, deadline.may_start).run(CELLS, 2)
    assert report.said == [PASSED]
    assert 2 <= len(ended) < len(CELLS)


def test_the_first_cells_are_named_when_they_start_and_no_other(capsys):
    lines = Lines()
    lines.begin(len(CELLS))
    lines.start(CELLS[0])
    lines.start(CELLS[3])
    lines.finish(CELLS[0], Outcome(CELLS[0].key, Status.OK))
    lines.start(CELLS[1])
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        f"[0/4] started {CELLS[0].label}: protects, fine-tunes, generates, measures",
        f"[0/4] started {CELLS[3].label}: protects, cleans, fine-tunes, generates, measures",
    ]
    assert len(said) == 3


def test_several_workers_finish_what_they_have_begun():
    schedule = CellQueue(CELLS)
    first, second = schedule.take(), schedule.take()
    schedule.stop()
    assert schedule.take() is None
    assert not schedule.is_done
    schedule.put_back(second)  # its machine is lost
    schedule.stop()
    schedule.finish(first, Outcome(first.key, Status.OK))
    assert schedule.is_done
    assert [outcome.key for outcome in schedule.outcomes()] == [first.key]


@pytest.mark.usefixtures("stand_ins")
def test_a_run_within_a_time_limit_is_gone_on_with_by_the_next(tiny_suite, tmp_path):
    session = sessions.plan(Choice(str(tiny_suite), ["placebo"]), tmp_path / "store")
    cut = replace(session, limit=3)
    assert sessions.run(cut, report=Quiet(), time_limit=Deadline(0.0, Costs("cpu", 1))) == []
    ran = sessions.run(cut, report=Quiet(), time_limit=Deadline(3600.0, Costs("cpu", 1)))
    assert [outcome.key for outcome in ran] == [cell.key for cell in session.cells[:3]]
    assert len(session.missing()) == 4
