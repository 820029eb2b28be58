"""Two sets of records, compared."""

from __future__ import annotations

from versions import FACTS

from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.versions.comparing import compare
from cloakbench_leaderboards.versions.sides import SideRequest, sides


def asked(records, name="photoguard", number=None, facts=FACTS):
    return SideRequest(Loaded(facts, list(records), [])._replace(damaged=[]), "somewhere", name, number)


def compared(before, after, **names):
    return compare(*sides(asked(before, **names), asked(after, **names)))
