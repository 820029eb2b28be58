"""Boards of a few artists, made of few records."""

from __future__ import annotations

import synthetic
from synthetic import BLUR, JPEG, PLAIN

from cloakbench.schemas.suite_tables import Matching
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.scores.evidence import Evidence, gather

TWO = ["a", "b"]
SIX = [f"artist{n}" for n in range(6)]
RULES = Matching(metric="mini-lpips", targets=[0.075, 0.15, 0.3], tolerance=0.01)


def evidence(records, artists=TWO, attacks=(PLAIN,), strengths=(0.5, 1.0), **changes) -> Evidence:
    plan = synthetic.suite(artists, attacks, strengths, **{"matching": RULES, **changes})
    return gather(Loaded(synthetic.facts(plan), records, []))


def number(found: Evidence, key: str, name: str = "x"):
    value, estimate = found.standings.value(key, name)
    return estimate.value, value.state


FAMILY = (PLAIN, JPEG, BLUR)
