from __future__ import annotations

import subprocess
import sys

import pytest
import synthetic
from synthetic import arms, record

from cloakbench.errors import UserError
from cloakbench.store.reading import export_reference, load
from cloakbench.submissions.discovery import EntryKind
from cloakbench.upkeep.archive import pack
from cloakbench_leaderboards.versions import references

FACTS = synthetic.facts(synthetic.suite(["a"]))
RECORDS = [*arms("a", 0.4, 0.8), record("x", "a", 0.5)]


@pytest.fixture
def store(tmp_path):
    return synthetic.save(tmp_path / "a store", FACTS, RECORDS)


def test_store_and_reference_hold_the_same(store, tmp_path):
    exported = export_reference(store, None, tmp_path / "reference" / "mini")
    again = load(tmp_path / "reference" / "mini", "mini")
    assert again._replace(paths=()) == exported._replace(paths=())
    assert again._replace(paths=()) == load(store, "mini")._replace(paths=())
    assert [cell_record.protection.name for cell_record in again.records] == ["floor", "identity", "placebo", "x"]


def test_export_leaves_tracebacks_at_home(tmp_path):
    broken = record("x", "a", 0.5, traceback='File "somewhere.py"')
    store = synthetic.save(tmp_path / "store", FACTS, [broken])
    export_reference(store, None, tmp_path / "reference")
    assert "somewhere" not in (tmp_path / "reference" / "records.jsonl").read_text()


def test_damaged_records_are_listed_and_the_others_stay(store):
    files = sorted((store / "records").rglob("*.json"))
    files[0].write_text(files[0].read_text()[:100])
    files[1].rename(files[1].with_name("elsewhere.json"))
    text = files[2].read_text().replace('"style-distance":[', '"style-distance":[NaN,')
    files[2].write_text(text)
    loaded = load(store, None)
    assert len(loaded.records) == 1
    reasons = " | ".join(sorted(damaged_line.reason for damaged_line in loaded.damaged))
    assert "differs from its address" in reasons
    assert "finite number" in reasons
    assert len(loaded.damaged) == 3


def test_a_damaged_line_of_a_reference_is_named(store, tmp_path, caplog):
    export_reference(store, None, tmp_path / "reference")
    with (tmp_path / "reference" / "records.jsonl").open("a") as file:
        file.write("{}\n")
    assert [damaged_line.path for damaged_line in load(tmp_path / "reference").damaged] == ["records.jsonl:5"]
    assert "left out 1 damaged record, the first is records.jsonl:5" in caplog.text


def test_a_folder_of_pointers_in_place_of_records_says_what_to_fetch(store, tmp_path):
    export_reference(store, None, tmp_path / "reference")
    (tmp_path / "reference" / "records.jsonl").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match="git lfs pull") as caught:
        load(tmp_path / "reference")
    assert "run it first" not in str(caught.value)


def test_only_the_newest_version_of_a_suite_is_read(store):
    newer = synthetic.suite(["a"], version=2)
    synthetic.save(store, synthetic.facts(newer), [record("x", "a", 0.7, suite_version=2, key="b" * 64)])
    loaded = load(store, "mini")
    assert (loaded.facts.suite.version, len(loaded.records)) == (2, 1)


def test_errors_say_what_is_there_and_what_to_do(store, tmp_path):
    with pytest.raises(UserError, match="which has neither facts"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="did you mean 'mini'"):
        load(store, "minni")
    synthetic.save(store, synthetic.facts(synthetic.suite(["a"], name="mini-quick")), [])
    with pytest.raises(UserError, match="several suites: mini, mini-quick"):
        load(store)
    with pytest.raises(UserError, match="no record of suite 'mini-quick'") as caught:
        load(store, "mini-quick")
    assert caught.value.hint == "Run it first: cloakbench run mini-quick --protection NAME"


def test_an_advice_to_run_names_the_protection_that_is_missing(store, tmp_path):
    synthetic.save(store, synthetic.facts(synthetic.suite(["a"], name="mini-quick")), [])
    for words in ("cloak[steps=5]", "protection:cloak[steps=5]"):
        with pytest.raises(UserError, match=r"run mini-quick --protection 'cloak\[steps=5\]'"):
            references.parse(words).load(store, "mini-quick")
    with pytest.raises(UserError, match=r"run mini-quick --protection cloak$"):
        pack("cloak", "mini-quick", store, tmp_path / "a.zip")
    with pytest.raises(UserError, match=r"It holds: x\. Run it first: cloakbench run mini --protection cloak$"):
        pack("cloak", "mini", store, tmp_path / "a.zip")
    with pytest.raises(UserError, match="run mini-quick --keep images --attack blur --store"):
        pack("blur", None, tmp_path / "nowhere", tmp_path / "a.zip", EntryKind.COUNTERMEASURE)


def test_unreadable_facts_are_an_error(store):
    next((store / "facts").iterdir()).write_text("{")
    with pytest.raises(UserError, match="holds no suite facts"):
        load(store)


def test_leaderboards_never_import_torch():
    code = "import sys, cloakbench_leaderboards.site.site as _; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
