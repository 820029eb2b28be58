from __future__ import annotations

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import synthetic
from synthetic import arms, record

from cloakbench.errors import UserError
from cloakbench.schemas.kinds import Status
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.board import board, view
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site
from tests.leaderboards.small_boards import NAMES, loaded, row, six_artists

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


def two_entries():
    return [*six_artists(), *(record("y", name, 0.3) for name in NAMES)]


def rendered(source):
    evidence = gather(source)
    [front] = [
        site_file
        for site_file in site.files(Material(evidence, view(evidence), Path()))
        if site_file.path == "index.html"
    ]
    return front.content().decode()


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
    cells = []
    for line in data["headline"]["rows"]:
        cells += line["cells"]
    words = []
    for cell in cells:
        for part in ("text", "detail", "flag"):
            words.append(cell[part])
    assert [word for word in words if not all(part in shown for part in word.split(" · "))] == []
    beside = " ".join(Page((built / "equal.html").read_text()).words)
    for name in ("equal_strength", "equal_protection"):
        for line in data[name]["rows"]:
            for cell in line["cells"]:
                assert cell["text"] in beside
    # P of x: mean of 0.1 ... 0.6, the t-interval's half-width is 0.196
    p = next(row for row in data["headline"]["rows"] if row["head"] == "x")["cells"][2]
    assert (p["text"], p["detail"], p["value"]) == ("0.35", "0.15 to 0.55", 0.35)
    assert {"board.json", "data", "index.html", "manifest.json", "static"} <= {path.name for path in built.iterdir()}


def test_page_needs_neither_network_nor_script(built):
    source = (built / "index.html").read_text()
    page = Page(source)
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "use", "image", "base")]
    for name in page.all("script", "src"):
        assert (built / name).is_file()
    assert "Content-Security-Policy" in page.all("meta", "http-equiv")


def test_every_link_has_a_target_and_every_plot_and_head_a_name(built):
    source = (built / "index.html").read_text()
    page = Page(source)
    links = [*page.all("a", "href"), *page.all("link", "href")]
    ids = set()
    for _, attrs in page.tags:
        if "id" in attrs:
            ids.add(attrs["id"])
    for link in links:
        assert (
            (built / link.partition("#")[0]).is_file()
            or link.startswith(("https://", "index.html#"))
            or link[1:] in ids
        )
    assert len(ids) == source.count(' id="')
    for tag, attrs in page.tags:
        if tag == "th":
            assert attrs.get("scope") in ("col", "row")
    for words in page.all("div", "aria-label"):
        if words.startswith("Plot"):
            assert "P" in words


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
    shown = {}
    for line in table.rows:
        shown[line.head] = [cell.text for cell in line.cells]
    assert set(shown["x"]) == {text.NONE}
    assert "0.300" in shown["y"]


def test_intervals_stay_inside_the_range_of_p():
    records = []
    for name in NAMES:
        records += arms(name, 0.0, 1.0)
    for name, value in zip(NAMES, [1.0, 1.0, 1.0, 1.0, 1.0, 0.7], strict=True):
        records.append(record("x", name, value))
    cell = row(board(loaded(records)), "x").cells[2]
    assert cell.high == 1.0
    assert cell.low < 0.95


def test_a_demonstration_says_so():
    view = board(loaded(six_artists(), artists=NAMES[:2], demonstration=True))
    assert view.demonstration.startswith("Demonstration, no intervals: 2 artists")
    assert "demonstration" in row(view, "x").cells[0].note


def test_missing_artists_are_shown_and_leave_the_entry_unranked():
    records = []
    for cell_record in six_artists():
        if (cell_record.protection.name, cell_record.artist) != ("x", NAMES[2]):
            records.append(cell_record)
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


def test_no_signal_is_shown_with_its_reason_and_has_no_curve():
    records = []
    for name in NAMES:
        records += [*arms(name, 0.5, 0.5), record("x", name, 0.6)]
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
