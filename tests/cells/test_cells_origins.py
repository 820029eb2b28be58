"""Where records came from: kept through exports, merges and adoptions, so that no detour makes them one's own."""

from __future__ import annotations

import json
import logging
import os
import signal
from functools import partial

import pytest
from test_cells_intake import files, killed_merge, lines, rewrite

from cloakbench.cells import pipeline
from cloakbench.errors import UserError
from cloakbench.store import origins, reading
from cloakbench.store.origins import Verb
from cloakbench.store.paths import ORIGINS_FILE
from cloakbench.store.store import Store
from cloakbench.upkeep import sign
from cloakbench.upkeep.adopt import adopt
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.verify import verify
from tests.forking import wait_status

pytestmark = pytest.mark.usefixtures("stand_ins")
"""The weights that the run measured with: a merge compares recipes, which name them."""


@pytest.fixture
def merged(source, tmp_path):
    store = Store(tmp_path / "merged")
    merge([source.root], store)
    return store


@pytest.mark.finding("B5")
def test_an_export_keeps_the_origins_of_merged_records(good_run, merged, tmp_path):
    folder = tmp_path / "exported"
    reading.export_reference(merged.root, None, folder)
    exported, env_class = origins.read(folder), good_run.environment.env_class
    assert set(exported) == {(cell.key, env_class) for cell in good_run.cells}
    assert exported.items() <= origins.read(merged.root).items()
    assert {origin.source for origin in exported.values()} == {"source"}
    assert verify(folder).merged == len(good_run.cells)
    reading.export_reference(good_run.store.root, None, folder)
    assert origins.read(folder) == {}, "an export replaces the one before"


@pytest.mark.finding("B5")
@pytest.mark.parametrize("way", ["export", "store"])
@pytest.mark.parametrize("verb", Verb)
def test_no_detour_makes_a_merged_record_ones_own(good_run, merged, tmp_path, way, verb):
    """Exported or not, adopted or merged once more: a run does not go on from it, and nobody signs it."""
    folder, env_class = merged.root, good_run.environment.env_class
    if way == "export":
        folder = tmp_path / "exported"
        reading.export_reference(merged.root, None, folder)
    store = Store(tmp_path / "target")
    if verb is Verb.ADOPT:
        adopt(folder, None, store)
    else:
        merge([folder], store)
    for cell in good_run.cells:
        assert store.read_origin(cell.key, env_class).source == "source"
        assert pipeline.finished(store, cell, env_class) is None
    with pytest.raises(UserError, match="merged or adopted"):
        sign.sign_own(store.root, None, tmp_path / "key")


@pytest.mark.parametrize("damage", [b"{}\n", b"\xff\n", b"[" * 5000])
def test_damaged_origins_make_nothing_ones_own(good_run, merged, tmp_path, damage):
    cell, env_class = good_run.cells[0], good_run.environment.env_class
    merged.origin_path(cell.key, env_class).write_bytes(damage)
    assert (cell.key, env_class) in origins.read(merged.root)
    folder = tmp_path / "exported"
    reading.export_reference(merged.root, None, folder)
    (folder / ORIGINS_FILE).write_bytes(damage)
    for act in (lambda: verify(folder), lambda: adopt(folder, None, Store(tmp_path / "target"))):
        with pytest.raises(UserError, match="origins"):
            act()


@pytest.mark.finding("C8")
@pytest.mark.parametrize("verb", ["status", "plan"])
def test_planning_completes_a_merge_that_was_killed(source, tiny_suite, weights, monkeypatch, cloakbench, verb):
    """All cells count as missing, because merged records are nobody's own; their files have arrived all the same."""
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    store = Store(source.root.parent / "killed")
    assert os.WTERMSIG(wait_status(partial(killed_merge, source.root, store, 7))) == signal.SIGKILL
    assert list(store.root.glob(".committed-*"))
    assert cloakbench(verb, tiny_suite, "--protection", "placebo", "--store", store.root).code == 0
    assert not list(store.root.glob(".committed-*"))
    assert len(list(store.records())) == len(list(source.records()))


def test_damaged_lines_are_counted_in_a_warning(reference, caplog):
    documents = lines(reference)
    rewrite(reference, [{"key": 1}, *documents, []])
    with caplog.at_level(logging.WARNING, "cloakbench"):
        reading.load(reference)
    assert "2 damaged" in caplog.text


def test_the_board_says_how_many_lines_are_damaged(reference, cloakbench, tmp_path):
    documents = lines(reference)
    (reference / "records.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents) + "{}\n\x00\n")
    done = cloakbench("board", "--store", reference, "--out", tmp_path / "site", "--unofficial")
    assert done.code == 0, done.err
    assert "2 damaged" in done.err
    assert files(tmp_path / "site")
