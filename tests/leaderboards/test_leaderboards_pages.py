from __future__ import annotations

import itertools
import json
import re
import shlex
from importlib import resources
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import pytest
import synthetic
import synthetic_edits
from seen import KINDS, SeenPage, kind, made, pages, words
from synthetic import JPEG, arms, record

from cloakbench.cells.ordering import SELECTABLE
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.suite_tables import Matching
from cloakbench.store.reading import Loaded
from cloakbench.store.seeds import salt_digest
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.pages import method
from cloakbench_leaderboards.pages.method_tables import STATUSES
from cloakbench_leaderboards.parts import addresses, commands, recipes
from cloakbench_leaderboards.parts.differences import Differences
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores.evidence import gather
from tests.leaderboards.small_boards import NAMES


@pytest.fixture(scope="module")
def board():
    facts, records = synthetic_edits.with_edits(*synthetic.demonstration(artists=6, seeds=2))
    records = [r for r in records if not (r.protection.name == "glaze" and r.artist == "artist-1")]
    records += [
        synthetic.lost("glaze", "artist-1", Status.FAILED, "RuntimeError: no gradient", strength=1.0),
        synthetic.lost("glaze", "artist-1", Status.SKIPPED, "no strength meets it", attack=JPEG, strength=1.0),
    ]
    stated = {"contact": "people@example.org", "authors": "Liang and Wu"}
    for number, own in enumerate(records):
        if own.protection.name == "mist":
            protection = own.protection.model_copy(update=stated)
            records[number] = own.model_copy(update={"protection": protection})
    return facts, records


@pytest.fixture(scope="module")
def whole(board):
    return pages(made(*board))


def test_every_kind_of_page_is_there(whole):
    assert {kind(path) for path in whole} == KINDS
    assert len([path for path in whole if path.startswith("cells/")]) == 7 * 6 - 1  # no clean arm of edits


def test_a_protections_page_names_licence_contact_and_authors(whole):
    shown = words(whole["protections/mist.html"])
    for stated in ("Apache-2.0", "people@example.org", "Liang and Wu"):
        assert stated in shown
    assert "none named" in words(whole["protections/photoguard.html"])


def test_every_link_leads_somewhere(whole, board):
    files = set(made(*board))
    ids = {}
    for path, page in whole.items():
        ids[path] = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    for path, page in whole.items():
        for link in page.all("href", "src"):
            parts = urlsplit(link)
            if parts.scheme:
                assert link == "https://arxiv.org/abs/2302.06588"
                continue
            steps = PurePosixPath(path).parent / unquote(parts.path) if parts.path else PurePosixPath(path)
            target = str(PurePosixPath(*_resolved(steps.parts)))
            assert target in files, f"{path}: {link}"
            assert not parts.fragment or parts.fragment in ids[target], f"{path}: {link}"


def _resolved(parts):
    kept: list[str] = []
    for part in parts:
        if part == "..":
            kept.pop()  # an empty one would be a link that leaves the folder
        else:
            kept.append(part)
    return kept


def test_every_page_is_whole_and_readable_without_script(whole):
    for path, page in whole.items():
        assert page.broken == [], path
        assert sum(tag == "h1" for tag, _ in page.tags) == 1, path
        ids = []
        for _, attrs in page.tags:
            if "id" in attrs:
                ids.append(attrs["id"])
        assert len(ids) == len(set(ids)), path
        assert all(attrs.get("scope") in ("col", "row") for tag, attrs in page.tags if tag == "th"), path
        assert all(attrs.get("aria-label") for _, attrs in page.tags if attrs.get("role") == "img"), path
        assert "Measured on a small embedded model" in words(page), path


def test_failures_stand_on_every_page_that_they_concern(whole):
    for path in ("protections/glaze.html", "attacks/dreambooth.html", "cells/glaze/dreambooth.html"):
        assert "RuntimeError: no gradient" in words(whole[path]), path
    for path in ("protections/glaze.html", "attacks/jpeg.html", "cells/glaze/jpeg.html"):
        assert "no strength meets it" in words(whole[path]), path
        assert "absent" in words(whole[path]), path
    assert "no gradient" not in words(whole["cells/glaze/jpeg.html"])


