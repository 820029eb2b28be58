"""Time and bytes of a whole site, from prepared scores."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "leaderboards"))

import synthetic

from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import AttackSpec, SuiteFacts
from cloakbench.schemas.suite_tables import Matching
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.parts import bundles
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.evidence import Evidence, gather
from cloakbench_leaderboards.site import site

CLEANERS = ["jpeg", "blur", "noise", "resize", "impress", "diffpure", "vae-trans", "noisy-upscale"]
OTHERS = ["lora", "textual-inversion", "dreamstyler", "transfer"]
ARTISTS = [f"artist-{number}" for number in range(6)]
STRENGTHS = (0.5, 1.0)
SIZES = (25, 50, 100, 200)
SHARED = (bundles.PLOTS,)
MATCHED = Matching(metric="mini-lpips", targets=[0.05, 0.1, 0.2], tolerance=0.01)


class Built(NamedTuple):
    """One build."""

    seconds: float
    """Of this process alone, so that other work on the machine does not count."""
    files: int


def attacks() -> list[AttackSpec]:
    """Returns 13 attacks: one without countermeasure, eight that clean first, four that learn otherwise."""
    plain = AttackSpec(name="dreambooth", mimicry="dreambooth", model="mini-a")
    cleaned = []
    for name in CLEANERS:
        cleaned.append(plain.model_copy(update={"name": name, "countermeasure": name}))
    return [plain, *cleaned, *(AttackSpec(name=name, mimicry=name, model="mini-a") for name in OTHERS)]


def records(protections: int) -> tuple[SuiteFacts, list[Record]]:
    """Returns the facts of the suite and every record of so many protections and of the controls."""
    plan = synthetic.suite(ARTISTS, tuple(attacks()), STRENGTHS, matching=MATCHED)
    rows: list[Record] = []
    for a, artist in enumerate(ARTISTS):
        for attack in plan.attacks:
            for arm in ("identity", "placebo"):
                rows.append(synthetic.record(arm, artist, 0.3 + 0.01 * a, attack))
            if not attack.countermeasure:
                rows.append(synthetic.record("floor", artist, 0.9, attack.model_copy(update={"name": "floor"})))
        for n in range(protections):
            rows += cells(n, a, plan.attacks)
    return synthetic.facts(plan), rows


def cells(number: int, artist: int, plan: list[AttackSpec], shift: float = 0.0) -> list[Record]:
    """Returns the records of one protection on one artist."""
    name, rows = f"method-{number}[base=advdm,steps={number}]", []
    for part, attack in enumerate(plan):
        for strength in STRENGTHS:
            power = strength * ((number * 37) % 101 + part) / 300
            distance = 0.3 + shift + power + 0.01 * ((artist * 5 + number) % 7)
            rows.append(synthetic.record(name, ARTISTS[artist], [distance] * 2, attack, strength=strength))
    return rows


def built(evidence: Evidence, out: Path) -> Built:
    """Builds the site and returns what it took."""
    start = time.process_time()
    written = site.write(Material(evidence, view(evidence), out / "store"), out / "site")
    return Built(time.process_time() - start, written)


def measure(protections: int) -> str:
    """Returns one row of the table."""
    facts, rows = records(protections)
    evidence = gather(Loaded(facts, rows, []))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        first = built(evidence, out)
        sizes = {}
        for path in (out / "site").rglob("*"):
            if path.is_file():
                sizes[path] = path.stat().st_size
        pages = [size for path, size in sizes.items() if path.suffix == ".html"]
        behind = max(size for path, size in sizes.items() if "cells" in path.parts)
        shared = sum(sizes[out / "site" / name] for name in SHARED)
        front = sizes[out / "site/index.html"]
    return (
        f"| {protections} | {len(pages):,} | {first.seconds:.1f} | {front / 1e3:.0f} | {behind / 1e3:.0f} "
        f"| {(sum(sizes.values()) - shared) / 1e6:.1f} |"
    )


def main() -> None:
    """Prints the table, each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, help="measure this number of protections and print one row")
    chosen = parser.parse_args().one
    if chosen is not None:
        print(measure(chosen), flush=True)
        return
    print(
        "| protections | pages | whole, s | front page, kB | largest page behind a number, kB | all, MB |\n"
        "|---:|---:|---:|---:|---:|---:|",
        flush=True,
    )
    for size in SIZES:
        subprocess.run([sys.executable, "-m", "tests.benchmarks.site", "--one", str(size)], check=True)


if __name__ == "__main__":
    main()
