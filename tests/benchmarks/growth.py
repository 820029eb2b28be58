"""Time and memory of the scores over synthetic records: from 10^5 to 10^7 rows, intervals and ranks included."""

from __future__ import annotations

import argparse
import itertools
import resource
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pandas as pd

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import AttackSpec, Metrics, Sampling, Seeds, Suite
from cloakbench_leaderboards.data import frames
from cloakbench_leaderboards.scores.scores import score
from cloakbench_leaderboards.scores.setting import EntryPoints, Setting
from cloakbench_leaderboards.scores.standings import Standings, standings

COUNTERMEASURES = ["", "jpeg", "blur", "noise", "resize", "impress", "diffpure", "vae-trans", "noisy-upscale"]
MIMICRIES = ["lora", "textual-inversion", "dreamstyler"]
STRENGTHS = [0.25, 0.5, 0.75, 1.0]
ARTISTS, SEEDS, GENERATIONS = 15, 3, 22
QUALITY = "lpips"
SIZES = (2, 6, 20, 60, 200)


class GrowthMeasure(NamedTuple):
    """One size."""

    protections: int
    cells: int
    rows: int
    seconds: float
    peak_gb: float


def suite() -> Suite:
    """Returns a suite of 13 attacks that ranks by the worst case at the middle of three targets."""
    attacks = [
        *(
            AttackSpec(name=name or "dreambooth", countermeasure=name or None, mimicry="dreambooth", model="a")
            for name in COUNTERMEASURES
        ),
        *(AttackSpec(name=name, mimicry=name, model="a") for name in MIMICRIES),
        AttackSpec(name="transfer", mimicry="dreambooth", model="b"),
    ]
    return Suite.model_validate(
        {
            "name": "growth",
            "version": 1,
            "title": "Growth",
            "description": "",
            "dataset": "mini",
            "artists": [f"artist-{number}" for number in range(ARTISTS)],
            "images_per_artist": 1,
            "class_word": "painting",
            "token": "sks",
            "caption": "{token}",
            "surrogate": "a",
            "budget_255": 16,
            "strengths": STRENGTHS,
            "seeds": Seeds(protected=SEEDS, controls=SEEDS),
            "attacks": attacks,
            "countermeasures": {name: {} for name in COUNTERMEASURES if name},
            "mimicry": {attack.mimicry: {} for attack in attacks},
            "sampling": Sampling(prompts=["a"], per_prompt=1, steps=1, guidance=1),
            "metrics": Metrics(primary="distance", quality=[QUALITY], generation=[], sets=[]),
            "matching": {"metric": QUALITY, "targets": [0.05, 0.1, 0.2], "tolerance": 0.01},
            "rank_by": "worst-case",
        }
    )


def places(protections: int, suite: Suite) -> pd.DataFrame:
    """Returns one row per cell: every protection at every strength, and the controls."""
    entries = []
    for n, strength in itertools.product(range(protections), STRENGTHS):
        entries.append((f"protection-{n}", "submission", strength))
    entries += [("identity", "identity", 0.0), ("placebo", "placebo", 1.0), ("floor", "floor", 0.0)]
    attacks = [attack.name for attack in suite.attacks]
    index = pd.MultiIndex.from_product([range(len(entries)), suite.artists, attacks, range(SEEDS)])
    frame = index.to_frame(index=False, name=["entry", "artist", "attack", "seed"])
    attacks_by_name = {attack.name: attack for attack in suite.attacks}
    chosen = pd.DataFrame(entries, columns=["protection", "role", "strength"]).loc[frame["entry"]]
    frame = frame.assign(**{name: chosen[name].to_numpy() for name in chosen}, target=np.nan, seconds=1.0)
    frame["countermeasure"] = frame["attack"].map(
        {name: row.countermeasure or "" for name, row in attacks_by_name.items()}
    )
    for part in ("mimicry", "model"):
        frame[part] = frame["attack"].map({name: getattr(row, part) for name, row in attacks_by_name.items()})
    frame["status"], frame["reason"], frame["key"], frame["budget"] = "ok", "", "", "linf"
    is_cleaned_floor = (frame["role"] == "floor") & (frame["countermeasure"] != "")
    return frame[~is_cleaned_floor].reset_index(drop=True)


def rows(places: pd.DataFrame, noise: np.random.Generator) -> pd.DataFrame:
    """Returns one row per generation: a distance that grows with strength, the artist's and the draw's noise on it."""
    base = np.where(places["role"] == "floor", 1.0, 0.3 + 0.4 * places["strength"].to_numpy())
    base = np.where(places["role"].isin(["identity", "placebo"]), 0.3, base)
    spread = noise.normal(0, 0.03, len(places))
    cell = np.repeat(np.arange(len(places), dtype=np.int32), GENERATIONS)
    value = np.repeat(base + spread, GENERATIONS) + noise.normal(0, 0.1, len(cell))
    index = np.tile(np.arange(GENERATIONS, dtype=np.int16), len(places))
    metric = pd.Categorical.from_codes(np.zeros(len(cell), dtype=np.int8), ["distance"])
    return pd.DataFrame({"cell": cell, "metric": metric, "index": index, "value": value})


def scored(places: pd.DataFrame, rows: pd.DataFrame, suite: Suite) -> Standings:
    """Returns the whole front page as numbers, from frames."""
    cells = frames.cells(places, rows, "distance")
    scores = score(cells, suite.attacks, suite.artists)
    names = places.loc[places["role"] == "submission", "protection"].unique()
    quality = {}
    for name, strength in itertools.product(names, STRENGTHS):
        quality[str(name), strength, QUALITY] = 0.25 * strength
    quality |= {("identity", 0.0, QUALITY): 0.0, ("placebo", 1.0, QUALITY): 0.001}
    setting = Setting(suite, suite.attacks, scores.grid, quality, {QUALITY: False})
    subjects = []
    for name in names:
        subjects.append(EntryPoints(str(name), Role.SUBMISSION, tuple(STRENGTHS), {}, tuple(STRENGTHS)))
    controls = [
        EntryPoints("identity", Role.IDENTITY, (0.0,), {}, ()),
        EntryPoints("placebo", Role.PLACEBO, (1.0,), {}, ()),
    ]
    return standings(setting, [*subjects, *controls])


def measure(protections: int) -> GrowthMeasure:
    """Returns time of the scores alone, and the peak memory of the process with its data."""
    plan = suite()
    cells = places(protections, plan)
    generations = rows(cells, np.random.default_rng(protections))
    start = time.perf_counter()
    scores = scored(cells, generations, plan)
    seconds = time.perf_counter() - start
    if len(scores.places) != protections:
        raise SystemExit(f"expected {protections} ranked entries, got {len(scores.places)}: {scores.unranked}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return GrowthMeasure(protections, len(cells), len(generations), seconds, peak)


def main() -> None:
    """Prints the table, each size in a process of its own so that memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, help="measure this number of protections and print one row")
    chosen = parser.parse_args().one
    if chosen is None:
        print(
            "| protections | cells | rows | s | µs per row | peak memory, GB |\n|---:|---:|---:|---:|---:|---:|",
            flush=True,
        )
        for size in SIZES:
            subprocess.run([sys.executable, "-m", "tests.benchmarks.growth", "--one", str(size)], check=True)
        return
    row = measure(chosen)
    per_row = 1e6 * row.seconds / row.rows
    counts = f"| {row.protections} | {row.cells:,} | {row.rows:,} "
    print(f"{counts}| {row.seconds:.1f} | {per_row:.1f} | {row.peak_gb:.2f} |", flush=True)


if __name__ == "__main__":
    main()