def test_a_cell_page_says_why_it_has_no_images_and_how_to_make_them(whole):
    page = words(whole["cells/impasto/jpeg.html"])
    assert "come from a reference folder" in page
    assert "cloakbench run mini --protection impasto --only protection=impasto --only attack=jpeg --only seed=0" in page
    options = "--only artist=artist-2 --only attack=jpeg --only strength=0.5 --only seed=0"
    assert options in page
    assert "0123456789ab" in page


def test_what_breaks_a_protection_stands_first(whole):
    page = whole["protections/impasto.html"]
    heads = [words for words in page.words if words in ("dreambooth", "jpeg", "blur", "noise", "lora")]
    assert heads[:5] == ["noise", "jpeg", "blur", "lora", "dreambooth"]
    assert "The strongest attack at strength 0.5 is “noise”" in words(page)
    shades = set()
    for tag, attrs in page.tags:
        if tag == "td" and re.fullmatch(r"h\d", attrs["class"] or ""):
            shades.add(attrs["class"])
    assert {"h2", "h4", "h6"} <= shades


@pytest.mark.parametrize("is_own", [True, False])
def test_the_method_page_says_on_whose_images_strengths_are_found(is_own):
    targets = [0.05, 0.1, 0.2]
    matching = Matching(metric="mini-lpips", targets=targets, tolerance=0.01, artists=["stencil"], own_images=is_own)
    records = []
    for name in NAMES:
        records += [*arms(name, 0.2, 1.0, 0.21), record("x", name, 0.6)]
    evidence = gather(Loaded(synthetic.facts(synthetic.suite(NAMES, matching=matching)), records, []))
    [page] = method.pages(Lookup(evidence, view(evidence)), ())
    [section] = [part for part in page.context["sections"] if part.anchor == "quality"]
    told = " ".join(section.sentences)
    assert ("artist's own images" in told) is is_own
    assert ("images of other artists (stencil)" in told) is not is_own


def test_the_method_page_names_all_that_the_facts_hold(whole, board):
    page, facts = words(whole["method.html"]), board[0]
    for metric in facts.metrics:
        assert f"{metric.name}" in page
        assert metric.summary in page
    for attack in facts.attacks:
        assert attack.summary in page
    assert "jpeg: quality 75" in page
    assert all(f"{status} {words}" in page for status, words in STATUSES.items())
    assert set(STATUSES) == set(Status)
    assert "(D(protected) \N{MINUS SIGN} D(clean, no countermeasure)) / denominator" in page


def test_the_method_page_holds_the_document_on_security(whole):
    document = resources.files("cloakbench.submissions").joinpath("SECURITY.md").read_text()
    page = re.sub(r"\W", "", words(whole["method.html"]))
    lines = [line for line in document.splitlines() if not line.startswith(("# ", "|---"))]
    assert len(lines) > 20
    for line in lines:
        assert re.sub(r"\W", "", line) in page, line


def test_limits_of_attacks_are_shown_where_the_store_says_them(whole, board):
    facts, records = board
    explained = []
    for attack in facts.attacks:
        explained.append(attack.model_copy(update={"limits": f"Never {attack.name}."}))
    files = made(facts.model_copy(update={"attacks": explained}), records)
    method = words(SeenPage(files["method.html"].content().decode()))
    for attack in facts.attacks:
        assert f"Never {attack.name}." in method
    assert "Never jpeg." in words(SeenPage(files["attacks/jpeg.html"].content().decode()))
    assert "What it cannot show" not in words(whole["method.html"]) + words(whole["attacks/jpeg.html"])


