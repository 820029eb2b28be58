from __future__ import annotations

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
import synthetic
from synthetic import JPEG, PLAIN, arms, record

from cloakbench.errors import UserError
from cloakbench.schemas.kinds import BudgetKind, Status
from cloakbench.schemas.suite_tables import Matching
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.board import board, view
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

NAMES = [f"artist{n}" for n in range(6)]
HOSTILE = "<script>alert(1)</script>\u202e\"'><img src=x onerror=alert(1)>" + "x" * 10_000


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for name, attrs in self.tags if name == tag and attribute in attrs]


def six_artists(**changes):
    records = [cell_record for name in NAMES for cell_record in arms(name, 0.0, 1.0)]
    records += [record("x", name, (n + 1) / 10, **changes) for n, name in enumerate(NAMES)]
    return records


def two_entries():
    return [*six_artists(), *(record("y", name, 0.3) for name in NAMES)]


def loaded(records, **changes):
    names = changes.pop("artists", NAMES)
    return Loaded(synthetic.facts(synthetic.suite(names, **changes)), records, [])


def rendered(source):
    evidence = gather(source)
    [front] = [
        site_file
        for site_file in site.files(Material(evidence, view(evidence), Path()))
        if site_file.path == "index.html"
    ]
    return front.content().decode()


def row(view, name):
    return next(row for row in view.headline.rows if row.head == name)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    source = loaded(six_artists())
    synthetic.save(folder / "store", source.facts, source.records)
    page = site.build(folder / "store", folder / "site", unofficial=True)
    return page.parent


def test_page_and_data_say_the_same(built):
    page = Page((built / "numbers.html").read_text())
    shown = html.unescape(" ".join(page.words))
    data = json.loads((built / "board.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    cells = [cell for row in data["headline"]["rows"] for cell in row["cells"]]
    words = [cell[part] for cell in cells for part in ("text", "detail", "flag")]
    assert [word for word in words if not all(part in shown for part in word.split(" · "))] == []
    beside = " ".join(Page((built / "equal.html").read_text()).words)
    for name in ("equal_strength", "equal_protection"):
        assert all(cell["text"] in beside for row in data[name]["rows"] for cell in row["cells"])
    # P of x: mean of 0.1 ... 0.6, the t-interval's half-width is 0.196
    p = next(row for row in data["headline"]["rows"] if row["head"] == "x")["cells"][2]
    assert (p["text"], p["detail"], p["value"]) == ("0.35", "0.15 to 0.55", 0.35)
    assert {"board.json", "data", "index.html", "manifest.json", "static"} <= {path.name for path in built.iterdir()}


def test_page_needs_neither_network_nor_script(built):
    source = (built / "index.html").read_text()
    page = Page(source)
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "use", "image", "base")]
    assert all((built / name).is_file() for name in page.all("script", "src"))
    links = [*page.all("a", "href"), *page.all("link", "href")]
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    for link in links:
        assert (
            (built / link.partition("#")[0]).is_file()
            or link.startswith(("https://", "index.html#"))
            or link[1:] in ids
        )
    assert len(ids) == source.count(' id="')
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in page.tags if tag == "th")
    assert "Content-Security-Policy" in page.all("meta", "http-equiv")
    assert all("P" in words for words in page.all("div", "aria-label") if words.startswith("Plot"))


def test_same_records_same_bytes(built, tmp_path):
    source = loaded(six_artists()[::-1])
    synthetic.save(tmp_path / "store", source.facts, source.records)
    site.build(tmp_path / "store", tmp_path / "site", unofficial=True)
    for name in ("index.html", "board.json", "manifest.json", "data/dreambooth.js", "static/style.css"):
        assert (tmp_path / "site" / name).read_bytes() == (built / name).read_bytes()


def test_hostile_words_are_inert():
    facts = record("x", "a", 0.5).protection.model_copy(
        update={"title": HOSTILE, "paper": "javascript:alert(1)", "licence": HOSTILE}
    )
    records = six_artists(protection=facts)
    records.append(record("y", NAMES[0], [], status=Status.FAILED, reason=HOSTILE))
    page = rendered(loaded(records, title=HOSTILE, banner=HOSTILE))
    tags = Page(page)
    assert not [tag for tag, _ in tags.tags if tag == "img"]
    assert {attrs.get("type") or attrs.get("src") for tag, attrs in tags.tags if tag == "script"} == {
        "application/json",
        "static/front.js",
    }
    assert not [attrs for _, attrs in tags.tags if any(name.startswith("on") for name in attrs)]
    assert not re.search(r"x{2000}", page)
    assert "\u202e" not in page
    assert not [link for link in tags.all("a", "href") if "javascript" in link]


