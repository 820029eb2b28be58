"""Hostile words in every string of every schema that a board reads: the schemas say which strings there are."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
import spoiling
import synthetic
from seen import KINDS, SeenPage, kind, made, pages
from spoiling import Spoiler
from synthetic import BLUR, JPEG, PLAIN, arms, record

from cloakbench.printable import has_hidden
from cloakbench.schemas.external import AttackPackage
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import SuiteFacts
from cloakbench.schemas.suite_tables import PublishedFigure

TRICKS = "<script>alert(1)</script>\u202e\"'><img src=x onerror=alert(1)>../../../etc/passwd{{ 7*7 }}\x1b[2J"
LONG = TRICKS + "x" * 10_000
NAMES = [f"artist{n}" for n in range(6)]
SPARED = {
    "Metrics.primary": "names of metrics stand in records, too, where a pattern holds them",
    "Metrics.quality": "as above",
    "Metrics.generation": "as above",
    "Metrics.sets": "as above",
    "Metrics.edit": "as above",
    "MetricFacts.name": "as above",
}
"""Fields with free words that stay as they are, and why."""
ABSENT = {
    "Matching.metric": "a suite that is matched needs calibrated records; its words are names of metrics and artists",
    "Matching.gates": "as above",
    "Matching.artists": "as above",
}
"""Fields with free words in models that this board has not, and why."""
LINKS = {*NAMES, "mini-a", "dreambooth", "jpeg", "blur", "floor"}
"""Strings that join records and facts."""
FIGURE = PublishedFigure(paper="p", table="t", row="r", values={"psnr": 1.0}, protection="x", attack="jpeg")
PACKAGE = AttackPackage(
    spelling="cleaner", distribution="d", version="1", digest="a" * 64, title="t", paper="p", knowledge="tool"
)


def spoil(text: str) -> str:
    """Returns a string that joins others with tricks behind it, the same each time; long tricks for any other."""
    return text + TRICKS if text in LINKS else LONG


def board(spoiler: Spoiler) -> tuple[SuiteFacts, list[Record]]:
    """Returns spoiled facts and records, with something in every table and list that holds words."""
    suite = synthetic.suite(NAMES, (PLAIN, JPEG, BLUR), worst_case=["jpeg"], published=[FIGURE])
    records = [synthetic.lost("y", NAMES[0], Status.FAILED, "r")]
    for number, name in enumerate(NAMES):
        for attack in suite.attacks:
            records.append(record("identity", name, 0.0, attack))
            records.append(record("x", name, 0.3 + number / 100, attack))
            records.append(record("z", name, 0.2 + number / 100, attack))
        records += arms(name, 0.0, 1.0)[1:]
    own = record("x", NAMES[0], 0.1, PLAIN.model_copy(update={"name": "cleaner"}))
    records.append(own.model_copy(update={"attack": own.attack.model_copy(update={"package": PACKAGE})}))
    return spoiler.copy(synthetic.facts(suite)), list(map(spoiler.copy, records))


def test_no_field_is_forgotten() -> None:
    places = spoiling.places_of_words(Record) | spoiling.places_of_words(SuiteFacts)
    assert {"ProtectionFacts.title", "Record.reason", "Suite.banner", "AttackExplained.parameters"} <= places
    assert not {"Record.key", "Environment.env_class", "ProtectionFacts.name", "Record.status"} & places
    spoiler = Spoiler(spoil, SPARED)
    board(spoiler)
    assert sorted(places ^ (spoiler.reached | SPARED.keys() | ABSENT.keys())) == []


@pytest.mark.finding("D28")
def test_hostile_words_in_every_string_are_inert_on_every_page() -> None:
    files = made(*board(Spoiler(spoil, SPARED)))
    seen = pages(files)
    assert {kind(path) for path in seen} == KINDS
    for path, page in seen.items():
        require_inert(path, page)
    for path, file in files.items():
        if callable(file.content):  # else it is one of our own files, copied
            require_readable(path, file.content())


def require_readable(path: str, content: bytes) -> None:
    """Fails where a feed, a drawing or a table of the site can't be read by a program."""
    if path.endswith((".xml", ".svg")):
        ElementTree.fromstring(content)
    elif path.endswith(".json"):
        json.loads(content)
    elif path.endswith((".csv", ".tex", ".bib", ".txt", ".md")):
        assert not has_hidden(content.decode().translate({ord("\n"): None, ord("\t"): None, ord("\r"): None})), path


def require_inert(path: str, page: SeenPage) -> None:
    """Fails where a page has a tag, an attribute, a link or a character of the tricks, or a word without end."""
    assert len(path) < 220
    assert page.broken == [], path
    for tag, attributes in page.tags:
        assert tag not in ("img", "iframe", "object", "embed", "base"), path
        assert not [name for name in attributes if name.startswith("on") or name in ("action", "formaction")], path
        if tag == "script" and attributes.get("type") != "application/json":
            assert (attributes.get("src") or "").startswith(("static/", "../")), path
    for link in page.all("href", "src"):
        assert not link.startswith(("javascript", "/")), path
        assert "etc" not in link.split("/")[0], path
    text = "".join(page.words) + "".join(page.all("title", "aria-label", "alt", "class", "id"))
    assert "\u202e" not in text, path
    assert "\x1b" not in text, path
    assert "x" * 5000 not in text, path
    assert "49" not in re.findall(r"passwd(\d+)", text), path
    assert sum(map(len, page.words)) < 300_000, path
