"""Versions in a record's recipes against the commit that it names."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cloakbench.cells import environment
from cloakbench.schemas.recipes import Recipes
from cloakbench.store.reading import load
from cloakbench.upkeep import commits
from cloakbench.upkeep.commits import CommitChecker, Unchecked
from tests import fingerprints
from tests.programs import git, needs_git

MINI = Path(__file__).parents[2] / "leaderboards" / "reference" / "mini-3"


@pytest.fixture(scope="module")
def records():
    return load(MINI, "mini").records


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit whose file of versions is the one of today; yields its folder and that commit."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/fingerprints.json").write_bytes(fingerprints.COMMITTED.read_bytes())
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "versions")
    monkeypatch.setattr(environment, "git", lambda *arguments: _output(tmp_path, *arguments))
    return tmp_path, _output(tmp_path, "rev-parse", "HEAD")


def _output(folder, *arguments):
    import subprocess

    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def changed(record, commit, stage="", version=0, *, dirty=False):
    """The record as if this commit had made it, with another version of one stage if asked for."""
    where = record.environment.model_copy(update={"commit": commit, "dirty": dirty})
    components = json.loads(json.dumps(record.components))
    if stage:
        components[stage]["version"] = version
    return record.model_copy(update={"environment": where, "components": components})


@needs_git
def test_a_recipe_with_another_version_than_its_commit_is_named(records, repository):
    commit = repository[1]
    today = {name: entry.version for name, entry in fingerprints.committed().items()}
    record = next(
        cell_record
        for cell_record in records
        if cell_record.attack.name == "jpeg" and cell_record.protection.name == "photoguard"
    )
    stated = dict(commits.stated_versions(record.recipes))
    assert {"stage protect", "countermeasure jpeg", "mimicry dreambooth", "stage generate", "metric ssim"} <= set(
        stated
    )
    stale = {name for name, version in stated.items() if today.get(name, version) != version}
    problems = CommitChecker().check(changed(record, commit))
    assert {problem.partition(" of ")[2].partition(",")[0] for problem in problems} == stale
    wrong = changed(record, commit, "countermeasure", today["countermeasure jpeg"] + 1)
    [problem] = [line for line in CommitChecker().check(wrong) if "countermeasure jpeg" in line]
    assert f"got {today['countermeasure jpeg'] + 1}" in problem
    assert commit[:12] in problem


@needs_git
def test_what_cannot_be_compared_is_counted_with_its_reason(records, repository):
    folder, commit = repository
    git(folder, "rm", "-q", "tests/fingerprints.json")
    git(folder, "commit", "-q", "-m", "no versions")
    bare = _output(folder, "rev-parse", "HEAD")
    checker = CommitChecker()
    record = changed(records[0], commit, "generate", 77)
    assert checker.check(changed(record, "0" * 40)) == []
    assert checker.check(changed(record, commit, dirty=True)) == []
    assert checker.check(changed(record, bare)) == []
    assert (checker.compared, dict(checker.unchecked)) == (0, dict.fromkeys(Unchecked, 1))
    assert len(checker.check(record)) >= 1
    assert checker.compared == 1


def test_every_stage_and_metric_of_the_committed_records_has_a_version(records):
    known = fingerprints.committed().keys()
    names = set()
    for record in records:
        names.update(name for name, _ in commits.stated_versions(record.recipes))
    assert names <= known
    assert len(names) > 20


def test_attacks_of_packages_and_chains_are_told_apart(records):
    record = next(cell_record for cell_record in records if cell_record.attack.name == "jpeg")
    components = json.loads(json.dumps(record.components))
    part = components["countermeasure"]
    chain = {"stage": "countermeasure", "chain": [part, {**part, "name": "blur", "version": 5}], "parents": {}}
    names = dict(commits.stated_versions(Recipes.model_validate({**components, "countermeasure": chain})))
    assert names["countermeasure blur"] == 5
    assert "countermeasure jpeg" in names
    own = {**components, "countermeasure": {**part, "package": "a" * 64}}
    assert "countermeasure jpeg" not in dict(commits.stated_versions(Recipes.model_validate(own)))


@needs_git
def test_the_records_of_version_3_that_were_given_other_recipes_by_hand_are_found(records):
    """229 calibrated records name a commit whose search had version 1, and state version 2."""
    checker = CommitChecker()
    problems = Counter()
    for record in records:
        for problem in checker.check(record):
            problems[record.protection.name, problem.partition(" of ")[2].partition(",")[0]] += 1
    if Unchecked.NO_COMMIT in checker.unchecked:
        pytest.skip("this clone lacks the commits of the committed records")
    assert problems == {
        ("photoguard", "stage calibrate"): 111,
        ("random-noise", "stage calibrate"): 111,
        ("adaptive", "stage calibrate"): 7,
    }
    assert checker.compared == len(records)
