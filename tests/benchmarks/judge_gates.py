"""The judge's gates on development artists: `python -m tests.benchmarks.judge_gates [--mimics FOLDER] [--sheet FILE]`.

On a scale on which unseen pictures of the artist have 0 and the base model's pictures 1, for the primary distance of
`mini` (`imitation-distance`) and for its predecessor (`style-distance`):

1. ruined pictures have at least 0.9: drawn ruins, and what mimics paint after a protection at 32/255;
2. own pictures degraded in six grades: monotone (Spearman at least 0.95), never below -0.05;
3. other styles at least 0.9, unseen own pictures at most 0.05, blends and mixtures of both monotone;
4. ruins, protections and styles that the judge was not trained on pass 1 and 3;
5. over arms: Spearman with the Gram distance on VGG16 at least 0.8, with KID on Inception at least what those two have
   with each other; no arm that both put beyond the clean one has a lower distance than it.

`FOLDER` holds what `judge_mimics.py --part development` draws. Gate 5 needs VGG16 (`TORCH_HOME`) and Inception
(`CLOAKBENCH_ASSETS`); without them it is skipped. Gate 6, a sheet that people sort, is written by `--sheet`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from cloakbench.datasets.procedural import styles
from cloakbench.images import Pixels
from cloakbench.models.mini.train import ruins
from cloakbench.models.mini.train.viewer_material import cut
from tests.benchmarks.judge_scale import DISTANCES, SEED, Scale, artists
from tests.benchmarks.paint_gates import distances

MIMICS = Path(__file__).parent / "mimics"
FLOOR, CLEAN = "floor@0", "clean@0"
RUINED, OTHER, OWN_MOST, LEAST, MONOTONE = 0.9, 0.9, 0.05, -0.05, 0.95
GRADES = 6
SAMPLE = 4
"""Pictures of each artist that are ruined and degraded."""


Strips = dict[str, dict[str, list[Pixels]]]
"""Images by mimics, by artist and arm."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure, and the least or largest value that it may have."""

    gate: int
    name: str
    limit: float
    measured: float
    at_most: bool = False
    worst: str = ""
    """The artist or pair with the worst of several figures."""

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its limit."""
        return bool(self.measured <= self.limit if self.at_most else self.measured >= self.limit)


def changed(
    images: Sequence[Pixels], change: Callable[[ruins.Picture, np.random.Generator], ruins.Picture]
) -> list[Pixels]:
    """Returns the pictures after a change, the n-th with the n-th random numbers."""
    results = []
    for n, image in enumerate(images):
        picture = change(image.astype(np.float32) / 255, np.random.default_rng([SEED, n]))
        results.append(np.rint(picture * 255).astype(np.uint8))
    return results


def graded(degrade: ruins.Degradation, grade: float, picture: ruins.Picture, rng: np.random.Generator) -> ruins.Picture:
    """Returns a picture degraded by a grade."""
    return degrade(picture, grade, rng)


def drawn_ruins(scales: Sequence[Scale]) -> dict[str, dict[str, float]]:
    """Returns by kind of ruin and artist the scaled distance of drawn ruins."""
    values: dict[str, dict[str, float]] = {}
    for name, ruin in (ruins.RUINS | ruins.HELD_OUT).items():
        values[name] = {scale.artist.name: scale(changed(scale.artist.unseen[:SAMPLE], ruin)) for scale in scales}
    return values


def curves(scales: Sequence[Scale]) -> dict[str, NDArray[np.float64]]:
    """Returns by degradation the scaled distance `[artists, GRADES + 1]` of the own pictures in each grade."""
    values = {}
    for name, degrade in (ruins.DEGRADATIONS | ruins.HELD_OUT_DEGRADATIONS).items():
        rows = []
        for scale in scales:
            own = scale.artist.scale[:SAMPLE]
            row = [scale(own)]
            for grade in range(1, GRADES + 1):
                share = grade / GRADES
                row.append(scale(changed(own, partial(graded, degrade, share))))
            rows.append(row)
        values[name] = np.array(rows)
    return values


def rank_correlation(x: Sequence[float] | NDArray[np.float64], y: Sequence[float] | NDArray[np.float64]) -> float:
    """Returns Spearman's correlation, 0 where one side is constant."""
    value = float(spearmanr(x, y).statistic)
    return 0.0 if np.isnan(value) else value


