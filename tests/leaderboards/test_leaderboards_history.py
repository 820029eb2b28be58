"""The history beside records, its series and steps, its page and its feed."""

from __future__ import annotations

import doctest
import hashlib
import json
import random
import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import synthetic

from cloakbench.errors import UserError
from cloakbench.store import reading
from cloakbench_leaderboards.data.points import PointKind
from cloakbench_leaderboards.history import feed, history
from cloakbench_leaderboards.history.history import HISTORY_FILE, HistoryPoint, layers, points, read, remember, united
from cloakbench_leaderboards.history.tracking import tracks
from cloakbench_leaderboards.pages import history as page
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site.site import build

FACTS, RECORDS = synthetic.demonstration()
ATOM = {"a": feed.ATOM}


def versioned(records, number, created, move=0.0):
    """The records with PhotoGuard in another version, measured at another time."""
    moved = []
    for cell_record in records:
        if cell_record.protection.name == "photoguard":
            moved.append(
                cell_record.model_copy(
                    update={
                        "protection": cell_record.protection.model_copy(
                            update={"version": number, "package_digest": number[-1] * 64}
                        ),
                        "created": created,
                        "key": f"{number.replace('.', '')}{cell_record.key}"[:64],
                        "generations": {
                            "style-distance": [v + move for v in cell_record.generations["style-distance"]]
                        },
                    }
                )
            )
    return moved


@pytest.fixture
def folder(tmp_path):
    """A reference folder with three versions of PhotoGuard, the last of which protects less."""
    store = synthetic.save(tmp_path / "store", FACTS, RECORDS)
    synthetic.save(store, FACTS, versioned(RECORDS, "1.1", "2026-02-01T00:00:00+00:00", 0.001))
    synthetic.save(store, FACTS, versioned(RECORDS, "1.2", "2026-03-01T00:00:00+00:00", -0.08))
    return store


def test_a_board_gives_a_point_for_each_submission_and_random_noise():
    history_points = points(gather(reading.Loaded(FACTS, RECORDS, [])))
    assert [history_point.protection for history_point in sorted(history_points, key=lambda p: p.protection)] == [
        "glaze", "impasto", "mist", "photoguard", "random-noise",
    ]  # fmt: skip
    [own] = [history_point for history_point in history_points if history_point.protection == "photoguard"]
    assert {(value.attack, value.at.words) for value in own.values} == {
        (attack, f"strength {strength}")
        for attack in ("dreambooth", "jpeg", "blur", "noise", "lora")
        for strength in ("0.25", "0.5", "1")
    }
    whole = next(value for value in own.values if (value.attack, value.at.words) == ("dreambooth", "strength 1"))
    assert whole.low < whole.p < whole.high
    assert abs(whole.p - 0.5) < 0.05  # what synthetic.py gives it
    assert (whole.artists, own.cells, own.version) == (8, 120, "1.0")


def test_remembering_tells_every_version_once(folder):
    assert remember(folder) == 7
    before = (folder / HISTORY_FILE).read_bytes()
    assert remember(folder) == 0
    assert (folder / HISTORY_FILE).read_bytes() == before
    versions = []
    for history_point in read(folder):
        if history_point.protection == "photoguard":
            versions.append(history_point.version)
    assert versions == ["1.0", "1.1", "1.2"]


def test_histories_merge_in_any_order(folder):
    remember(folder)
    read_back = read(folder)
    rng = random.Random(0)
    for _ in range(5):
        mixed = rng.sample([*read_back, *read_back], 2 * len(read_back))
        assert united(mixed) == read_back
    later = read_back[0].model_copy(update={"measured": "2027-01-01T00:00:00+00:00"})
    assert united([later, *read_back]) == read_back  # the same numbers again


def test_two_histories_become_one(folder, tmp_path):
    remember(folder)
    read_back = read(folder)
    assert history.add(read_back[:4], tmp_path) == 4
    assert history.add(read_back[2:], tmp_path) == len(read_back) - 4
    assert history.add(read_back, tmp_path) == 0
    assert (tmp_path / HISTORY_FILE).read_bytes() == (folder / HISTORY_FILE).read_bytes()