def test_one_entry_alone_has_no_rank():
    [rank_cell] = [row(board(loaded(six_artists())), "x").cells[0]]
    assert (rank_cell.value, "second protection" in rank_cell.note) == (None, True)


def test_six_artists_carry_a_rank_and_five_do_not():
    assert row(board(loaded(two_entries())), "x").cells[0].text == "1"
    five = row(board(loaded(six_artists(), artists=NAMES[:5])), "x")
    assert five.cells[0].value is None
    assert "5 artists, a rank needs 6" in five.cells[0].note
    assert five.cells[2].note == "5 artists, an interval needs 6"
    assert (five.cells[2].detail, five.cells[2].low) == ("", None)


def test_the_only_complete_entry_has_no_rank():
    cells = row(board(loaded(six_artists())), "x").cells
    assert (cells[0].value, cells[1].text) == (None, text.NONE)
    assert "2 complete" in cells[0].note
    page = rendered(loaded(six_artists()))
    assert "No ranking yet" in page
    assert "1 of 1 is" in page
    assert 'data-key="rank"' not in page
    assert 'data-key="rank"' in rendered(loaded(two_entries()))


def test_findings_follow_from_the_numbers():
    words = " ".join(Page(rendered(loaded(two_entries()))).words)
    # P of x: mean of 0.1 ... 0.6, half-width 0.196; y is 0.3 for all
    assert "x takes away 35 % (95 % interval 15 to 55)" in words
    assert "y 30 %" in words
    assert "x is not told apart from y" in words
    apart = [*six_artists(), *(record("y", name, (n + 1) / 10 - 0.09) for n, name in enumerate(NAMES))]
    words = " ".join(Page(rendered(loaded(apart))).words)
    assert "not told apart" not in words
    assert "x protects most" in words


def test_a_note_of_the_maintainer_stands_on_every_page(built, tmp_path):
    shutil.copytree(built.parent / "store", tmp_path / "store")
    (tmp_path / "store/notice.txt").write_text("Superseded by <b>version 4</b>.")
    page = site.build(tmp_path / "store", tmp_path / "site", unofficial=True)
    for path in ("index.html", "method.html", "protections/x.html"):
        assert "Superseded by &lt;b&gt;version 4" in (page.parent / path).read_text()


def test_equal_strength_shows_no_value_of_another_strength():
    records = [*six_artists(strength=0.25), *(record("y", name, 0.3, strength=0.5) for name in NAMES)]
    table = board(loaded(records, strengths=(0.25, 0.5, 1.0))).equal_strength
    shown = {line.head: [cell.text for cell in line.cells] for line in table.rows}
    assert set(shown["x"]) == {text.NONE}
    assert "0.300" in shown["y"]


def test_intervals_stay_inside_the_range_of_p():
    records = [cell_record for name in NAMES for cell_record in arms(name, 0.0, 1.0)]
    records += [record("x", name, value) for name, value in zip(NAMES, [1.0, 1.0, 1.0, 1.0, 1.0, 0.7], strict=True)]
    cell = row(board(loaded(records)), "x").cells[2]
    assert cell.high == 1.0
    assert cell.low < 0.95


def test_a_demonstration_says_so():
    view = board(loaded(six_artists(), artists=NAMES[:2], demonstration=True))
    assert view.demonstration.startswith("Demonstration, no intervals: 2 artists")
    assert "demonstration" in row(view, "x").cells[0].note


def test_missing_artists_are_shown_and_leave_the_entry_unranked():
    records = [
        cell_record
        for cell_record in six_artists()
        if (cell_record.protection.name, cell_record.artist) != ("x", NAMES[2])
    ]
    view = board(loaded(records))
    cells = row(view, "x").cells
    assert (cells[0].value, cells[0].note, cells[2].flag) == (None, "1 artist missing", "1 artist missing")
    assert [(gap.status, gap.where) for gap in view.gaps] == [("absent", f"1 cell at strength 1, {NAMES[2]}")]


