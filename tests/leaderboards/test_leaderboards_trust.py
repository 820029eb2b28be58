"""Trust labels on signed, reproduced and plain records; signatures are made by a real ssh-keygen."""

from __future__ import annotations

import json
import subprocess

import pytest
import synthetic

from cloakbench.schemas.kinds import Status
from cloakbench.store import reading, signing
from cloakbench_leaderboards.data.trust import MAINTAINERS, SELF_REPORTED, labels
from tests.programs import needs_openssh

NAMES = [f"artist-{n}" for n in range(1, 7)]
PRIMARY = "style-distance"
ELSEWHERE = "gpu-torch2.9-diffusers0.35-t1"


def board(protected=0.6):
    arms = []
    for n, artist in enumerate(NAMES):
        arms += synthetic.arms(artist, 0.3 + n / 100, 0.8)
    return [*arms, *(synthetic.record("cloak", artist, protected) for artist in NAMES)]


def moved(records, where=ELSEWHERE):
    return [
        r.model_copy(update={"environment": r.environment.model_copy(update={"env_class": where})}) for r in records
    ]


def signed_by(records, name="maintainer"):
    return {signing.digest(record): name for record in records}


def of(records, signed=None, name="cloak"):
    return labels(records, signed or {}, PRIMARY)[name].label


def test_records_that_nobody_signed_and_nobody_repeated_are_self_reported():
    trust_labels = labels(board(), {}, PRIMARY)
    assert {trust.label for trust in trust_labels.values()} == {SELF_REPORTED}
    assert set(trust_labels) == {"identity", "placebo", "floor", "cloak"}


def test_an_entry_is_the_maintainers_where_its_records_and_the_arms_are_signed():
    records = board()
    own = [r for r in records if r.protection.name == "cloak"]
    arms = [r for r in records if r.protection.role in ("identity", "floor")]
    assert of(records, signed_by([*own, *arms])) == MAINTAINERS
    assert of(records, signed_by(arms)) == SELF_REPORTED
    assert of(records, signed_by(own)) == SELF_REPORTED, "its P rests on arms that nobody vouches for"
    assert of(records, signed_by([*own[:-1], *arms])) == SELF_REPORTED


def test_a_changed_record_loses_its_signature_and_an_exported_one_keeps_it():
    record = board()[-1]
    assert signing.digest(record) == signing.digest(record.model_copy(update={"traceback": "x", "suite_version": 9}))
    changed = {**record.generations, PRIMARY: [0.9]}
    assert signing.digest(record) != signing.digest(record.model_copy(update={"generations": changed}))
    assert signing.digest(record) != signing.digest(record.model_copy(update={"digests": {"protect": ["0" * 64]}}))


def test_an_entry_is_reproduced_where_another_environment_holds_all_its_cells_and_agrees():
    records = board(0.6)
    assert of([*records, *moved(board(0.61))]) == "reproduced in 2 environments"
    assert of([*records, *moved(board(0.61)), *moved(board(0.6), "third")]) == "reproduced in 3 environments"
    assert of([*records, *moved(board(0.7))]) == SELF_REPORTED, "P is another one there"
    assert of([*records, *moved(board(0.6)[:-1])]) == SELF_REPORTED, "a cell is missing there"


def test_another_end_of_a_cell_is_no_reproduction():
    failed = synthetic.lost("cloak", NAMES[0], Status.FAILED, "RuntimeError: no")
    there = [r for r in board() if (r.protection.name, r.artist) != ("cloak", NAMES[0])]
    assert of([*board(), *moved([*there, failed])]) == SELF_REPORTED


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def allowed(tmp_path, key, monkeypatch):
    path = tmp_path / "allowed"
    path.write_text(f"lead@example.org {key.with_suffix('.pub').read_text()}")
    monkeypatch.setenv("CLOAKBENCH_SIGNERS", str(path))
    return path


@pytest.fixture
def store(tmp_path):
    return synthetic.save(tmp_path / "store", synthetic.facts(synthetic.suite(NAMES)), board())


@needs_openssh
def test_a_signature_by_an_allowed_key_counts_in_the_store_and_in_its_export(store, key, allowed, cloakbench, tmp_path):
    result = cloakbench("sign", store, "--key", key, "--json")
    assert (result.code, json.loads(result.out)["records"]) == (0, 24)
    loaded = reading.load(store)
    assert of(loaded.records, loaded.signed) == MAINTAINERS
    exported = reading.load(tmp_path / "out") if reading.export_reference(store, None, tmp_path / "out") else None
    assert of(exported.records, exported.signed) == MAINTAINERS
    assert "signed by lead@example.org" in labels(exported.records, exported.signed, PRIMARY)["cloak"].words


@needs_openssh
def test_a_foreign_key_a_changed_manifest_and_a_missing_signature_count_for_nothing(store, key, allowed, cloakbench):
    cloakbench("sign", store, "--key", key)
    [manifest] = (store / "signatures").glob("*.manifest")
    whole = manifest.read_bytes()
    manifest.write_bytes(whole.replace(whole[:4], b"0000"))
    assert not reading.load(store).signed
    manifest.write_bytes(whole)
    assert reading.load(store).signed
    allowed.write_text("")
    assert not reading.load(store).signed
    manifest.with_suffix(".manifest.sig").unlink()
    assert not reading.load(store).signed


@needs_openssh
def test_a_file_that_is_no_key_is_told(store, tmp_path, cloakbench):
    (tmp_path / "no-key").write_text("nothing")
    result = cloakbench("sign", store, "--key", tmp_path / "no-key")
    assert result.code == 2
    assert "expected a private key of OpenSSH" in result.err
    assert not list(store.glob("signatures/*"))


def as_a_line(key, revoked):
    revoked.write_text(key.with_suffix(".pub").read_text())


def as_a_list_of_openssh(key, revoked):
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, key.with_suffix(".pub")], check=True)


def by_its_fingerprint(key, revoked):
    command = ["ssh-keygen", "-l", "-f", key.with_suffix(".pub")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (revoked.parent / "told").write_text(f"hash: {shown.split()[1]}\n")
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, revoked.parent / "told"], check=True)


@needs_openssh
@pytest.mark.finding("B9")
@pytest.mark.parametrize("revoke", [as_a_line, as_a_list_of_openssh, by_its_fingerprint])
def test_a_revoked_key_counts_for_nothing_though_it_is_still_listed(store, key, allowed, cloakbench, revoke, tmp_path):
    assert cloakbench("sign", store, "--key", key).code == 0
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    revoke(other, tmp_path / "revoked_keys")
    assert reading.load(store).signed, "another key is revoked"
    (tmp_path / "revoked_keys").unlink()
    revoke(key, tmp_path / "revoked_keys")
    loaded = reading.load(store)
    assert loaded.signed == {}
    assert of(loaded.records, loaded.signed) == SELF_REPORTED


@needs_openssh
def test_nobody_is_trusted_where_the_list_of_revoked_keys_breaks_off(store, key, allowed, cloakbench, tmp_path):
    cloakbench("sign", store, "--key", key)
    as_a_list_of_openssh(key, tmp_path / "revoked_keys")
    whole = (tmp_path / "revoked_keys").read_bytes()
    (tmp_path / "revoked_keys").write_bytes(whole[:-8])
    assert reading.load(store).signed == {}
