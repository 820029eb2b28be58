"""Best known P: an attack of a package can lower it, and changes nothing else."""

from __future__ import annotations

import pytest
import synthetic
from synthetic import arms, record

from cloakbench.schemas.external import AttackPackage
from cloakbench.schemas.record import StageCost
from cloakbench.schemas.suite import AttackSpec
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.board import board
from cloakbench_leaderboards.pages.attack import view
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores import best_known, side_effects
from cloakbench_leaderboards.scores.evidence import gather

# Artists count by their denominators, floor less clean: 0.2 x 0.4 + 0.3 x 0.6 = 0.26 of 1.
# artist  clean  floor  x plain  P
# a       0.4    0.8    0.6      0.5
# b       0.3    0.9    0.6      0.5
ARMS = [*arms("a", 0.4, 0.8), *arms("b", 0.3, 0.9)]
PLAIN = [record("x", "a", 0.6), record("x", "b", 0.6)]
DENOISE = AttackSpec(name="denoise", mimicry="dreambooth", model="mini-a")
PACKAGE = AttackPackage(
    spelling="denoise",
    distribution="my-denoiser",
    version="1.2",
    digest="d" * 64,
    title="Denoise",
    paper="",
    knowledge="tool",
)


def outside(entry, artist, distance):
    """A record under the package's attack, which took 3 seconds for two images."""
    cost = {"countermeasure": StageCost(wall_s=3, device_s=3, peak_bytes=0, cached=False)}
    digests = {"countermeasure": ["a" * 64] * 2}
    plain = record(entry, artist, distance, attack=DENOISE, cost=cost, digests=digests)
    attack = plain.attack.model_copy(update={"package": PACKAGE, "countermeasure": "denoise"})
    return plain.model_copy(update={"attack": attack})


def evidence(*more):
    return gather(Loaded(synthetic.facts(synthetic.suite(["a", "b"])), [*ARMS, *PLAIN, *more], []))


def under(a, b):
    """The attack leaves clean images as they are, and P of `a` and `b`."""
    clean = [outside("identity", "a", 0.4), outside("identity", "b", 0.3)]
    return [*clean, outside("x", "a", 0.4 + 0.4 * a), outside("x", "b", 0.3 + 0.6 * b)]


def test_a_board_with_records_of_a_package_is_built_and_has_the_column():
    columns = board.view(evidence(*under(0.2, 0.3))).headline.columns
    assert "Best known" in [column.label for column in columns]
    assert "Best known" not in [column.label for column in board.view(evidence()).headline.columns]


def test_a_stronger_attack_lowers_the_column_and_names_itself():
    plain, packaged = evidence(), evidence(*under(0.2, 0.3))
    value, estimate = packaged.standings.value(best_known.KEY, "x")
    assert estimate.value == pytest.approx(0.26)
    for part in ("denoise", "my-denoiser 1.2", "2026-01-01", "tool", "1.5 s"):
        assert part in value.note
    assert best_known.KEY not in plain.standings.columns
    columns = {key: column for key, column in packaged.standings.columns.items() if key != best_known.KEY}
    assert columns.keys() == plain.standings.columns.keys()
    for key in columns:
        before, after = (shown.standings.value(key, "x")[1] for shown in (plain, packaged))
        assert after == pytest.approx(before, nan_ok=True)
    assert [entry.name for entry in packaged.entries] == [entry.name for entry in plain.entries]
    assert len(packaged.records) == len(plain.records)


def test_a_weaker_or_incomplete_attack_changes_nothing():
    for records in (under(0.7, 0.8), under(0.2, 0.3)[:-1]):
        value, estimate = evidence(*records).standings.value(best_known.KEY, "x")
        assert estimate.value == pytest.approx(0.5)
        assert "denoise" not in value.note


def numbers(gathered):
    """Every number of the board but best known P, as text, so that two numbers that are none are equal."""
    columns = {}
    for key, column in gathered.standings.columns.items():
        if key != best_known.KEY:
            columns[key] = [estimate.value for estimate in column.estimates]
    return repr((columns, gathered.scores.summary, [entry.name for entry in gathered.entries]))


def hostile(change):
    """Records of an attack that would say that nothing is left of `x`, each changed."""
    return [change(cell) for cell in under(-5, -5)]


def with_version(record, version):
    facts = record.protection.model_copy(update={"version": version, "package_digest": "f" * 64})
    recipe = {"protect": {"package": "f" * 64}}
    newer = {"protection": facts, "components": recipe, "created": "2026-03-01T00:00:00+00:00"}
    return record.model_copy(update=newer)