def test_placebo_has_one_value_over_all_strengths():
    view = board(loaded(six_artists(), strengths=(0.5, 1.0)))
    cells = row(view, "placebo").cells
    assert [cell.text for cell in cells[2:4]] == ["0", "0"]


def test_a_folder_that_cannot_be_written_is_an_error(built, tmp_path):
    (tmp_path / "site").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        site.build(built.parent / "store", tmp_path / "site", unofficial=True)


def test_controls_hold_by_definition_and_failures_are_counted():
    records = six_artists()
    records[-1] = synthetic.lost("x", NAMES[5], Status.TIMEOUT, "longer than 60 s")
    view = board(loaded(records))
    assert (row(view, "identity").cells[2].text, row(view, "floor").cells[2].text) == ("0", "1")
    # (0.1 + 0.2 + 0.3 + 0.4 + 0.5 + 0) / 6
    assert row(view, "x").cells[2].value == 0.25
    assert "1 failed" in row(view, "x").cells[-2].text
    assert view.gaps[0].reason == "longer than 60 s"


def test_raw_values_quality_and_cost():
    view = board(loaded(six_artists()))
    strengths = next(row for row in view.equal_strength.rows if row.head == "x")
    cells = dict(zip([column.label for column in view.equal_strength.columns], strengths.cells, strict=True))
    assert row(view, "x").cells[-3].text == "2.00"
    # D: mean of 0.1 ... 0.6; Fréchet is ten times that; 4 s for 2 images
    assert (cells["style-distance"].text, cells["frechet"].text) == ("0.350", "3.50")
    assert (cells["mini-lpips"].text, cells["psnr"].text) == ("0.300", "30.0")
    against_clean = row(view, "x")
    table = view.attacks[0].table
    change = next(row for row in table.rows if row.head == against_clean.head).cells[4]
    assert change.detail == "+0.35 (0.15 to 0.55)"


def test_no_signal_is_shown_with_its_reason_and_has_no_curve():
    records = [cell_record for name in NAMES for cell_record in [*arms(name, 0.5, 0.5), record("x", name, 0.6)]]
    source = loaded(records)
    view = board(source)
    assert row(view, "x").cells[2].text == "no signal"
    assert view.attacks[0].curve is None
    assert "did not learn" in view.attacks[0].no_curve
    assert "did not learn" in view.no_signal[0].reason
    assert "No curve" in rendered(source)


def test_a_suite_may_rank_by_the_worst_case():
    view = board(loaded(two_entries(), rank_by="worst-case"))
    assert row(view, "x").cells[0].text == "1"
    assert view.headline.notes[0].startswith("Ranked by worst case;")


def test_an_unfinished_page_never_replaces_the_old_one(built, tmp_path, monkeypatch):
    out = tmp_path / "site"
    out.mkdir()
    (out / "index.html").write_text("old")
    monkeypatch.setattr(site, "serialise", lambda view: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        site.build(built.parent / "store", out, unofficial=True)
    assert (out / "index.html").read_text() == "old"
    assert [path.name for path in out.iterdir()] == ["index.html"]


MATCHED = Matching(metric="mini-lpips", targets=[0.15, 0.3, 0.45], tolerance=0.01, gates={"psnr": [44, 36, 20]})


@pytest.mark.parametrize("changes", [{}, {"matching": MATCHED}, {"demonstration": True}])
def test_data_follows_the_committed_schema(changes):
    schema = (Path(site.__file__).parents[1] / "board.schema.json").read_text()
    assert schema == site.schema()
    data = json.loads(site.serialise(board(loaded(six_artists(), **changes))))
    jsonschema.validate(data, json.loads(schema))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "points": [{"p": 1}]}, json.loads(schema))


def test_data_hold_every_point_and_every_number_of_the_headline():
    view = board(loaded(six_artists(), matching=MATCHED))
    points = {(point.protection, point.strength): point for point in view.points}
    # P of x: mean of 0.1 ... 0.6
    assert (points["x", 1.0].p.value, points["x", 1.0].quality["mini-lpips"]) == (0.35, 0.3)
    by_column = {entry.column: entry for entry in view.entries if entry.protection == "x"}
    # psnr falls from 45 to 30 over strength: 44 at 1 / 15 of it, 36 at 9 / 15, both before mini-lpips
    first, middle = by_column["p at mini-lpips 0.15"], by_column["p at mini-lpips 0.3"]
    assert (first.gate, first.estimate.value) == ("psnr", pytest.approx(0.35 / 15))
    assert (middle.gate, middle.estimate.value) == ("psnr", pytest.approx(0.35 * 9 / 15))
    assert by_column["p at mini-lpips 0.45"].state == "not reached"


