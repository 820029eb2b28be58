"""Canaries: control cells of a finished run that run again beside their records."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from running import Quiet, told

from cloakbench.runs import canaries
from cloakbench.store import reading
from cloakbench.store.store import Store
from cloakbench.upkeep.gc import clear
from cloakbench.upkeep.merge import merge
from cloakbench_leaderboards.versions.drift import drift

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def session(good_run, tmp_path):
    shutil.copytree(good_run.store.root, tmp_path / "store")
    return replace(good_run, store=Store(tmp_path / "store"))


def test_canaries_are_cheap_controls_chosen_by_the_plan_alone(good_run):
    chosen = canaries.choose(good_run)
    assert [(c.entry.facts.name, c.attack.name, c.seed) for c in chosen] == [
        ("identity", "dreambooth", 0),
        ("identity", "noise", 0),
    ]
    assert canaries.choose(replace(good_run, cells=list(reversed(good_run.cells))))[0].key in {c.key for c in chosen}


def test_a_rerun_stands_beside_its_original_and_gives_the_same_here(session):
    before = {}
    for path in session.store.root.rglob("*"):
        if path.is_file():
            before[path] = path.read_bytes()
    ran = canaries.rerun(session, Quiet())
    assert [(record.key, record.attack.name) for record in ran] == [
        (c.key, c.attack.name) for c in canaries.choose(session)
    ]
    for path, data in before.items():
        assert path.read_bytes() == data
    assert not any(cost.cached for cost in ran[0].cost.values())  # the second shares its protected images
    assert reading.canaries(session.store.root) == sorted(ran, key=lambda r: (r.created, r.key))
    drifts = drift(reading.load(session.store.root).records, ran, session.suite.metrics.primary)
    assert [(drift.is_same, drift.distance, drift.environment) for drift in drifts] == [(True, 0.0, ())] * 2


def test_canaries_are_no_records_and_travel_with_their_store(session, tmp_path):
    records = told(session.store)
    ran = canaries.rerun(session, Quiet())
    assert told(session.store) == records
    assert clear(session.store).stages == 0
    reading.export_reference(session.store.root, None, tmp_path / "reference")
    merged = Store(tmp_path / "merged")
    merge([session.store.root], merged)
    for store_folder in (session.store.root, tmp_path / "reference", merged.root):
        assert {record.key for record in reading.canaries(store_folder)} == {record.key for record in ran}


def test_a_store_without_the_originals_runs_no_canary(good_run, tmp_path):
    empty = replace(good_run, store=Store(tmp_path / "empty"))
    assert canaries.rerun(empty, Quiet()) == []
    assert not (tmp_path / "empty").exists()


def test_a_canary_that_the_infrastructure_ends_is_not_kept(session, monkeypatch, caplog):
    monkeypatch.setattr(canaries.pipeline.Pipeline, "_measure", lambda *_: (_ for _ in ()).throw(RuntimeError("gone")))
    with caplog.at_level("WARNING"):
        assert canaries.rerun(session, Quiet()) == []
    assert "RuntimeError: gone" in caplog.text
    assert reading.canaries(session.store.root) == []


def test_the_verb_says_what_moved(tiny_suite, cloakbench, tmp_path):
    arguments = (str(tiny_suite), "--store", tmp_path / "store")
    none = cloakbench("canaries", *arguments)
    assert none.code == 2
    assert "run the suite first" in none.err.lower()
    cloakbench("run", tiny_suite, "--protection", "placebo", "--store", tmp_path / "store")
    told_ = cloakbench("canaries", *arguments)
    assert told_.code == 0
    assert told_.out.count("the same images and values") == 2
    parsed = json.loads(cloakbench("canaries", *arguments, "--json").out)
    assert {(one["attack"], *one["stages"]) for one in parsed} == {("dreambooth",), ("noise",)}
