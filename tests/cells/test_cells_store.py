from __future__ import annotations

import errno
import json
import os

import pytest
import tiny

from cloakbench.cells.pipeline import attack_facts
from cloakbench.errors import InfrastructureError, UserError
from cloakbench.files import to_json
from cloakbench.images import digest
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Environment, Record
from cloakbench.store.store import CorruptFile, Store
from cloakbench.suites import load as suites

WHERE = "0123456789ab"


@pytest.fixture
def store(tmp_path):
    new_store = Store(tmp_path / "a store")
    new_store.prepare()
    return new_store


def record(key="a" * 64, **changes):
    environment = Environment(env_class=WHERE, device="cpu", threads=1, packages={}, libjpeg="", commit="", dirty=False)
    values = {
        "key": key,
        "suite": "tiny",
        "suite_version": 1,
        "protection": tiny.entry("good").facts,
        "strength": 0.5,
        "artist": "vellmar",
        "attack": attack_facts(tiny.suite().attacks[1]),
        "seed": 0,
        "salt_digest": "",
        "status": Status.OK,
        "reason": "",
        "traceback": "",
        "components": {},
        "quality": {"psnr": [30.125]},
        "generations": {"style-distance": [0.1, 0.2]},
        "sets": {"kid": -0.5},
        "digests": {},
        "environment": environment,
        "cost": {},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Record(**{**values, **changes})


def test_a_record_comes_back_as_it_was(store):
    store.write_record(record())
    assert store.read_record("a" * 64, WHERE) == record()
    assert store.read_record("a" * 64, "another-class") is None
    assert store.read_record("b" * 64, WHERE) is None


def test_records_are_canonical(store):
    store.write_record(record())
    [path] = store.records()
    text = path.read_text()
    assert text.endswith("}\n")
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def test_no_nan_is_ever_kept(store):
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"kid": float("nan")})
    with pytest.raises(ValueError, match="finite"):
        record(sets={"kid": float("nan")})
    with pytest.raises(ValueError, match="JSON compliant"):
        store.write_record(record().model_copy(update={"sets": {"kid": float("nan")}}))
    assert list(store.records()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b'"ok"', b'"fine"'),
        lambda data: data.replace(b'"suite"', b'"suita"'),
        lambda data: b"\xff" + data,
    ],
    ids=["cut", "empty", "status", "field", "bytes"],
)
def test_a_damaged_record_is_told(store, damage):
    store.write_record(record())
    [path] = store.records()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptFile, match="is damaged"):
        store.read_record("a" * 64, WHERE)


def test_images_come_back_with_their_facts(store):
    pixels = [tiny.picture(n, 20, 30) for n in range(3)]
    store.write_images("a" * 64, WHERE, pixels, {"cost": {"wall_s": 1}})
    found, facts = store.read_images("a" * 64, WHERE)
    assert [digest(p) for p in found] == [digest(p) for p in pixels] == facts["digests"]
    assert facts["cost"] == {"wall_s": 1}
    assert store.read_images("b" * 64, WHERE) is None


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def repaint(path):
    from cloakbench.images import encode

    path.write_bytes(encode(tiny.picture(99, 20, 30)))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("001.png", flip),
        ("001.png", repaint),
        ("001.png", lambda path: path.unlink()),
        ("manifest.json", flip),
        ("manifest.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_text("{}")),
        ("manifest.json", lambda path: path.write_text('{"digests": ["00"]}')),
    ],
    ids=["flipped", "other-image", "lost", "manifest-flipped", "list", "empty", "other-digest"],
)
def test_damaged_images_are_told(store, name, damage):
    store.write_images("a" * 64, WHERE, [tiny.picture(n, 20, 30) for n in range(3)], {})
    damage(store.images_path("a" * 64, WHERE) / name)
    with pytest.raises(CorruptFile, match="The stage runs again"):
        store.read_images("a" * 64, WHERE)


def test_images_without_their_manifest_are_not_there_yet(store):
    store.write_images("a" * 64, WHERE, [tiny.picture(0, 20, 30)], {})
    (store.images_path("a" * 64, WHERE) / "manifest.json").unlink()
    assert store.read_images("a" * 64, WHERE) is None


def test_a_store_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "results").write_text("a file where the store should be")
    for root in (tmp_path / "results", tmp_path / "results" / "below"):
        with pytest.raises(UserError, match="expected a writable store") as caught:
            Store(root).prepare()
        assert "--store or CLOAKBENCH_STORE" in caught.value.hint


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "no space is left"), (errno.EDQUOT, "no space is left"), (errno.EIO, "Input/output error")],
)
def test_a_write_that_fails_leaves_the_old_state(store, monkeypatch, number, message):
    store.write_record(record())

    def full(_handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InfrastructureError, match=message) as caught:
        store.write_record(record(artist="other"))
    assert "finished cells are kept" in caught.value.hint
    monkeypatch.undo()
    assert store.read_record("a" * 64, WHERE) == record()
    assert [p.name for p in store.root.rglob("*") if p.is_file()] == [f"{WHERE}.json"]


def test_an_interrupted_write_leaves_the_old_state(store, monkeypatch):
    store.write_record(record())
    monkeypatch.setattr(os, "fsync", lambda _handle: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.write_record(record(artist="other"))
    assert store.read_record("a" * 64, WHERE) == record()
    assert not list(store.root.rglob(".partial-*"))


def test_facts_are_kept_once_per_version(store):
    facts = suites.facts(tiny.suite())
    store.write_facts(facts)
    path = store.facts_path("tiny", 1)
    stamp = path.stat().st_mtime_ns
    store.write_facts(facts)
    assert path.stat().st_mtime_ns == stamp
    assert json.loads(path.read_text())["suite"]["name"] == "tiny"
