"""The page of a survey: a static page that shows pairs, and saves the answers as a CSV file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.store.paths import StorePaths
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Asset, Material, Page
from cloakbench_leaderboards.parts.pictures import single, stage_address, tile
from cloakbench_leaderboards.survey.pairs import SurveyPair, pairs

PATH = "survey/index.html"
KEY = "survey/key.json"
"""What each pair shows; `cloakbench survey` reads it."""
PAIRS = 60
"""About five minutes of a viewer."""
REFERENCES = 3
LIMIT = 40_000
"""Bytes of one picture."""


def pages(material: Material, most: int = PAIRS) -> Iterable[Page | Asset]:
    """Returns the page with its pictures and its key.

    Raises:
        UserError: No pictures of generations are stored with the records.
    """
    lookup, store = Lookup(material.evidence, material.board), StorePaths(material.source)
    chosen = pairs(lookup, store, most)
    if not chosen:
        raise UserError(
            f"expected pictures of generations in {material.source}, got none",
            "A survey needs the store of a run; a reference folder has records alone.",
        )
    references: dict[str, list[Path]] = {}
    questions = []
    for pair in chosen:
        if pair.artist not in references:
            references[pair.artist] = list(_references(lookup, store, pair.artist))
        questions.append(_question(pair, references[pair.artist]))
    key = survey_key(material.board.suite, chosen)
    island = {"survey": key["survey"], "pairs": questions}
    yield Page(PATH, "survey.html", "Survey", {"island": island}, scripts=("static/survey.js",))
    yield Asset(KEY, partial(_bytes, key))
    yield from _pictures(chosen)
    for paths in references.values():
        for path in paths:
            yield Asset(_reference(path), partial(single, path, LIMIT))


def survey_key(suite: str, chosen: list[SurveyPair]) -> dict[str, object]:
    """Returns what the pairs of a survey show, with a digest that ties the answers to it."""
    rows = []
    for pair in chosen:
        rows.append(
            {
                "pair": pair.name,
                "kind": pair.kind,
                "protection": pair.protection,
                "artist": pair.artist,
                "clean": "a" if pair.clean_first else "b",
                "clean_distance": pair.clean_distance,
                "distance": pair.distance,
            }
        )
    return {"survey": hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16], "suite": suite, "pairs": rows}


def _references(lookup: Lookup, store: StorePaths, artist: str) -> Iterator[Path]:
    record = lookup.unprotected.get(artist)
    address = stage_address(record, "protect") if record else None
    for number in range(REFERENCES):
        path = store.image_path(*address, number) if address else None
        if path is not None and path.is_file():
            yield path


def _reference(path: Path) -> str:
    return f"survey/artist-{path.parent.parent.name[:16]}-{path.stem}.webp"


def _picture(pair: SurveyPair, side: str) -> str:
    return f"survey/{pair.name}-{side}.webp"


def _question(pair: SurveyPair, references: list[Path]) -> dict[str, object]:
    """Returns one pair as the page's script reads it, with paths from the page's folder."""
    files = [_picture(pair, "a"), _picture(pair, "b"), *map(_reference, references)]
    a, b, *artist = [file.removeprefix("survey/") for file in files]
    return {"pair": pair.name, "a": a, "b": b, "artist": artist}


def _pictures(chosen: list[SurveyPair]) -> Iterator[Asset]:
    for pair in chosen:
        first, second = pair.sides.clean, pair.sides.other
        if not pair.clean_first:
            first, second = second, first
        for side, strip in (("a", first), ("b", second)):
            content: Callable[[], bytes] = partial(tile, strip, pair.sides.tile, LIMIT)
            yield Asset(_picture(pair, side), content)


def _bytes(key: dict[str, object]) -> bytes:
    return (json.dumps(key, indent=1) + "\n").encode()
