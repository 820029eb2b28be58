"""What stands in records is anybody's: it stays text, and inside the folder."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import pytest
import synthetic
from PIL import Image
from seen import KINDS, kind, made, pages
from synthetic import JPEG, PLAIN, arms, record

from cloakbench.errors import UserError
from cloakbench.schemas.kinds import Status
from cloakbench.store.paths import NOTICE_FILE, StorePaths
from cloakbench_leaderboards.parts import pictures
from cloakbench_leaderboards.site.writing import publish

NAMES = [f"artist{n}" for n in range(6)]
TRICKS = "<script>alert(1)</script>\u202e\"'><img src=x onerror=alert(1)>../../../etc/passwd{{ 7*7 }}"
HOSTILE = TRICKS + "x" * 10_000


def hostile_suite():
    # Copies, because the schema of records refuses such strings.
    suite = synthetic.suite([*NAMES[:5], HOSTILE], (PLAIN, JPEG.model_copy(update={"name": HOSTILE})), title=HOSTILE)
    words = dict.fromkeys(("description", "banner", "class_word", "token", "caption", "surrogate"), HOSTILE)
    return suite.model_copy(update=words)


def hostile_facts(suite):
    facts = synthetic.facts(suite)
    metrics = []
    for metric in facts.metrics:
        metrics.append(metric.model_copy(update={"summary": HOSTILE, "unit": TRICKS, "weights": (HOSTILE,)}))
    attacks = []
    for attack in facts.attacks:
        attacks.append(
            attack.model_copy(
                update={"summary": HOSTILE, "parameters": {HOSTILE: {HOSTILE: HOSTILE}}, "limits": HOSTILE}
            )
        )
    return facts.model_copy(update={"metrics": metrics, "attacks": attacks})


def hostile_protection():
    return record("x", "a", 0.5).protection.model_copy(
        update={
            "name": "hostile",
            "version": HOSTILE,
            "distribution": HOSTILE,
            "title": HOSTILE,
            "licence": HOSTILE,
            "paper_title": HOSTILE,
            "authors": HOSTILE,
            "contact": HOSTILE,
            "settings": {HOSTILE: HOSTILE},
            "needs": (HOSTILE,),
            "looked_into": (HOSTILE,),
            "paper": "javascript:alert(1)//https://arxiv.org",
            "package_digest": HOSTILE,
        }
    )


def hostile_board():
    suite, who = hostile_suite(), hostile_protection()
    other = who.model_copy(update={"name": "hostile-again"})
    where = record("x", "a", 0.5).environment.model_copy(
        update={"device": HOSTILE, "commit": HOSTILE, "packages": {HOSTILE: HOSTILE}, "libjpeg": HOSTILE}
    )
    tricks = {
        "components": {
            HOSTILE: {HOSTILE: [HOSTILE]},
            "measure": {"parents": {"generate": "../../../../etc", "protect": HOSTILE}},
        },
        "digests": {HOSTILE: [HOSTILE]},
        "isolation": HOSTILE,
        "skipped": {"kid": HOSTILE},
        "environment": where,
    }
    records = []
    for n, name in enumerate([*NAMES[:5], HOSTILE]):
        fields = {"artist": name, "environment": where}
        for attack in suite.attacks:
            both = [record("identity", name, 0.0, attack), record("x", name, 0.3 + n / 100, attack)]
            named = {**fields, "attack": both[0].attack.model_copy(update={"name": attack.name})}
            records.append(both[0].model_copy(update=named))
            records.append(both[1].model_copy(update={**named, **tricks, "protection": who}))
            second = record("z", name, 0.2 + n / 100, attack)
            records.append(second.model_copy(update={**named, **tricks, "protection": other}))
        for cell_record in arms(name, 0.0, 1.0)[1:]:
            records.append(cell_record.model_copy(update=fields))
    records[-1] = records[-1].model_copy(update={"status": Status.INFRA_ERROR, "reason": HOSTILE, "traceback": HOSTILE})
    fault = synthetic.lost("y", NAMES[0], Status.FAILED, "")
    fault = fault.model_copy(update={"reason": HOSTILE, "traceback": HOSTILE, "environment": where})
    return hostile_facts(suite), [*records, fault]


def test_hostile_words_are_inert_on_every_page(tmp_path):
    facts, records = hostile_board()
    (tmp_path / "store/images").mkdir(parents=True)
    (tmp_path / "store" / NOTICE_FILE).write_text(HOSTILE, encoding="utf-8")
    files = made(facts, records, tmp_path / "store")
    site_pages = pages(files)
    assert {kind(path) for path in site_pages} == KINDS
    publish(tmp_path / "deep/site", files.values())
    assert {path.name for path in tmp_path.iterdir()} == {"store", "deep"}
    for path, page in site_pages.items():
        assert len(path) < 220
        assert page.broken == [], path
        scripts = [attrs for tag, attrs in page.tags if tag == "script"]
        for attrs in scripts:
            assert (attrs.get("src") or "").startswith(("static/", "../")) or attrs.get("type") == "application/json"
        assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "embed", "base")], path
        assert not page.all("action", "formaction"), path
        assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")], path
        links = page.all("href", "src")
        assert not [
            link for link in links if "javascript" in link or "etc" in link.split("/")[0] or link.startswith("/")
        ]
        text = "".join(page.words) + "".join(page.all("title", "aria-label", "alt", "class", "id"))
        assert "\u202e" not in text, path
        assert "x" * 5000 not in text, path
        assert "49" not in re.findall(r"passwd(\d+)", text), path
        assert sum(map(len, page.words)) < 300_000, path


@pytest.mark.finding("D2", "D25")
@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to, lambda path, _private: os.mkfifo(path)])
@pytest.mark.parametrize("name", [NOTICE_FILE, "boards/mini.json", "history.jsonl"])
def test_a_page_shows_no_file_that_a_link_leads_to_and_waits_for_no_pipe(tmp_path, make, name):
    facts, records = hostile_board()
    (tmp_path / "private").write_text("PRIVATE")
    (tmp_path / "store" / name).parent.mkdir(parents=True)
    make(tmp_path / "store" / name, tmp_path / "private")
    with contextlib.suppress(UserError):  # a line of the history that is no point
        files = made(facts, records, tmp_path / "store")
        publish(tmp_path / "site", files.values())
    assert (tmp_path / "site").exists() or name == "history.jsonl"
    for path in (tmp_path / "site").rglob("*.html"):
        assert "PRIVATE" not in path.read_text(encoding="utf-8")


def test_a_path_in_a_recipe_never_becomes_one(tmp_path):
    secret = tmp_path / "secret.webp"
    Image.new("RGB", (8, 8)).save(secret)
    (tmp_path / "store/images").mkdir(parents=True)
    for key in ("../../secret", "/" + str(secret), "a" * 63, "A" * 64):
        recipes = synthetic.components({"generate": key, "protect": key})
        cell_record = record("x", "a", 0.5).model_copy(update={"components": recipes})  # the schema refuses such keys
        strip = pictures.PictureFinder(StorePaths(tmp_path / "store"), 5000).strip(
            cell_record, cell_record, cell_record, cell_record
        )
        assert [picture.source for picture in strip] == [""] * 7