def gate_ruins(scales: Sequence[Scale], strips: Strips) -> Iterator[Gate]:
    """Yields gate 1: each kind of drawn ruin, its mean over artists and its worst artist; each protection at 32/255."""
    for kind, by_artist in drawn_ruins(scales).items():
        worst = min(by_artist, key=lambda name: by_artist[name])
        gate = 4 if kind in ruins.HELD_OUT else 1
        yield Gate(gate, f"{kind}, mean over artists", RUINED, float(np.mean(list(by_artist.values()))))
        yield Gate(gate, f"{kind}, worst artist", RUINED, by_artist[worst], worst=worst)
    for scale in scales:
        for arm, pictures in strips.get(scale.artist.name, {}).items():
            protection, _, levels = arm.partition("@")
            if protection in ("advdm", "anti-dreambooth", "mist", "photoguard") and int(levels) >= 32:
                gate = 4 if protection in ("anti-dreambooth", "mist") else 1
                yield Gate(gate, arm, RUINED, scale(pictures), worst=scale.artist.name)


def gate_degradations(scales: Sequence[Scale], _strips: Strips) -> Iterator[Gate]:
    """Yields gate 2: by degradation the rank correlation with the grade and the lowest value."""
    grades = np.arange(GRADES + 1)
    for kind, rows in curves(scales).items():
        by_artist = [rank_correlation(grades, row) for row in rows]
        worst = int(np.argmin(by_artist))
        lowest = int(rows.min(1).argmin())
        yield Gate(2, f"{kind}, monotone in the mean", MONOTONE, rank_correlation(grades, rows.mean(0)))
        yield Gate(2, f"{kind}, monotone, worst artist", MONOTONE, by_artist[worst], worst=scales[worst].artist.name)
        yield Gate(2, f"{kind}, lowest in the mean", LEAST, float(rows.mean(0).min()))
        yield Gate(2, f"{kind}, lowest", LEAST, float(rows.min()), worst=scales[lowest].artist.name)


def gate_styles(scales: Sequence[Scale], _strips: Strips) -> Iterator[Gate]:
    """Yields gate 3: other artists and training styles, unseen own pictures, blends and mixtures of both."""
    yield from _gate_others(scales)
    own = {scale.artist.name: scale(scale.artist.unseen) for scale in scales}
    highest = max(own, key=lambda name: own[name])
    yield Gate(3, "own unseen, mean", OWN_MOST, float(np.mean(list(own.values()))), at_most=True)
    yield Gate(3, "own unseen, worst artist", OWN_MOST, own[highest], at_most=True, worst=highest)
    blends, mixtures = [], []
    for n, scale in enumerate(scales):
        unseen, far = scale.artist.unseen, scales[(n + 1) % len(scales)].artist.unseen
        blends.append([scale(blended(unseen, far, share / 6)) for share in range(7)])
        mixtures.append([scale([*far[:share], *unseen[share:]]) for share in range(len(far) + 1)])
    yield from _gate_monotone("blends", blends, scales)
    yield from _gate_monotone("mixtures", mixtures, scales)


def _gate_others(scales: Sequence[Scale]) -> Iterator[Gate]:
    """Yields the part of gate 3 that is about other artists and training styles."""
    others = {scale.artist.name: scale.artist.unseen[:SAMPLE] for scale in scales}
    for style in styles.names("training"):
        others[style] = [styles.paint(style, subject, [SEED, n]) for n, subject in enumerate(("boat", "face"))]
    by_pair: dict[tuple[str, str], float] = {}
    means: dict[str, float] = {}
    for scale in scales:
        name = scale.artist.name
        for other, pictures in others.items():
            if other != name:
                by_pair[name, other] = scale(pictures)
        means[name] = float(np.mean([by_pair[name, other] for other in others if other != name]))
    lowest, least = min(by_pair, key=lambda pair: by_pair[pair]), min(means, key=lambda name: means[name])
    yield Gate(3, "other styles, mean over pairs", OTHER, float(np.mean(list(by_pair.values()))))
    yield Gate(3, "other styles, worst artist", OTHER, means[least], worst=least)
    yield Gate(3, "other styles, worst pair", OTHER, by_pair[lowest], worst=" by ".join(lowest))


def _gate_monotone(kind: str, rows: Sequence[Sequence[float]], scales: Sequence[Scale]) -> Iterator[Gate]:
    """Yields the part of gate 3 on a row of growing shares of another artist: the mean row and the worst artist's."""
    by_artist = [rank_correlation(range(len(row)), row) for row in rows]
    of_mean = rank_correlation(range(len(rows[0])), np.mean(rows, 0))
    worst = int(np.argmin(by_artist))
    yield Gate(3, f"{kind}, monotone in the mean", MONOTONE, of_mean)
    yield Gate(3, f"{kind}, monotone, worst artist", MONOTONE, by_artist[worst], worst=scales[worst].artist.name)


def blended(images: Sequence[Pixels], others: Sequence[Pixels], share: float) -> list[Pixels]:
    """Returns each picture with `share` of another laid over it."""
    pairs = zip(images, others, strict=True)
    return [np.rint((1 - share) * image + share * other).astype(np.uint8) for image, other in pairs]


