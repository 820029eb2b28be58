"""The commands that compare: what they print, and by which exit code they say that something got worse."""

from __future__ import annotations

import json
import os

import pytest
import synthetic
from versions import FACTS, FEW, version, weaker

from cloakbench.store.reading import export_reference
from tests.programs import git, needs_git


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synthetic.save(tmp_path / "results", FACTS, FEW)
    after = version(FEW, "1.1", weaker(0.25), created="2026-02-01T00:00:00+00:00")
    synthetic.save(tmp_path / "after", FACTS, after)
    return tmp_path / "results"


def test_a_store_with_a_colon_in_its_name_is_judged(store, cloakbench, tmp_path):
    (tmp_path / "after").rename(tmp_path / "run:2")
    assert cloakbench("regress", "--baseline", "results", "--store", "run:2", "--protection", "photoguard").code == 1


def test_regress_exits_with_1_only_for_regressed(store, cloakbench):
    result = cloakbench("regress", "--baseline", "results", "--store", "after")
    assert result.code == 1
    assert "photoguard 1.0 (results) → photoguard 1.1 (after), suite mini 1: regressed" in result.out
    assert "changed: nothing in any recipe" in result.out
    assert "glaze 1.0 (results) → glaze 1.0 (after), suite mini 1: equivalent" in result.out
    assert result.out.splitlines()[-1].startswith("1 of ")
    assert cloakbench("regress", "--baseline", "after").code == 0
    assert cloakbench("regress", "--baseline", "results", "--store", "after", "--protection", "glaze").code == 0
    parsed = json.loads(cloakbench("regress", "--baseline", "results", "--store", "after", "--json").out)
    assert {one["verdict"] for one in parsed} == {"regressed", "equivalent"}


def test_versions_protections_and_commits_are_compared(store, cloakbench, tmp_path):
    synthetic.save(store, FACTS, version(FEW, "1.1", weaker(0.25), created="2026-02-01T00:00:00+00:00"))
    result = cloakbench("compare", "photoguard@1.0", "photoguard")
    assert "photoguard 1.0 (results) → photoguard 1.1 (results), suite mini 1: regressed" in result.out
    assert result.code == 0
    assert "impasto 1.0 (results): improved" not in result.out
    (tmp_path / "glaze" / "facts").mkdir(parents=True)
    [two] = json.loads(cloakbench("compare", "protection:glaze", "store:results:impasto", "--json").out)
    assert two["verdict"] == "improved"
    assert two["attacks"][0]["verdict"] == "improved"


@needs_git
def test_a_commit_is_compared(store, cloakbench, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    synthetic.save(store, FACTS, version(FEW, "1.1", weaker(0.25), created="2026-02-01T00:00:00+00:00"))
    export_reference(store, None, tmp_path / "reference")
    for command in (["init", "-q"], ["add", "reference"], ["commit", "-qm", "as it was"]):
        git(tmp_path, *command)
    (tmp_path / "reference/records.jsonl").unlink()
    result = cloakbench("compare", "HEAD:reference:photoguard@1.0", "after")
    assert "photoguard 1.0 (HEAD:reference) → photoguard 1.1 (after)" in result.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "nowhere/at/all", "photoguard"], "no such folder"),
        (["compare", "photogard", "photoguard"], "Did you mean 'photoguard'"),
        (["compare", "photoguard@9", "photoguard"], "expected a version of photoguard in results: 1.0, got 9"),
        (["compare", "HEAD:reference", "photoguard"], "git finds no facts.json there"),
        (["compare", ":photoguard", "photoguard"], "expected one side of a comparison, got ':photoguard'"),
        (["regress", "--baseline", "empty"], "or a protection with records"),
    ],
)
def test_wrong_sides_end_with_2_and_say_why(store, cloakbench, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    result = cloakbench(*arguments)
    assert (result.code, result.out) == (2, "")
    assert said in " ".join(result.err.split())
    assert "Traceback" not in result.err


def test_equal_recipes_with_other_results_end_with_2_and_are_named(store, cloakbench, tmp_path):
    clean = {}
    for r in FEW:
        if r.protection.role == "identity":
            clean[r.artist, r.attack.name] = r.generations
    artists = sorted({cell_record.artist for cell_record in FEW})[:2]

    def fallen(record):
        is_changed = record.protection.name == "photoguard" and record.artist in artists
        changes = {"generations": clean[record.artist, record.attack.name]} if is_changed else {}
        return record.model_copy(update=changes)

    synthetic.save(tmp_path / "fallen", FACTS, [fallen(record) for record in FEW])
    words = cloakbench("regress", "--baseline", "results", "--store", "fallen", "--protection", "photoguard")
    assert (words.code, "same recipe, other result" in words.out, "equivalent" in words.out) == (2, True, False)
    [parsed] = json.loads(
        cloakbench("regress", "--baseline", "results", "--store", "fallen", "--protection", "photoguard", "--json").out
    )
    assert parsed["verdict"] == "same recipe, other result"
    assert min(attack["other_results"] for attack in parsed["attacks"]) >= 2


@pytest.mark.parametrize("part", ["artists", "attacks", "strengths"])
def test_no_shared_cell_is_one_sentence_and_code_2(store, cloakbench, tmp_path, part):
    artist = min(record.artist for record in FEW)
    fixed = []
    for record in FEW:
        if record.protection.role in ("identity", "floor", "placebo"):
            fixed.append(record)
    own = [record for record in FEW if record.protection.name == "photoguard"]
    if part == "artists":
        chosen, other = ([record for record in own if (record.artist == artist) is side] for side in (True, False))
    elif part == "attacks":
        chosen, other = ([record for record in own if (record.attack.name == "jpeg") is side] for side in (True, False))
    else:
        chosen, other = own, [record.model_copy(update={"strength": 0.5}) for record in own]
    chosen, other = [*fixed, *chosen], [*fixed, *other]
    synthetic.save(tmp_path / "one", FACTS, chosen)
    synthetic.save(tmp_path / "other", FACTS, other)
    for verb in ("regress --baseline one --store other", "compare one:photoguard other:photoguard"):
        words = cloakbench(*verb.split())
        assert (words.code, "expected a cell that both" in words.err, "Traceback" in words.err) == (2, True, False)