def test_differences_are_paired_and_told_apart_as_in_the_ranking():
    gains = {"x": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "y": [0.05, 0.15, 0.25, 0.35, 0.45, 0.56], "z": [0.0, 0.6, 0.1] * 2}
    records = []
    for name in NAMES:
        records += arms(name, 0.0, 1.0)
    for entry, values in gains.items():
        for n, name in enumerate(NAMES):
            records.append(record(entry, name, values[n]))
    loaded = Loaded(synthetic.facts(synthetic.suite(NAMES)), records, [])
    differences = Differences(gather(loaded))
    assert differences.names == ["x", "y", "z"]
    carrier = differences.columns.index(differences.evidence.standings.rank_column)
    [difference] = differences.differences_from("x", ["y"])[carrier]
    # five times 0.05 and once 0.04
    assert difference.value == pytest.approx(0.29 / 6)
    assert differences.told_apart.tolist() == [[False, True, False], [True, False, False], [False] * 3]
    page = words(pages(made(loaded.facts, records))["compare/x.html"])
    assert "+0.0483" in page
    assert "ahead" in page
    assert "not told apart" in page


def test_what_all_cells_share_is_said_once(board):
    records = [r for r in board[1] if (r.protection.name, r.attack.name) == ("impasto", "jpeg")]
    known = [recipes.facts(cell_record) for cell_record in records]
    common = recipes.shared(known)
    assert common["environment.commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert "recipe.parts" not in common
    assert {pair.label for pair in recipes.pairs(known[0], common)} == set(known[0]) - set(common)


def test_commands_are_safe_and_ask_for_one_cell():
    cell_record = record("x", "an artist's; rm -rf /", 0.5, strength=0.5)
    parts = shlex.split(commands.cell(synthetic.suite(NAMES), cell_record))
    assert parts[:5] == ["cloakbench", "run", "mini", "--protection", "x"]
    only = [part for flag, part in itertools.pairwise(parts) if flag == "--only"]
    assert only[1:4] == ["artist=an artist's; rm -rf /", "attack=dreambooth", "strength=0.5"]
    assert {part.partition("=")[0] for part in only} <= set(SELECTABLE)
    assert "--salt-file" in parts
    assert salt_digest("public") == commands.PUBLIC_SALT
    sought = record("identity", "a", 0.5, target=0.08, salt_digest=commands.PUBLIC_SALT)
    asked = commands.cell(synthetic.suite(NAMES, dataset="folder"), sought)
    assert "target=0.08" in asked
    assert asked.endswith("--images FOLDER")
    assert "--protection" not in asked


def test_pages_of_a_large_board_stay_small():
    entries = {f"p{n:02}": n / 100 for n in range(25)}
    records = []
    for name in NAMES:
        records += arms(name, 0.0, 1.0)
    for entry, value in entries.items():
        for position, (n, name) in enumerate(enumerate(NAMES)):
            records.append(record(entry, name, value + 0.01 * ((3 * n + position) % 5)))
    files = made(synthetic.facts(synthetic.suite(NAMES)), records)
    middle = SeenPage(files["compare/p12.html"].content().decode())
    assert sum(tag == "tr" for tag, _ in middle.tags) == 1 + 1 + 20
    assert sum(tag == "tr" for tag, _ in SeenPage(files["compare.html"].content().decode()).tags) == 1 + 24
    for path, limit in (
        ("cells/p12/dreambooth.html", 40_000),
        ("protections/p12.html", 40_000),
        ("compare/p12.html", 40_000),
    ):
        assert len(files[path].content()) < limit, path
    # a plot names twelve, and each further protection adds one thin line to it
    assert len(files["attacks/dreambooth.html"].content()) < 25 * 6_000
    assert "Thin grey lines: 13 more protections" in words(
        SeenPage(files["attacks/dreambooth.html"].content().decode())
    )


def test_addresses_differ_where_names_do():
    assert addresses.cell("a/b", "c") != addresses.cell("a", "b/c")
    assert ".." not in addresses.cell("../..", "../..")


def test_the_comparison_holds_its_data_as_inert_json(whole):
    page = whole["compare.html"]
    [island] = [text for text in page.words if text.lstrip().startswith('{"apart"')]
    data = json.loads(island)
    assert [entry["key"] for entry in data["entries"]][:2] == ["impasto", "mist"]
    for entry in data["entries"]:
        for values in entry["values"]:
            assert len(values) == 6
