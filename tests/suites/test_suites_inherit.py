"""Suites that take over the values of another suite, and tables that take over those of another stage."""

from __future__ import annotations

import pytest

from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.suites import inherit
from cloakbench.suites import load as suites
from cloakbench.suites.read import read

BASE = {"name": "base", "artists": ["a"], "seeds": {"protected": 1, "controls": 3}, "mimicry": {"lora": {"rank": 4}}}


def completed(**own):
    return inherit.complete(own, {"base": BASE, "other": {"extends": "base"}}.__getitem__)


def test_tables_are_merged_and_lists_are_replaced():
    suite = completed(extends="base", artists=["b", "c"], seeds={"controls": 1}, mimicry={"edit": {"steps": 2}})
    assert suite["artists"] == ["b", "c"]
    assert suite["seeds"] == {"protected": 1, "controls": 1}
    assert suite["mimicry"] == {"lora": {"rank": 4}, "edit": {"steps": 2}}
    assert "extends" not in suite
    assert BASE["seeds"] == {"protected": 1, "controls": 3}


def test_a_table_takes_over_the_values_of_the_one_it_is_like():
    tables = {"lora": {"steps": 7}, "slow": {"like": "lora", "steps": 9}}
    assert completed(extends="base", mimicry=tables)["mimicry"]["slow"] == {"rank": 4, "steps": 9}


@pytest.mark.parametrize("table", [{"like": "lroa"}, {"like": "a"}, {"like": "b"}])
def test_a_table_that_is_like_none_is_refused(table):
    with pytest.raises(UserError, match=r"mimicry\.a"):
        completed(mimicry={"a": table, "b": {"like": "c"}, "c": {}})


def test_a_suite_that_extends_one_that_extends_another_is_refused():
    with pytest.raises(UserError, match="base"):
        completed(extends="other")


def test_an_unknown_base_names_the_nearest(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('extends = "mimi"')
    with pytest.raises(UserError) as caught:
        read(str(path))
    assert "mini" in caught.value.hint


def test_a_suite_of_a_user_extends_a_shipped_one(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('extends = "mini"\nname = "own"\n[sampling]\nsteps = 3\n')
    own, mini = read(str(path)), suites.load("mini")
    assert own == mini.model_copy(update={"name": "own", "sampling": own.sampling})
    assert (own.sampling.steps, own.sampling.guidance) == (3, mini.sampling.guidance)


def test_the_further_attacks_are_those_that_mini_does_not_run():
    mini, extended = suites.load("mini"), suites.load("mini-extended")
    names = set()
    for suite in (mini, extended):
        for attack in suite.attacks:
            for stage in catalogue.stages(attack):
                names.add(stage.name)
    of_photographs = {"inpaint", "inpaint-box", "edit-instruct"}
    assert names | of_photographs >= {stage.name for stage in catalogue.STAGES}
    assert extended.packages == ["style-aligned"]
    assert extended.artists == mini.artists
    assert extended.attacks[0] == mini.attacks[0]
    assert not {attack.name for attack in extended.attacks[1:]} & {attack.name for attack in mini.attacks}
