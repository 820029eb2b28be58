"""The commands that compare: what they print, and by which exit code they say that something got worse."""

from __future__ import annotations

import json
import subprocess

import pytest
import synthetic
from versions import FACTS, FEW, version, weaker

from cloakbench.store.reading import export_reference


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synthetic.save(tmp_path / "results", FACTS, FEW)
    after = version(FEW, "1.1", weaker(0.25), created="2026-02-01T00:00:00+00:00")
    synthetic.save(tmp_path / "after", FACTS, after)
    return tmp_path / "results"


def test_a_store_with_a_colon_in_its_name_is_judged(store, cloakbench, tmp_path):
    (tmp_path / "after").rename(tmp_path / "run:2")
    assert cloakbench("regress", "--baseline", "results", "--source", "run:2", "--protection", "photoguard").code == 1


def test_regress_exits_with_1_only_for_regressed(store, cloakbench):
    told = cloakbench("regress", "--baseline", "results", "--source", "after")
    assert told.code == 1
    assert "photoguard 1.0 (results) → photoguard 1.1 (after), suite mini 1: regressed" in told.out
    assert "changed: nothing in any recipe" in told.out
    assert "glaze 1.0 (results) → glaze 1.0 (after), suite mini 1: equivalent" in told.out
    assert cloakbench("regress", "--baseline", "after").code == 0
    assert cloakbench("regress", "--baseline", "results", "--source", "after", "--protection", "glaze").code == 0
    found = json.loads(cloakbench("regress", "--baseline", "results", "--source", "after", "--json").out)
    assert {one["verdict"] for one in found} == {"regressed", "equivalent"}


def test_versions_protections_and_commits_are_compared(store, cloakbench, tmp_path):
    synthetic.save(store, FACTS, version(FEW, "1.1", weaker(0.25), created="2026-02-01T00:00:00+00:00"))
    told = cloakbench("compare", "photoguard@1.0", "photoguard")
    assert "photoguard 1.0 (results) → photoguard 1.1 (results), suite mini 1: regressed" in told.out
    assert told.code == 0
    assert "impasto 1.0 (results): improved" not in told.out
    [two] = json.loads(cloakbench("compare", "glaze", "impasto", "--json").out)
    assert two["verdict"] == "improved"
    assert two["attacks"][0]["verdict"] == "improved"
    export_reference(store, None, tmp_path / "reference")
    for command in (["init", "-q"], ["add", "reference"], ["commit", "-qm", "as it was"]):
        name = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *name, *command], cwd=tmp_path, check=True)
    (tmp_path / "reference/records.jsonl").unlink()
    told = cloakbench("compare", "HEAD:reference:photoguard@1.0", "after")
    assert "photoguard 1.0 (HEAD:reference) → photoguard 1.1 (after)" in told.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "nowhere/at/all", "photoguard"], "no such folder"),
        (["compare", "photogard", "photoguard"], "Did you mean 'photoguard'"),
        (["compare", "photoguard@9", "photoguard"], "expected a version of photoguard in results: 1.0, got 9"),
        (["compare", "HEAD:reference", "photoguard"], "git finds no facts.json there"),
        (["compare", ":photoguard", "photoguard"], "expected one side of a comparison, got ':photoguard'"),
        (["regress", "--baseline", "empty"], "neither a store nor a reference folder"),
    ],
)
def test_wrong_sides_end_with_2_and_say_why(store, cloakbench, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    told = cloakbench(*arguments)
    assert (told.code, told.out) == (2, "")
    assert said in " ".join(told.err.split())
    assert "Traceback" not in told.err
