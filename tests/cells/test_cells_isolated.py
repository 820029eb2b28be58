"""Runs whose submissions sit in processes of their own: the same numbers, and a hostile one harms nobody else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cloakbench import submissions
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status
from tests import tiny
from tests.running import run, told
from tests.submissions import hostile

PHOTOGUARD = "photoguard[steps=2]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("isolated")


@pytest.fixture(scope="module")
def planned(weights, folder):
    """Plans one attack of the tiny suite for the named protections, a hostile one among the installed."""
    hostile.install(folder / "site")
    (folder / "tiny.toml").write_text(tiny.TEXT)
    with hostile.installed(folder, weights):

        def plan(name, *protections):
            choice = Choice(str(folder / "tiny.toml"), protections, only=["attack=dreambooth"])
            return sessions.plan(choice, folder / name)

        yield plan


@pytest.fixture(scope="module")
def apart(planned):
    """A run of one good protection in a process of its own; the tests read its store, and never write it."""
    session = planned("apart", PHOTOGUARD)
    run(session)
    return session


def kept(session):
    """What the store holds, but for how the code was kept apart."""
    records = {}
    for key, record in told(session.store).items():
        records[key] = {k: v for k, v in record.items() if k != "isolation"}
    return records


def test_a_process_of_its_own_gives_the_bytes_of_the_harness(apart, planned):
    isolated = set()
    for record in map(apart.finished, apart.cells):
        if record.protection.name == PHOTOGUARD:
            isolated.add(record.isolation)
    assert isolated <= {"bubblewrap", "process"}
    assert isolated
    together = planned("together", PHOTOGUARD)
    instance = submissions.load(PHOTOGUARD).instance
    for cell in together.cells:
        if cell.entry.facts.name == PHOTOGUARD:
            object.__setattr__(cell.entry, "instance", instance)
    run(together)
    assert kept(together) == kept(apart)


@pytest.mark.finding("A3", "A16")
@pytest.mark.usefixtures("forked_workers")
def test_a_hostile_entry_ends_as_a_status_and_leaves_the_others_as_they_were(apart, planned):
    statuses_of = {
        "patches": Status.INVALID_OUTPUT,
        "lone_surrogate": Status.FAILED,
        "forges": Status.FAILED,
    }
    names = [f"hostile[deed={deed}]" for deed in statuses_of]
    among = planned("among", *names, PHOTOGUARD)
    run(among)
    found = told(among.store)
    statuses = {}
    for r in found.values():
        if r["protection"]["name"] in names:
            statuses[r["protection"]["name"]] = r["status"]
    assert list(map(statuses.get, names)) == list(statuses_of.values())
    undisturbed = kept(apart)
    assert {key: record for key, record in kept(among).items() if key in undisturbed} == undisturbed
    assert sessions.failed(among.counts()) == len([c for c in among.cells if c.entry.facts.name in names])


def test_claims_are_asked_once_for_a_state_of_the_code(planned, monkeypatch):
    planned("store", PHOTOGUARD)
    monkeypatch.setattr(
        "cloakbench.submissions.sandbox.client.SandboxedSubmission._start", lambda _: pytest.fail("asked again")
    )
    entries = [cell.entry for cell in planned("store", PHOTOGUARD).cells]
    assert {entry.facts.title for entry in entries if entry.facts.name == PHOTOGUARD} == {"PhotoGuard (encoder attack)"}


@pytest.mark.usefixtures("forked_workers")
def test_one_that_can_not_be_loaded_is_left_out_unless_it_is_named(planned, folder, caplog, monkeypatch):
    hostile.install(folder / "site", "broken", "raise RuntimeError('at import')")
    offer = submissions.find("broken")
    monkeypatch.setattr(submissions, "discover", lambda: SimpleNamespace(offers=(offer,)))
    session = planned("without")
    assert "broken" not in {cell.entry.facts.name for cell in session.cells}
    assert "at import" in caplog.text
    with pytest.raises(Exception, match="at import"):
        planned("without", "broken")
