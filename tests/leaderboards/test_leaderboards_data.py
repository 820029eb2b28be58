"""The numbers beside the pages: board.json, matched quality, and what a board can tell apart."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from synthetic import JPEG, PLAIN, record

from cloakbench.schemas.kinds import BudgetKind
from cloakbench.schemas.suite_tables import Matching
from cloakbench_leaderboards.board.board import board
from cloakbench_leaderboards.site import site
from tests.leaderboards.small_boards import NAMES, loaded, row, six_artists


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
    over = []
    for name in NAMES:
        over.append(
            record("x", name, 0.5, strength=0.9, target=0.3, quality={"mini-lpips": [0.4] * 2, "psnr": [38.0] * 2})
        )
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