CHANGES = {
    "another version": lambda cell: with_version(cell, "9"),
    "other images": lambda cell: cell.model_copy(update={"digests": {**cell.digests, "protect": ["b" * 64]}}),
    "another salt": lambda cell: cell.model_copy(update={"salt_digest": "1" * 64}),
    "another environment": lambda cell: cell.model_copy(
        update={"environment": cell.environment.model_copy(update={"env_class": "f" * 12})}
    ),
}


@pytest.mark.finding("D11")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_attack_on_something_else_lowers_nothing(change):
    many = []
    for seed in range(9):
        for cell in hostile(change):
            many.append(cell.model_copy(update={"seed": seed}))
    changed = evidence(*many)
    assert numbers(changed) == numbers(evidence())
    assert changed.standings.value(best_known.KEY, "x")[1].value == pytest.approx(0.5)


@pytest.mark.parametrize("p", [-5.0, 0.1, 0.5, 0.9, 3.0])
def test_an_attack_from_outside_can_only_lower_best_known_p(p):
    changed = evidence(*under(p, p))
    assert numbers(changed) == numbers(evidence())
    assert changed.standings.value(best_known.KEY, "x")[1].value == pytest.approx(min(0.5, p))


def test_a_mimicry_of_a_package_is_measured_against_the_suites_own():
    """Its clean arm is bad on purpose: P is that of the suite's scale all the same."""
    package = PACKAGE.model_copy(update={"kind": "mimicry"})
    records = []
    for cell in [*under(0.2, 0.3)[2:], outside("identity", "a", 5.0), outside("identity", "b", 5.0)]:
        attack = cell.attack.model_copy(
            update={"package": package, "mimicry": "denoise", "countermeasure": None, "versions": {}}
        )
        cost = {"generate": StageCost(wall_s=8, device_s=8, peak_bytes=0, cached=False)}
        digests = {"generate": ["a" * 64] * 4}
        records.append(cell.model_copy(update={"attack": attack, "cost": cost, "digests": digests}))
    changed = evidence(*records)
    value, estimate = changed.standings.value(best_known.KEY, "x")
    assert estimate.value == pytest.approx(0.26)
    assert "2 s" in value.note
    assert numbers(changed) == numbers(evidence())


def test_damage_is_the_mean_over_the_images_of_the_clean_arm():
    first = record("identity", "a", 0.4, attack=synthetic.JPEG, damage={"psnr": [30.0, 32.0]})
    second = record("identity", "b", 0.3, attack=synthetic.JPEG, damage={"psnr": [40.0]})
    assert side_effects.damage([first, second, *PLAIN], "jpeg") == {"psnr": pytest.approx(34)}
    assert side_effects.damage(PLAIN, "dreambooth") == {}


def test_detectability_pools_the_artists_of_an_entry_and_strength():
    detector = AttackSpec(name="remover", mimicry="dreambooth", model="mini-a")
    scores = [{"clean": [0.1, 0.2], "protected": [0.15, 0.9]}, {"clean": [0.3, 0.0], "protected": [0.5, 0.6]}]
    records = []
    for artist, s in zip("ab", scores, strict=True):
        records.append(record("x", artist, 0.5, attack=detector, detection=s))
    clean_arm = record("identity", "a", 0.5, attack=detector, detection=scores[0])
    [rates] = side_effects.detectability([*records, clean_arm], "remover")
    # The highest clean score of both artists is 0.3: three of four protected images lie above it.
    assert (rates.protection, rates.strength, rates.rate) == ("x", 1.0, 0.75)


def test_the_page_of_an_attack_shows_both():
    attacks = (synthetic.PLAIN, synthetic.JPEG)
    more = []
    for artist, clean in (("a", 0.4), ("b", 0.3)):
        more.append(record("identity", artist, clean, attack=synthetic.JPEG, damage={"psnr": [30.0]}))
        scores = {"clean": [0.1], "protected": [0.9]}
        more.append(record("x", artist, 0.6, attack=synthetic.JPEG, detection=scores))
    plan = synthetic.facts(synthetic.suite(["a", "b"], attacks))
    gathered = gather(Loaded(plan, [*ARMS, *PLAIN, *more], []))
    lookup = Lookup(gathered, board.view(gathered))
    page = view(lookup, synthetic.JPEG)
    assert [(pair.label, pair.words) for pair in page.damage] == [("psnr", "30.0")]
    assert [pair.words for pair in page.detectability] == ["100%"]
    assert view(lookup, synthetic.PLAIN).damage == ()
