"""What a run does about what is half there: interrupted, damaged, adopted."""

from __future__ import annotations

import errno
import os
import re
import shutil

import pytest
import tiny
from running import of, record_of, run, told

from cloakbench.cells import stages
from cloakbench.errors import InfrastructureError, UserError
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.store.reading import export_reference
from cloakbench.store.store import Store
from cloakbench.upkeep.adopt import Adopted, adopt

pytestmark = pytest.mark.usefixtures("stand_ins")


def test_an_interruption_keeps_what_is_finished(good_run, tiny_suite, tmp_path, monkeypatch):
    session = tiny.session(tiny_suite, tmp_path / "store", [tiny.entry("good")])
    generate, calls = stages.sampling.generate, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return generate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stages.sampling, "generate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(session)
    kept = {path: path.read_bytes() for path in session.store.records()}
    assert len(kept) == 4
    assert [c.key for c in session.missing()] == [c.key for c in session.cells[4:]]
    run(session)
    for path, before in kept.items():
        assert path.read_bytes() == before
    assert told(session.store) == told(good_run.store)


def test_an_infrastructure_fault_is_tried_again_and_never_scored(good_run, tiny_suite, tmp_path, monkeypatch):
    session = tiny.session(tiny_suite, tmp_path / "store", [tiny.entry("good")])
    with monkeypatch.context() as patch:
        patch.setattr(stages.sampling, "generate", lambda *_: (_ for _ in ()).throw(RuntimeError("device lost")))
        records = run(session)
    assert {r.status for r in records} == {Status.INFRA_ERROR}
    for r in records:
        assert "RuntimeError: device lost" in r.reason
        assert not r.generations
    assert len(session.missing()) == len(session.cells)
    assert session.counts()["good"] == {"missing": 2}
    assert {r.status for r in run(session)} == {Status.OK}
    assert told(session.store) == told(good_run.store)


def damage_record(session, cell):
    path = session.store.record_path(cell.key, session.environment.env_class)
    path.write_bytes(path.read_bytes()[:-40])


def damage_png(session, cell):
    path = session.store.images_path(cell.keys["protect"], session.environment.env_class) / "001.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    session.store.record_path(cell.key, session.environment.env_class).unlink()


def lose_manifest(session, cell):
    (session.store.images_path(cell.keys["protect"], session.environment.env_class) / "manifest.json").unlink()
    session.store.record_path(cell.key, session.environment.env_class).unlink()


def spoil_cost(session, cell):
    path = session.store.images_path(cell.keys["protect"], session.environment.env_class) / "manifest.json"
    path.write_text(path.read_text().replace('"cost"', '"cast"'))
    session.store.record_path(cell.key, session.environment.env_class).unlink()


@pytest.mark.parametrize(
    ("damage", "warning"),
    [
        (damage_record, "the record .* is damaged"),
        (damage_png, "are damaged|do not match their digests"),
        (lose_manifest, ""),
        (spoil_cost, "the cost of the images .* is damaged"),
    ],
)
def test_what_is_damaged_is_made_again_with_a_warning(good_run, tiny_suite, tmp_path, caplog, damage, warning):
    shutil.copytree(good_run.store.root, tmp_path / "store")
    session = tiny.session(tiny_suite, tmp_path / "store", [tiny.entry("good")])
    damage(session, of(session, "good"))
    with caplog.at_level("WARNING"):
        again = run(session)
    assert [(r.status, r.protection.name, r.attack.name) for r in again] == [(Status.OK, "good", "dreambooth")]
    assert re.search(warning, caplog.text) if warning else not caplog.records
    assert told(session.store) == told(good_run.store)


def test_a_full_disk_ends_the_run_and_keeps_finished_cells(good_run, tiny_suite, tmp_path, monkeypatch):
    session = tiny.session(tiny_suite, tmp_path / "store", [tiny.entry("good")])
    sync = os.fsync

    def fills_up(handle):
        if len(list(session.store.records())) >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fills_up)
        with pytest.raises(InfrastructureError, match="no space is left"):
            run(session)
    assert len(list(session.store.records())) == 3
    assert len(run(session)) == len(session.cells) - 3
    assert told(session.store) == told(good_run.store)


def test_a_store_goes_on_from_adopted_records(good_run, tiny_suite, tmp_path):
    export_reference(good_run.store.root, None, tmp_path / "reference")
    fresh = tiny.session(tiny_suite, tmp_path / "store", [tiny.entry("good")])
    count = len(fresh.cells)
    assert adopt(tmp_path / "reference", None, fresh.store) == Adopted(added=count, known=0)
    assert fresh.missing() == []
    assert told(fresh.store) == told(good_run.store)
    assert adopt(good_run.store.root, None, fresh.store) == Adopted(added=0, known=count)


def test_another_result_for_the_same_cell_is_not_adopted(good_run, tmp_path):
    record = record_of(good_run, "good")
    other = Store(tmp_path / "store")
    other.write_record(record.model_copy(update={"sets": {"kid": 7.0}}))
    with pytest.raises(UserError, match=r"expected one result for the cell .*got two"):
        adopt(good_run.store.root, None, other)
    assert len(list(other.records())) == 1


def test_a_new_version_of_a_suite_takes_over_what_it_shares(good_run, tiny_suite, tmp_path):
    shutil.copytree(good_run.store.root, tmp_path / "store")
    before = {path: path.read_bytes() for path in Store(tmp_path / "store").records()}
    tiny_suite.write_text(tiny.TEXT.replace("version = 1", "version = 2", 1).replace("sigma = 0.05", "sigma = 0.1"))
    newer = tiny.session(tiny_suite, tmp_path / "store", [tiny.entry("good")])
    ran = run(newer)
    assert {record.attack.name for record in ran} == {"noise"}
    where = newer.environment.env_class
    shared = []
    for c in newer.cells:
        if c.attack.name == "dreambooth":
            shared.append(newer.store.read_record(c.key, where))
    assert {record.suite_version for record in shared} == {2}
    older = {record.key: record for record in map(Record.model_validate_json, before.values())}
    for record in shared:
        assert record == older[record.key].model_copy(update={"suite_version": 2})
