"""Whatever stands in records, facts and archives: a message or a result, nothing outside, nothing half written."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import zipfile
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloakbench.errors import BenchmarkError
from cloakbench.store import reading
from cloakbench.store.store import Store
from cloakbench.upkeep import archive
from cloakbench.upkeep.adopt import adopt
from cloakbench.upkeep.gc import clear
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.verify import verify
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.scores.evidence import gather

pytestmark = pytest.mark.usefixtures("stand_ins")

TRICKS = [
    "",
    "../../../escaped",
    "/escaped",
    "\x1b]0;x\x07",
    "\u202e",
    "\x00",
    "<script>",
    "a" * 2000,
    "ab" * 32,
    "NaN",
    "1e999",
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(TRICKS),
    st.lists(st.floats(), max_size=3),
    st.dictionaries(st.sampled_from(["stage", "parents", *TRICKS[:4]]), st.text(max_size=4), max_size=2),
)


class Base(NamedTuple):
    """A small reference folder and archive to change."""

    facts: dict
    records: list
    files: dict

    def __repr__(self):
        return "base"


@pytest.fixture(scope="module")
def base(good_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    reading.export_reference(good_run.store.root, None, folder / "reference")
    archive.pack("good", None, good_run.store.root, folder / "good.zip")
    with zipfile.ZipFile(folder / "good.zip") as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    records = []
    for line in (folder / "reference" / "records.jsonl").read_text().splitlines():
        records.append(json.loads(line))
    return Base(json.loads((folder / "reference" / "facts.json").read_text()), records, contents)


def places(document, path=()):
    """Yields the path of every value of a JSON document."""
    yield path
    if isinstance(document, dict | list):
        for name in document if isinstance(document, dict) else range(len(document)):
            yield from places(document[name], (*path, name))


def replaced(document, path, value):
    document = copy.deepcopy(document)
    if not path:
        return value
    parent = document
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = value
    return document


def state(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def attempt(act):
    """Runs a verb; an error of ours is an answer, any other exception is a traceback."""
    with contextlib.suppress(BenchmarkError):
        act()


def examine(root, source):
    """Verifies, adopts and merges a source into stores of their own, and shows what arrived."""
    outside = state(root)
    attempt(lambda: verify(source))
    for name, act in (("adopted", lambda s: adopt(source, None, s)), ("merged", lambda s: merge([source], s))):
        store = Store(root / "deep" / name)
        attempt(lambda act=act, store=store: act(store))
        present = state(store.root) if store.root.exists() else set()
        assert not [file for file in present if "partial" in file or "committed" in file]
        if any(file.startswith("records/") for file in present):
            assert any(file.startswith("facts/") for file in present), "records and facts arrive together"
            assert reading.load(store.root).damaged == []
            attempt(lambda store=store: clear(store, dry_run=True))
            attempt(lambda store=store: view(gather(reading.load(store.root))))
    shutil.rmtree(root / "deep", ignore_errors=True)
    assert state(root) == outside


def records_and_facts(base, root, data):
    shutil.rmtree(root, ignore_errors=True)
    source = root / "source"
    source.mkdir(parents=True)
    number = data.draw(st.integers(0, len(base.records) - 1))
    path = data.draw(st.sampled_from(sorted(places(base.records[number]), key=repr)))
    changed = replaced(base.records[number], path, data.draw(VALUES))
    lines = [json.dumps(record) for record in [*base.records[:2], changed]]
    facts = base.facts
    if data.draw(st.booleans()):
        path = data.draw(st.sampled_from(sorted(places(facts), key=repr)))
        facts = replaced(facts, path, data.draw(VALUES))
    (source / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    (source / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    examine(root, source)


def archives(base, root, data):
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    files = dict(base.files)
    name = data.draw(st.sampled_from(sorted(files)))
    kind = data.draw(st.sampled_from(["bytes", "name", "json"]))
    if kind == "name":
        files[data.draw(st.sampled_from(TRICKS)) or "x"] = files.pop(name)
    elif kind == "json" and name.endswith(".json"):
        document = json.loads(files[name])
        path = data.draw(st.sampled_from(sorted(places(document), key=repr)))
        files[name] = json.dumps(replaced(document, path, data.draw(VALUES))).encode()
    else:
        at = data.draw(st.integers(0, len(files[name])))
        files[name] = files[name][:at] + data.draw(st.binary(max_size=8)) + files[name][at + 4 :]
    path = root / "x.zip"
    if data.draw(st.booleans()):
        sums = "".join(f"{archive.hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in files.items() if n != archive.SUMS)
        files[archive.SUMS] = sums.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for entry, content in files.items():
            opened.writestr(entry.replace("\x00", "") or "x", content)
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    outside = state(root)
    store = Store(root / "deep" / "store")
    facts = next(entry for entry in base.files if entry.startswith("facts/"))
    (store.root / "facts").mkdir(parents=True)
    (store.root / facts).write_bytes(base.files[facts])
    attempt(lambda: merge([path], store))
    present = state(store.root) if store.root.exists() else set()
    assert not [file for file in present if "partial" in file or "committed" in file]
    assert not any(file.startswith("records/") for file in present) or reading.load(store.root).damaged == []
    shutil.rmtree(root / "deep", ignore_errors=True)
    assert state(root) == outside


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@pytest.mark.parametrize("test", [records_and_facts, archives])
def test_nothing_gets_out_or_half_in(test, base, tmp_path):
    fuzzed = given(data=st.data())(test)
    settings(max_examples=100, suppress_health_check=SLOW, derandomize=True)(fuzzed)(base, tmp_path / "f")


@pytest.mark.long
@pytest.mark.parametrize("test", [records_and_facts, archives])
def test_nothing_gets_out_or_half_in_of_many(test, base, tmp_path):
    fuzzed = given(data=st.data())(test)
    settings(max_examples=2000, suppress_health_check=SLOW)(fuzzed)(base, tmp_path / "f")
