"""What each attack undoes, damages and costs on development artists, for the choice of a suite's attacks.

Runs `attack_choice.toml` into a store and prints its table; a run that was interrupted goes on.

    python -m tests.benchmarks.attack_choice --store FOLDER --protection photoguard sds mist
    python -m tests.benchmarks.attack_choice --store FOLDER --table
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Role, Status
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Suite
from cloakbench.store.reading import load
from cloakbench.suites import load as suites

SUITE = Path(__file__).with_name("attack_choice.toml")
HALVES = (("swirl", "crosshatch"), ("stained-glass", "stencil"))
"""Development artists: one half is attacked, the other lends the images that an attack learns from."""
PLAIN = "dreambooth"
"""The attack that the others are compared with."""
DAMAGE = ("psnr", "mini-lpips")
STAGES = ("countermeasure", "personalise")
"""What an attacker computes; generating is the same for all but the packages that imitate without training."""


@dataclass(frozen=True, slots=True)
class AttackRow:
    """One attack, means over artists and protections.

    Attributes:
        attack: Its name.
        protection: P under it: 0 where the mimic does as well as with clean images, 1 where as badly as without any.
        undone: Share of P without it that it takes away; of P under `PLAIN`.
        clean_distance: How much worse clean images are imitated under it, as a share of the same scale.
        damage: Quality metrics of cleaned clean images, by name.
        seconds: Of the attacker per image of the artist.
    """

    attack: str
    protection: float
    undone: float
    clean_distance: float
    damage: dict[str, float]
    seconds: float


def table(records: Sequence[Record], metric: str) -> list[AttackRow]:
    """Returns a row per attack with records of the clean arm, the floor and a protection, most undone first.

    There is none where the protection's P without an attack is not above 0: nothing can be undone then.

    Args:
        records: Of all artists.
        metric: The distance that P is made of, which grows when the mimic fails.
    """
    good = [record for record in records if record.status is Status.OK]
    names = dict.fromkeys(record.attack.name for record in good)
    rows: list[AttackRow] = []
    for name in names:
        rows += _rows(good, name, metric)
    return sorted(rows, key=lambda row: -row.undone)


def _rows(records: Sequence[Record], attack: str, metric: str) -> Iterator[AttackRow]:
    scores, plain_scores, worse = [], [], []
    for artist in dict.fromkeys(record.artist for record in records):
        own = [record for record in records if record.artist == artist]
        floor = _distance(own, metric, PLAIN, Role.FLOOR)
        clean = _distance(own, metric, PLAIN, Role.IDENTITY)
        cleaned = _distance(own, metric, attack, Role.IDENTITY)
        under = _distance(own, metric, attack, Role.SUBMISSION)
        without = _distance(own, metric, PLAIN, Role.SUBMISSION)
        if None in (floor, clean, cleaned, under, without) or floor == clean:
            continue
        scores.append((under - clean) / (floor - clean))
        plain_scores.append((without - clean) / (floor - clean))
        worse.append((cleaned - clean) / (floor - clean))
    if not scores or fmean(plain_scores) <= 0:
        return
    chosen = [record for record in records if record.attack.name == attack]
    yield AttackRow(
        attack=attack,
        protection=fmean(scores),
        undone=1 - fmean(scores) / fmean(plain_scores),
        clean_distance=fmean(worse),
        damage=_damage(chosen),
        seconds=_seconds(chosen),
    )


def _distance(records: Sequence[Record], metric: str, attack: str, role: Role) -> float | None:
    """Returns the mean distance of the generations of an artist's arm, None where it has none."""
    values: list[float] = []
    for record in records:
        is_floor = role is Role.FLOOR and record.protection.role is role
        if record.protection.role is role and (is_floor or record.attack.name == attack):
            values += record.generations[metric]
    return fmean(values) if values else None


def _damage(records: Sequence[Record]) -> dict[str, float]:
    means = {}
    for metric in DAMAGE:
        values: list[float] = []
        for record in records:
            values += record.damage.get(metric, [])
        if values:
            means[metric] = fmean(values)
    return means


def _seconds(records: Sequence[Record]) -> float:
    """Returns device seconds of the attacker's stages per image; stages from the store count as when they were made."""
    sums = []
    for record in records:
        if record.protection.role is Role.SUBMISSION:
            package = record.attack.package
            stages = ("generate",) if package and package.kind == "mimicry" else STAGES
            spent = sum(record.cost[stage].device_s for stage in stages if stage in record.cost)
            sums.append(spent / len(record.digests["protect"]))
    return fmean(sums) if sums else 0.0


def markdown(rows: Sequence[AttackRow]) -> Iterator[str]:
    """Yields the lines of the table."""
    yield "| attack | P under it | undone | worse on clean images | PSNR | mini-lpips | seconds per image |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        damage = [_number(row.damage.get(name)) for name in DAMAGE]
        numbers = [f"{row.protection:.2f}", f"{row.undone:.0%}", f"{row.clean_distance:.2f}"]
        yield f"| `{row.attack}` | {' | '.join([*numbers, *damage, f'{row.seconds:.1f}'])} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--protection", nargs="+", default=["photoguard"])
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    records: list[Record] = []
    for attacked, other in (HALVES, HALVES[::-1]):
        suite, store = half(attacked, other), arguments.store / "-".join(attacked)
        if not arguments.table:
            sessions.run(planned(suite, arguments.protection, store))
        records += load(store).records
    rows = table(records, suite.metrics.primary)
    if not rows:
        print(f"no protection keeps its artists from being imitated by {PLAIN}: there is nothing to undo")
    for line in markdown(rows):
        print(line)


def planned(suite: Suite, protections: Sequence[str], store: Path) -> sessions.Session:
    """Returns the run of the clean arm, the floor and the protections at full strength."""
    arms = ["identity", "floor", *protections]
    only = ["strength=0", "strength=1", *(f"protection={name}" for name in arms)]
    return sessions.plan_suite(suite, Choice(suite.name, protections, only=only), store)


def half(attacked: Sequence[str], other: Sequence[str]) -> Suite:
    """Returns the suite on the artists `attacked`, with `other` as its development artists."""
    suite = suites.load(str(SUITE))
    assert suite.matching is not None
    matching = suite.matching.model_copy(update={"artists": list(other)})
    return suite.model_copy(update={"artists": list(attacked), "matching": matching})


if __name__ == "__main__":
    main()