def test_a_line_that_is_no_point_is_an_error(folder):
    (folder / HISTORY_FILE).write_text('{"suite": "mini"}\n')
    with pytest.raises(UserError, match="expected a point of a board's history in each line"):
        read(folder)


def test_a_history_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / HISTORY_FILE).write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match=r"UTF-8 .*byte 0xe9"):
        read(tmp_path)


def test_layers_never_mix_versions_or_environments():
    elsewhere = RECORDS[0].environment.model_copy(update={"env_class": "other"})
    moved = [cell_record.model_copy(update={"environment": elsewhere}) for cell_record in RECORDS]
    more = versioned(RECORDS, "1.1", "2026-02-01T00:00:00+00:00")
    layers_of_records = list(layers(reading.Loaded(FACTS, [*RECORDS, *moved, *more], [])))
    kinds = []
    for layer in layers_of_records:
        kinds.append(
            (
                {cell_record.environment.env_class for cell_record in layer.records},
                {
                    cell_record.protection.version
                    for cell_record in layer.records
                    if cell_record.protection.name == "photoguard"
                },
                {cell_record.protection.role for cell_record in layer.records} >= {"identity", "floor", "placebo"},
            )
        )
    here = {RECORDS[0].environment.env_class}
    assert kinds == [(here, {"1.1"}, True), (here, {"1.0"}, True), ({"other"}, {"1.0"}, True)]


def test_a_series_holds_a_step_where_a_version_protects_less(folder):
    remember(folder)
    [track] = [track for track in tracks(read(folder), 0.1, ["lora"]) if track.points[0].protection == "photoguard"]
    assert track.series[0].attack == "lora"
    [plain] = [score_series for score_series in track.series if score_series.attack == "dreambooth"]
    assert (plain.at.kind, plain.at.value) == (PointKind.STRENGTH, 1.0)
    [step] = plain.steps
    assert (step.point.version, step.has_fallen, plain.has_regressed) == ("1.2", True, True)
    assert step.before - step.after == pytest.approx(0.08 / 0.45, abs=0.03)  # the denominator is 0.4 to 0.52


def test_too_few_artists_make_no_step():
    def point(day, p, artists):
        at = {"attack": "jpeg", "kind": "strength", "value": 1.0}
        value = history.MeasuredScore(**at, p=p, low=None, high=None, artists=artists)
        return HistoryPoint(
            suite="s", suite_version=1, protection="x", version=day, package="", env_class="e", device="cpu",
            salt="", measured=f"2026-01-{day}", cells=1, values=(value,),
        )  # fmt: skip

    few = tracks([point("01", 0.5, 2), point("02", 0.1, 2)], 0.1)
    enough = tracks([point("01", 0.5, 6), point("02", 0.1, 6)], 0.1)
    assert few[0].series[0].steps == []
    assert [step.after for step in enough[0].series[0].steps] == [0.1]


def entries(path):
    root = ElementTree.fromstring(path.read_bytes())
    return {e.findtext("a:id", "", ATOM): e.findtext("a:title", "", ATOM) for e in root.findall("a:entry", ATOM)}


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.tags = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values_by_name = dict(attributes)
        self.ids |= {values_by_name["id"]} if "id" in values_by_name else set()
        self.links += [values_by_name["href"]] if "href" in values_by_name else []


def test_the_page_and_the_feed_tell_of_it(folder, tmp_path):
    remember(folder)
    out = build(folder, tmp_path / "site", unofficial=True).parent
    text = (out / page.PATH).read_text()
    parsed = Links(text)
    assert parsed.tags.count("svg") == 5  # the attacks of the one protection with two values each
    assert text.count("One value so far") == 4  # the other protections
    assert "script" not in parsed.tags
    assert "2026-03-01, version 1.2" in text
    assert "No cell of a reference has run again yet." in text
    assert page.PATH in Links((out / "index.html").read_text()).links
    feed_entries = entries(out / page.FEED)
    assert "photoguard fell under dreambooth" in feed_entries.values()
    for name in feed_entries:
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", name)
    root = ElementTree.fromstring((out / page.FEED).read_bytes())
    anchors = {link.get("href").partition("#")[2] for link in root.findall("a:entry/a:link", ATOM)}
    assert anchors <= parsed.ids


