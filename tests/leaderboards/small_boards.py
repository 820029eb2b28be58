"""Records of six artists, and boards of them."""

from __future__ import annotations

import synthetic
from synthetic import arms, record

from cloakbench.store.reading import Loaded

NAMES = [f"artist{n}" for n in range(6)]


def six_artists(**changes):
    records = []
    for name in NAMES:
        records += arms(name, 0.0, 1.0)
    records += [record("x", name, (n + 1) / 10, **changes) for n, name in enumerate(NAMES)]
    return records


def loaded(records, **changes):
    names = changes.pop("artists", NAMES)
    return Loaded(synthetic.facts(synthetic.suite(names, **changes)), records, [])


def row(view, name):
    return next(row for row in view.headline.rows if row.head == name)