def test_the_page_shows_what_binds_and_what_is_not_reached():
    view = board(loaded(six_artists(), matching=MATCHED))
    labels = [column.label for column in view.headline.columns]
    cells = dict(zip(labels, row(view, "x").cells, strict=True))
    assert cells["P, visible"].flag == "limited by psnr"
    assert (cells["P, strong"].text, cells["P, strong"].kind) == ("not reached", "state")
    assert cells["P, strong"].note == "the strongest point has mini-lpips 0.3"
    # P 0.25 lies at 0.25 / 0.35 of the way to mini-lpips 0.3; 0.5 is never reached
    quality = next(row for row in view.equal_protection.rows if row.head == "x").cells
    assert quality[0].value == pytest.approx(0.3 * 0.25 / 0.35)
    assert quality[-1].text == "not reached"


def test_a_point_over_target_is_shown_and_carries_no_rank():
    over = [
        record("x", name, 0.5, strength=0.9, target=0.3, quality={"mini-lpips": [0.4] * 2, "psnr": [38.0] * 2})
        for name in NAMES
    ]
    rules = MATCHED.model_copy(update={"calibrated": [0.3], "gates": {}})
    view = board(loaded([*six_artists(), *over], matching=rules, rank_by="worst-case"))
    cells = dict(zip([column.label for column in view.headline.columns], row(view, "x").cells, strict=True))
    assert (cells["P, visible"].value, cells["P, visible"].flag) == (0.5, "over target")
    assert (cells["Rank"].value, cells["Worst case"].flag) == (None, "over target")
    assert "more visible" in cells["Rank"].note


def test_a_perceptual_entry_stands_at_calibrated_points_alone():
    facts = record("y", "a", 0.5).protection.model_copy(update={"budget": BudgetKind.PERCEPTUAL})
    mine = [record("y", name, 0.5, strength=0.8, target=0.3, protection=facts) for name in NAMES]
    rules = MATCHED.model_copy(update={"calibrated": [0.3], "targets": [0.1, 0.24, 0.3], "gates": {}})
    view = board(loaded([*six_artists(), *mine], matching=rules, strengths=(0.5, 1.0)))
    assert "y" in [row.head for row in view.headline.rows]
    assert "y" not in [row.head for row in view.equal_strength.rows]
    assert [row.cells[0].detail for row in view.attacks[0].table.rows if row.head == "y"] == ["calibrated"]
    assert "searched" in next(gap.where for gap in view.gaps if gap.what.startswith("x"))


def test_the_header_says_what_the_board_can_tell_apart():
    records = [*six_artists(), *(record("y", name, 0.3) for name in NAMES)]
    words_by_label = {pair.label: pair.words for pair in board(loaded(records)).noise}
    # x - y has the sd of 0.1 ... 0.6, 0.18708: (t(0.975) 2.5706 + t(0.8) 0.9195) * 0.18708 / root 6 = 0.2666
    assert words_by_label["Least difference"].startswith(
        "less than 0.27 of P cannot be told from chance with 6 artists; 0.1 takes 30"
    )
    assert "Another seed" not in words_by_label  # there is one seed
    assert board(loaded(records, artists=NAMES[:5])).noise == ()


def test_only_the_headlines_attack_draws_the_other_trade_offs():
    records = [*six_artists(), *(record("identity", n, 0.0, JPEG) for n in NAMES)]
    records += [record("x", n, 0.2, JPEG) for n in NAMES]
    first, second = board(loaded(records, attacks=(PLAIN, JPEG))).attacks
    assert [curve.title for curve in (first.curve, *first.more_curves)] == [
        "Protection against “dreambooth” over mini-lpips",
        "Effect against “dreambooth” over mini-lpips",
        "Style-distance against “dreambooth” over mini-lpips",
        "Protection against “dreambooth” over psnr",
    ]
    assert second.curve.series[-1].points[0].x == 0  # from the identity point
    assert second.more_curves == ()
