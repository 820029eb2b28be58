"""A difference counts as shown only where it stands at equal visibility by each metric alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import synthetic
from scipy import stats
from seen import made, pages, words
from synthetic import PLAIN, arms, record

from cloakbench.schemas.suite_tables import Matching
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.scores import agreement, ranking, visibility
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.versions.comparing import compare
from cloakbench_leaderboards.versions.regress import lines
from cloakbench_leaderboards.versions.sides import SideRequest, sides
from cloakbench_leaderboards.versions.verdicts import Verdict

NAMES = [f"artist-{n}" for n in range(1, 9)]
MATCHING = Matching(metric="mini-lpips", targets=[0.05, 0.1, 0.2], tolerance=0.01, gates={"psnr": [40.0, 30.0, 20.0]})


def entry(name, gains, lpips, decibels):
    """One record per artist and strength 0.5 and 1: P, and both metrics at full strength."""
    records = []
    for artist, gain in zip(NAMES, gains, strict=True):
        for strength in (0.5, 1.0):
            # Half the strength has a quarter of the squared error.
            quality = {"mini-lpips": [lpips * strength], "psnr": [decibels - 20 * math.log10(strength)]}
            records.append(record(name, artist, 0.2 + 0.5 * gain * strength, strength=strength, quality=quality))
    return records


def board(*entries):
    records = []
    for artist in NAMES:
        records += arms(artist, 0.2, 0.7)
    for cell_record in records:
        if cell_record.protection.role == "identity":
            cell_record.quality.update({"mini-lpips": [0.0], "psnr": [100.0]})
    facts = synthetic.facts(synthetic.suite(NAMES, (PLAIN,), (0.5, 1.0), matching=MATCHING, rank_by="worst-case"))
    return Loaded(facts, [*records, *(grouped_record for group in entries for grouped_record in group)], [])


SPREAD = np.array([0.03, -0.02, 0.01, -0.03, 0.02, 0.0, -0.01, 0.02])


def test_p_is_interpolated_over_the_share_of_one_limit_artist_by_artist():
    evidence = gather(board(entry("cloak", 0.8 + SPREAD, 0.16, 24.0)))
    [cloak] = [entry.subject for entry in evidence.entries if entry.name == "cloak"]
    assert agreement.metrics(evidence.setting) == ("mini-lpips", "psnr")
    # mini-lpips uses 0.8 of its limit at strength 0.5 and 1.6 at 1: the limit lies a quarter of the way between.
    by_lpips = agreement.at_equal(evidence.setting, cloak, "mini-lpips")
    assert by_lpips == pytest.approx((0.8 + SPREAD) * 0.625)
    # 24 dB has 10^0.6 times the squared error of 30 dB, and a quarter of that is just under the limit.
    full = 10**0.6
    crossing = (1 - full / 4) / (full - full / 4)
    assert agreement.at_equal(evidence.setting, cloak, "psnr") == pytest.approx((0.8 + SPREAD) * (0.5 + 0.5 * crossing))


def test_an_artist_whose_images_never_reach_the_limit_counts_at_the_most_visible_point():
    evidence = gather(board(entry("cloak", 0.8 + SPREAD, 0.06, 24.0)))
    [cloak] = [entry.subject for entry in evidence.entries if entry.name == "cloak"]
    assert agreement.at_equal(evidence.setting, cloak, "mini-lpips") == pytest.approx(0.8 + SPREAD)


def test_an_artist_without_a_point_has_no_value():
    shares, p = np.array([[0.0, 0.0], [0.5, math.nan], [2.0, 1.0]]), np.array([[0.0, 0.0], [0.3, 0.2], [0.6, math.nan]])
    assert agreement.at_limit(shares, p)[0] == pytest.approx(0.4)
    assert math.isnan(agreement.at_limit(shares, p)[1])


def two_entries():
    """Both have P 0.6 at full strength; x is half as visible by mini-lpips, and twice as visible by psnr."""
    return board(entry("x", 0.62 + SPREAD, 0.10, 24.0), entry("y", 0.6 - SPREAD, 0.20, 30.0))


def test_entries_that_one_metric_orders_the_other_way_are_not_told_apart():
    evidence = gather(two_entries())
    subjects = {entry.name: entry.subject for entry in evidence.entries}
    checks = agreement.stacked(evidence.setting, [subjects["x"], subjects["y"]])
    by_lpips, by_psnr = agreement.by_metric(("mini-lpips", "psnr"), checks, 0, 1)
    assert by_lpips.change > 0.2
    assert by_psnr.change < -0.1
    assert max(by_lpips.p, by_psnr.p) < 0.001
    assert agreement.disagreeing(0.1, [by_lpips, by_psnr]) == ("psnr",)
    assert agreement.disagreeing(-0.1, [by_lpips, by_psnr]) == ("mini-lpips",)
    values = np.array([0.6 + SPREAD, 0.4 - SPREAD])
    assert ranking.told_apart(values)[0, 1]
    assert not ranking.told_apart(values, checks)[0, 1]
    assert ranking.told_apart(values, checks[:1])[0, 1]
    assert agreement.not_shown(("mini-lpips", "psnr"), values, checks) == {(0, 1): ("psnr",)}


def test_the_largest_p_counts_and_a_missing_curve_agrees_with_nothing():
    rng = np.random.default_rng(4)
    differences, check = rng.normal(0.2, 0.1, (50, 8)), rng.normal(0.1, 0.1, (1, 50, 8))
    p = ranking.agreeing_p(differences, check)
    for row, own, other in zip(p, differences, check[0], strict=True):
        expected = max(stats.ttest_1samp(own, 0).pvalue, stats.ttest_1samp(other, 0).pvalue)
        assert row == pytest.approx(expected if own.mean() * other.mean() > 0 else 1.0)
    assert (ranking.agreeing_p(differences, np.full((1, 50, 8), math.nan)) == 1.0).all()
    assert ranking.agreeing_p(differences, ranking.NO_CHECKS).tolist() == ranking.paired_p(differences).tolist()


def test_no_more_than_one_in_twenty_equal_pairs_is_told_apart():
    """Numbers that agree by chance: checks of one artist are alike, as those of one curve are."""
    rng = np.random.default_rng(8)
    shared = rng.normal(0, 0.1, (4000, 12))
    checks = shared + rng.normal(0, 0.02, (3, 4000, 12))
    assert 0.02 < np.mean(ranking.agreeing_p(shared, checks) <= 0.05) <= 0.05


def ranked():
    """By P at the limits that bind x is ahead: mini-lpips stops y, psnr stops x."""
    x = entry("x", 0.95 + SPREAD / 4, 0.09, 27.0)
    y = entry("y", 0.633 - SPREAD / 4, 0.2, 60.0)
    return board(x, y)


def test_the_board_and_its_pages_name_the_metric_that_disagrees():
    loaded = ranked()
    evidence = gather(loaded)
    standing = evidence.standings
    pairs = {tuple(sorted(pair)): metrics for pair, metrics in standing.not_shown.items()}
    assert pairs == {("x", "y"): ("psnr",)}
    metrics = pairs["x", "y"]
    assert {standing_place.group for standing_place in standing.places.values()} == {"A"}
    assert evidence.noise.counts.apart == 0
    files = pages(made(loaded.facts, loaded.records))
    assert f"{metrics[0]} 1" in words(files["numbers.html"])
    assert f"not shown at equal {metrics[0]}" in words(files["compare/x.html"])


def test_the_limit_that_binds_is_shown_by_artist_with_its_share():
    loaded = ranked()
    evidence = gather(loaded)
    x, y = (visibility.used(evidence.setting, name, 0.5) for name in ("x", "y"))
    # At strength 0.5 x uses half of psnr's limit and 0.45 of mini-lpips'; y uses all of mini-lpips'.
    assert {use.metric for use in x} == {"psnr"}
    assert x[0].share == pytest.approx(10 ** ((30 - (27 - 20 * math.log10(0.5))) / 10))
    assert [(use.artist, use.metric) for use in y] == [(name, "mini-lpips") for name in NAMES]
    assert [use.share for use in y] == pytest.approx([1.0] * 8)
    files = pages(made(loaded.facts, loaded.records))
    # The pages show the strength nearest the middle one: 1, where y uses twice its limit and x twice that of psnr.
    table = words(files["protections/y.html"])
    table = table[table.index("Visibility reached") :]
    assert f"{NAMES[0]} mini-lpips 200% 0.200 " in table
    assert "mean 200% 0.200 " in table
    numbers = words(files["numbers.html"])
    assert "200% mini-lpips on 8 of 8" in numbers
    assert "200% psnr on 8 of 8" in numbers


def compared(before, after, name):
    """Compares the protection `cloak` of one board with one of another, whose cells have keys of their own."""
    changed = []
    for cell_record in after.records:
        own = cell_record.protection.name == name
        changed.append(cell_record.model_copy(update={"key": "f" * 32 + cell_record.key[32:]}) if own else cell_record)
    first = SideRequest(before, "store", "cloak", None)
    return compare(*sides(first, SideRequest(after._replace(records=changed), "store", name, None)))


def test_a_protection_that_protects_more_by_being_more_visible_is_not_better():
    before = board(entry("cloak", 0.6 + SPREAD, 0.1, 30.0))
    result = compared(before, board(entry("rival", 0.9 - SPREAD, 0.1, 24.0)), "rival")
    [plain] = result.attacks
    # At equal psnr it stands at half its strength: P 0.45 in place of 0.6.
    assert {difference.metric: round(difference.change, 2) for difference in plain.by_metric} == {
        "mini-lpips": 0.3,
        "psnr": -0.15,
    }
    assert plain.change > 0.2
    assert (plain.verdict, plain.disagreeing) == (Verdict.INCONCLUSIVE, ("psnr",))
    assert "not shown at equal psnr" in "\n".join(lines(result))
    [plain] = compared(before, board(entry("rival", 0.9 - SPREAD, 0.1, 30.0)), "rival").attacks
    assert (plain.verdict, plain.disagreeing) == (Verdict.IMPROVED, ())
    assert [difference.change for difference in plain.by_metric] == pytest.approx([0.3, 0.3], abs=0.01)


def test_a_version_differs_at_its_own_visibility_and_the_metric_that_disagrees_is_named():
    before = board(entry("cloak", 0.6 + SPREAD, 0.1, 30.0))
    result = compared(before, board(entry("cloak", 0.9 - SPREAD, 0.1, 24.0)), "cloak")
    [plain] = result.attacks
    assert (plain.verdict, plain.disagreeing) == (Verdict.IMPROVED, ("psnr",))
    assert "not shown at equal psnr" in "\n".join(lines(result))
