"""Merging, adopting, signing and verifying records of strangers: all or nothing, with their origin."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from functools import partial

import pytest

from cloakbench.errors import InfrastructureError, UserError
from cloakbench.store import reading, staging
from cloakbench.store.origins import Verb
from cloakbench.store.store import Store
from cloakbench.upkeep import sign
from cloakbench.upkeep.adopt import adopt
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.verify import verify
from tests.cells.folders import lines, rewrite
from tests.forking import wait_status
from tests.programs import needs_openssh

pytestmark = pytest.mark.usefixtures("stand_ins")
"""The weights that the run measured with: a merge compares recipes, which name them."""


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def records_of(root):
    return [name for name in files(root) if name.startswith("records/")]


@pytest.mark.finding("B3")
def test_a_cell_with_two_results_in_one_source_is_an_error_that_names_both(reference, tmp_path):
    documents = lines(reference)
    other = json.loads(json.dumps(documents[0]))
    other["generations"] = {name: [value * 0.5 for value in row] for name, row in other["generations"].items()}
    rewrite(reference, [*documents, other])
    numbers = ["records.jsonl:1", f"records.jsonl:{len(documents) + 1}"]
    problems = verify(reference).problems
    assert any(all(number in problem for number in numbers) for problem in problems)
    for take in (lambda store: adopt(reference, None, store), lambda store: merge([reference], store)):
        store = Store(tmp_path / "target")
        with pytest.raises(UserError, match=r"records\.jsonl:1 and records\.jsonl:"):
            take(store)
        assert records_of(store.root) == []


def test_of_two_sources_that_differ_nothing_arrives_and_both_are_named(source, tmp_path):
    other = tmp_path / "other"
    for folder in ("features", "images", "gallery"):  # from them, values are computed again
        shutil.rmtree(source.root / folder, ignore_errors=True)
    shutil.copytree(source.root, other)
    path = next(p for p in Store(other).records() if json.loads(p.read_bytes())["sets"])
    document = json.loads(path.read_bytes())
    document["sets"] = {name: value + 1 for name, value in document["sets"].items()}
    path.write_text(json.dumps(document))
    store = Store(tmp_path / "target")
    with pytest.raises(UserError) as caught:
        merge([source.root, other], store)
    assert str(source.root) in caught.value.message
    assert str(other) in caught.value.message
    assert records_of(store.root) == []


@pytest.mark.finding("B1", "B2", "A23")
@pytest.mark.parametrize("damage", ["key", "env_class", "nan", "infinity", "text"])
def test_strings_and_numbers_without_limits_never_arrive(damage, reference, tmp_path):
    documents = lines(reference)
    first = documents[0]
    if damage == "key":
        first["key"] = "../../.."
    elif damage == "env_class":
        first["environment"]["env_class"] = "../../../../escaped"
    elif damage == "text":
        first["protection"]["title"] = "\x1b[2J\u202e"
    else:
        first["strength"] = float(damage)
    rewrite(reference, documents)
    store = Store(tmp_path / "deep" / "target")
    with pytest.raises(UserError, match="faults"):
        merge([reference], store)
    assert not store.root.exists()
    done = adopt(reference, None, store)
    assert (done.added, done.damaged) == (len(documents) - 1, 1)
    assert not list(tmp_path.rglob("escaped*"))
    assert set(files(tmp_path / "deep")) == {f"target/{name}" for name in files(store.root)}


@pytest.mark.finding("B4")
def test_links_in_a_folder_of_a_stranger_are_never_followed(source, tmp_path):
    (tmp_path / "private.key").write_text("PRIVATE")
    link = source.root / "gallery" / "zz" / "x.webp"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "private.key")
    for take in (lambda store: merge([source.root], store), lambda store: adopt(source.root, None, store)):
        with pytest.raises(UserError, match="symbolic link"):
            take(Store(tmp_path / "target"))
    assert any("symbolic link" in problem for problem in verify(source.root).problems)
    assert not (tmp_path / "target").exists()


def test_files_that_the_layout_does_not_know_stay_where_they_are(source, tmp_path):
    (source.root / "gallery" / "passwords.txt").write_text("secret")
    (source.root / "signatures").mkdir(exist_ok=True)
    (source.root / "signatures" / "evil.sh").write_text("secret")
    store = Store(tmp_path / "target")
    merge([source.root], store)
    assert not [name for name in files(store.root) if "passwords" in name or "evil" in name]


def test_an_error_while_files_are_staged_leaves_no_trace(source, tmp_path, monkeypatch):
    store, written = Store(tmp_path / "target"), []
    real = staging.write_below

    def fill(root, name, data):
        written.append(name)
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        real(root, name, data)

    monkeypatch.setattr(staging, "write_below", fill)
    with pytest.raises(InfrastructureError, match="no space is left"):
        merge([source.root], store)
    assert [name for name in files(store.root) if name != "merge.lock"] == []


def killed_merge(source, store, moves):
    """Merges, and is killed after some files have been put in place."""
    kill_after(moves)
    merge([source], store)


@pytest.mark.finding("C8")
def test_a_killed_merge_has_put_in_all_or_nothing(source, tmp_path):
    whole = Store(tmp_path / "whole")
    merge([source.root], whole)
    expected = records_of(whole.root)
    results = set()
    for number, moves in enumerate([0, 1, 7]):
        store = Store(tmp_path / f"killed-{number}")
        assert os.WTERMSIG(wait_status(partial(killed_merge, source.root, store, moves))) == signal.SIGKILL
        present = reading.suite_names(store.root) if (store.root / "facts").exists() or moves else []
        results.add(bool(present))
        assert records_of(store.root) == (expected if moves else [])
        assert not list(store.root.glob(".committed-*"))
        merge([source.root], store)
        assert records_of(store.root) == expected
    assert results == {False, True}


def kill_after(moves):
    """Ends this process by SIGKILL before it has put in so many files; 0: while it still writes them."""
    if moves == 0:
        staging.Staging.commit = lambda _self: os.kill(os.getpid(), signal.SIGKILL)
        return
    real, count = staging._move_file, []

    def move(name, target, root):
        count.append(name)
        if len(count) > moves:
            os.kill(os.getpid(), signal.SIGKILL)
        real(name, target, root)

    staging._move_file = move


@pytest.mark.finding("B5")
def test_a_run_treats_merged_cells_as_not_its_own_and_goes_on_from_adopted_ones(good_run, source, tmp_path):
    from cloakbench.cells import pipeline

    env_class = good_run.environment.env_class
    merged, adopted = Store(tmp_path / "merged"), Store(tmp_path / "adopted")
    merge([source.root], merged)
    adopt(source.root, None, adopted)
    for cell in good_run.cells:
        assert merged.read_record(cell.key, env_class) is not None
        assert pipeline.finished(merged, cell, env_class) is None
        assert pipeline.finished(adopted, cell, env_class) is not None
        assert merged.read_origin(cell.key, env_class).verb is Verb.MERGE
        assert not adopted.is_own(cell.key, env_class)
        if "protect" in cell.keys:
            assert not merged.is_usable(cell.keys["protect"], env_class)
    merged.mark_own(good_run.cells[0].key, env_class)
    assert pipeline.finished(merged, good_run.cells[0], env_class) is not None


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@needs_openssh
@pytest.mark.finding("B5", "B9")
def test_sign_signs_what_ran_here_and_nothing_else(good_run, source, key, tmp_path, monkeypatch):
    signers = tmp_path / "signers"
    signers.write_text("maintainer " + (tmp_path / "key.pub").read_text())
    monkeypatch.setenv("CLOAKBENCH_SIGNERS", str(signers))
    store = Store(tmp_path / "target")
    merge([source.root], store)
    with pytest.raises(UserError, match="merged or adopted"):
        sign.sign_own(store.root, None, key)
    first = good_run.cells[0]
    store.mark_own(first.key, good_run.environment.env_class)
    done = sign.sign_own(store.root, None, key)
    assert (done.records, done.left_out) == (1, len(good_run.cells) - 1)
    report = verify(store.root)
    assert (report.signed, report.merged, report.problems) == (1, len(good_run.cells) - 1, [])
    reading.export_reference(store.root, None, tmp_path / "exported")
    assert verify(tmp_path / "exported").signed == 1
    with pytest.raises(UserError, match="reference folder"):
        sign.sign_own(tmp_path / "exported", None, key)
    # The key expires, is replaced by another one, and is taken off the list.
    public = (tmp_path / "key.pub").read_text()
    for line in (f'maintainer valid-before="20200101" {public}', "", "someone ssh-ed25519 AAAA\n"):
        signers.write_text(line)
        assert verify(store.root).signed == 0


def test_a_folder_is_a_store_or_a_reference_and_never_both(source, reference, tmp_path, cloakbench):
    done = cloakbench("export", "tiny", "--source", source.root, "--out", source.root)
    assert (done.code, (source.root / "facts.json").exists()) == (2, False)
    assert cloakbench("merge", source.root, "--store", reference).code == 2
    assert cloakbench("adopt", source.root, "--store", reference).code == 2
    shutil.copy(reference / "facts.json", source.root)
    for verb in ("verify", "board"):
        arguments = ["verify", source.root] if verb == "verify" else ["board", "--source", source.root]
        done = cloakbench(*arguments)
        assert (done.code, "got both" in done.err) == (2, True)
    assert cloakbench("gc", "--store", tmp_path / "nosuch").code == 2


def test_an_unexpected_error_ends_with_2_and_no_traceback(source, cloakbench, monkeypatch):
    monkeypatch.setattr("cloakbench.upkeep.verify.verify", lambda *_, **__: 1 / 0)
    done = cloakbench("verify", source.root)
    assert done.code == 2
    assert "ZeroDivisionError" in done.err
    assert "Traceback" not in done.err


def test_output_that_is_closed_is_no_fault():
    command = "from cloakbench.cli import main; main(['list', 'suites'])"  # every verb prints by the same code
    for redirect in (">&-", ">&- 2>&-", "</dev/null >/dev/full"):
        shell = f'exec {sys.executable} -c "$0" {redirect}'
        done = subprocess.run(["/bin/bash", "-c", shell, command], stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == (2 if "full" in redirect else 0), done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.finding("C6")
def test_new_files_have_the_permissions_that_the_umask_leaves(good_run, tmp_path):
    before = os.umask(0o077)
    try:
        adopt(good_run.store.root, None, Store(tmp_path / "private"))
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in Store(tmp_path / "private").records()}
    assert modes == {0o600}


@pytest.mark.finding("C5")
def test_a_disk_that_is_full_is_explained_and_nothing_arrives(source, tmp_path):
    (tmp_path / "file").write_text("a file in place of a store")
    with pytest.raises(UserError, match="writable store"):
        merge([source.root], Store(tmp_path / "file"))
    store = Store(tmp_path / "target")

    def merge_on_a_full_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        with pytest.raises(InfrastructureError):
            merge([source.root], store)

    assert wait_status(merge_on_a_full_disk) == 0
    assert [name for name in files(store.root) if name != "merge.lock"] == []