def read_strips(folder: Path) -> Strips:
    """Returns the images by mimics in a folder, by artist and arm."""
    strips: Strips = {}
    for path in sorted(folder.glob("*/*@*.png")):
        strips.setdefault(path.parent.name, {})[path.stem] = list(cut(path))
    return strips


def gate_outside(scales: Sequence[Scale], strips: Strips) -> Iterator[Gate]:
    """Yields gate 5: agreement over the arms of each artist with distances that know nothing of this project."""
    measures = distances()
    if len(measures) < 2:
        return
    for scale in scales:
        arms = strips.get(scale.artist.name, {})
        if len(arms) >= 5 and CLEAN in arms:
            rows: dict[str, list[float]] = {}
            for arm, pictures in arms.items():
                rows[arm] = [scale(pictures)]
                for far in measures.values():
                    rows[arm].append(far(pictures, scale.artist.references))
                values = dict(zip(("D", *measures), np.round(rows[arm], 3).tolist(), strict=True))
                print(json.dumps({"artist": scale.artist.name, "arm": arm, **values}))
            yield from _agreement(scale.artist.name, rows)


def _agreement(artist: str, rows: dict[str, list[float]]) -> Iterator[Gate]:
    """Yields gate 5 of one artist from the values of D and of two outside distances, by arm."""
    of_d, of_gram, of_kid = np.array(list(rows.values())).T[:3]
    outside = rank_correlation(of_gram, of_kid)
    yield Gate(5, "Spearman with Gram", 0.8, rank_correlation(of_d, of_gram), worst=artist)
    yield Gate(5, "Spearman with KID, limit is Gram's with KID", outside, rank_correlation(of_d, of_kid), worst=artist)
    clean = rows[CLEAN]
    beyond: dict[str, float] = {}
    for arm, row in rows.items():
        if row[1] > clean[1] and row[2] > clean[2]:
            beyond[arm] = row[0] - clean[0]
    lowest = min(beyond, key=lambda arm: beyond[arm])
    share = beyond[lowest] / (rows[FLOOR][0] - clean[0])
    yield Gate(5, "P of arms that both put beyond clean", 0.0, share, worst=f"{artist}, {lowest}")


Figures = Callable[[Sequence[Scale], Strips], Iterator[Gate]]
GATES: dict[int, Figures] = {1: gate_ruins, 2: gate_degradations, 3: gate_styles, 5: gate_outside}
"""What yields the figures of a gate; those of gate 4 come with 1 and 3."""


def sheet(scales: Sequence[Scale], strips: Strips, count: int = 60) -> Image.Image:
    """Returns `count` pictures of all arms sorted by the scaled distance, nearest first, twelve in a row."""
    rows: list[tuple[float, Pixels]] = []
    for scale in scales:
        for pictures in strips.get(scale.artist.name, {}).values():
            rows += zip(scale.values(pictures).tolist(), pictures, strict=True)
    rows.sort(key=lambda row: row[0])
    chosen = [rows[int(n)][1] for n in np.linspace(0, len(rows) - 1, count)]
    lines = [np.concatenate(chosen[n : n + 12], axis=1) for n in range(0, count, 12)]
    return Image.fromarray(np.concatenate(lines))


def main() -> None:
    """Prints every figure of both distances, one line of JSON each."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--mimics", type=Path, default=MIMICS)
    words.add_argument("--sheet", type=Path)
    words.add_argument("--paintings", type=Path, help="a folder of real paintings by one artist, measured beside")
    words.add_argument("--distance", nargs="+", choices=list(DISTANCES), default=list(DISTANCES))
    words.add_argument("--gates", nargs="+", type=int, default=[1, 2, 3, 5])
    options = words.parse_args()
    torch.set_num_threads(1)
    strips = read_strips(options.mimics)
    floor = strips["swirl"][FLOOR]
    for name in options.distance:
        scales = []
        for artist in artists(options.paintings):
            scales.append(Scale(artist, strips.get(artist.name, {}).get(FLOOR, floor), DISTANCES[name]))
        ends = {}
        for scale in scales:
            ends[scale.artist.name] = [round(scale.own, 3), round(scale.floor, 3)]
        print(json.dumps({"distance": name, **ends}))
        for number, figures in GATES.items():
            for gate in figures(scales, strips) if number in options.gates else ():
                facts = {"gate": gate.gate, "name": gate.name, "measured": round(gate.measured, 3)}
                print(json.dumps({"distance": name, **facts, "holds": gate.holds, "worst": gate.worst}), flush=True)
        if options.sheet and name == "imitation-distance":
            sheet(scales, strips).save(options.sheet)


if __name__ == "__main__":
    main()