def test_ids_stay_when_the_board_grows_and_the_bytes_when_it_does_not(folder, tmp_path):
    remember(folder)
    first = build(folder, tmp_path / "one", unofficial=True).parent
    again = build(folder, tmp_path / "two", unofficial=True).parent
    for name in (page.PATH, page.FEED):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    before = entries(first / page.FEED)
    synthetic.save(folder, FACTS, versioned(RECORDS, "1.3", "2026-04-01T00:00:00+00:00", -0.079))
    synthetic.save(folder, FACTS, versioned(RECORDS, "1.4", "2026-05-01T00:00:00+00:00", 0.08))
    remember(folder)
    after = entries(build(folder, tmp_path / "two", unofficial=True).parent / page.FEED)
    assert before.items() <= after.items()
    assert len(after) > len(before)


def test_drift_of_canaries_is_shown(tmp_path):
    store = synthetic.save(tmp_path / "store", FACTS, RECORDS)
    reading.export_reference(store, None, tmp_path / "reference")
    clean = next(cell_record for cell_record in RECORDS if cell_record.protection.name == "identity")
    moved = clean.model_copy(update={"created": "2026-05-01T00:00:00+00:00", "sets": {"frechet": 9.0, "kid": 0.003}})
    (tmp_path / "reference" / "canaries.jsonl").write_text(moved.model_dump_json() + "\n")
    out = build(tmp_path / "reference", tmp_path / "site", unofficial=True).parent
    assert (
        "identity artist-1 dreambooth: the same images; mean distance +0, frechet by up to"
        in (out / page.PATH).read_text()
    )
    assert "gives other results" in "".join(entries(out / page.FEED).values())


def test_hostile_names_stay_text(tmp_path):
    bad = '<script>alert("x")</script>'
    records = []
    for cell_record in RECORDS:
        records.append(
            cell_record.model_copy(
                update={"protection": cell_record.protection.model_copy(update={"name": bad, "version": bad})}
            )
            if cell_record.protection.name == "photoguard"
            else cell_record
        )
    store = synthetic.save(tmp_path / "store", FACTS, records)
    remember(store)
    out = build(store, tmp_path / "site", unofficial=True).parent
    assert "script" not in Links((out / page.PATH).read_text()).tags
    ElementTree.fromstring((out / page.FEED).read_bytes())


def test_export_carries_the_history_on(folder, tmp_path, cloakbench):
    for _ in range(2):
        result = cloakbench("export", "mini", "--store", folder, "--out", tmp_path / "reference", "--json")
        assert json.loads(result.out)["records"] == len(RECORDS) + 240
    assert len(read(tmp_path / "reference")) == 7
    only = {cell_record.key for cell_record in versioned(RECORDS, "1.1", "")}
    for key in only:
        shutil.rmtree(folder / "records" / key[:2] / key)
    cloakbench("export", "mini", "--store", folder, "--out", tmp_path / "reference")
    assert "1.1" in {history_point.version for history_point in read(tmp_path / "reference")}


def test_examples():
    assert doctest.testmod(feed).failed == 0


def test_a_line_with_its_operating_point_in_words_is_read_and_keeps_its_identity(tmp_path):
    fields = {
        "suite": "mini", "suite_version": 3, "protection": "p", "version": "1", "package": "a", "env_class": "c",
        "device": "d", "salt": "s", "measured": "2026-01-01T00:00:00+00:00", "cells": 1,
        "values": [{"attack": "jpeg", "at": "target 0.08", "p": 0.25, "low": None, "high": None, "artists": 3}],
    }  # fmt: skip
    line = json.dumps(fields, separators=(",", ":"))
    (tmp_path / HISTORY_FILE).write_text(line + "\n")
    [point] = read(tmp_path)
    assert (point.values[0].kind, point.values[0].value) == (PointKind.TARGET, 0.08)
    # What the digest of a point has been since the first format.
    assert point.identity == hashlib.sha256(line.replace(fields["measured"], "").encode()).hexdigest()
    assert read(tmp_path) == united([*read(tmp_path), HistoryPoint.model_validate_json(point.model_dump_json())])
