"""Taking over records that another store or a committed reference holds, so that a run goes on from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.store import origins, reading
from cloakbench.store.origins import Verb
from cloakbench.store.paths import NOTICE_FILE
from cloakbench.store.store import Store
from cloakbench.upkeep import for_pages
from cloakbench.upkeep.intake import Source, open_intake, require_no_links, require_regular


@dataclass(frozen=True, slots=True)
class Adopted:
    """How many records were taken over, how many the store had already, and how many were damaged."""

    added: int
    known: int
    damaged: int = 0
    searches: int = 0
    """Searches for strengths that came with the records."""
    pictures: int = 0
    """Small pictures for pages that came along."""
    left_out: tuple[str, ...] = ()
    """What of the pictures and of the note on the records did not come, and why; a sentence each."""


def adopt(path: Path, suite: str | None, store: Store) -> Adopted:
    """Copies the records of `suite` in `path` (a store or a reference folder) that `store` lacks.

    The searches for strengths that the records tell of come with them, so that a further cell of their artist and
    protection needs no search. So do small pictures, and into a store without records the note on them. All of it
    arrives, or nothing, also where the process is killed. Damaged records are left out and counted. What `path` had
    merged counts as merged, so that a run does not go on from it. Raises UserError where a cell of one environment
    class has two different results, in `path` or in `path` and `store`.
    """
    require_regular(path)
    source = Source(path, path, suite, origins=origins.read(path))
    require_no_links(source)
    loaded = reading.load(path, suite)
    if loaded.conflicts:
        raise UserError(loaded.conflicts[0], "Remove one of the two.")
    with open_intake(store, Verb.ADOPT) as intake:
        intake.add_facts(loaded.facts)
        intake.add_records(source, loaded)
        intake.add_searches(source, loaded)
        pictures, others = for_pages.add_pictures(intake, source, loaded)
        reason = for_pages.add_notice(intake, source)
    left_out = []
    if others:
        left_out.append(f"pictures left out: {others}, of no adopted record, too large or no file of their own")
    if reason:
        left_out.append(f"{source.folder / NOTICE_FILE} left out: {reason}")
    return Adopted(intake.added, intake.known, len(loaded.damaged), intake.searches, pictures, tuple(left_out))
