"""Canaries: control cells that run again, which shows whether the environment still gives the recorded results."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import torch

from cloakbench.attacks import catalogue
from cloakbench.cells import pipeline
from cloakbench.cells.plan import Cell
from cloakbench.execute.inline import InlineExecutor
from cloakbench.execute.progress import Reporter, reporter
from cloakbench.metrics import weights
from cloakbench.runs.session import Session
from cloakbench.schemas.external import ExternalAttack
from cloakbench.schemas.kinds import Role, Status
from cloakbench.schemas.record import Record
from cloakbench.store.store import Store

_log = logging.getLogger(__name__)


def choose(session: Session) -> list[Cell]:
    """Returns the canaries of a plan: cheap cells of the clean arm that every store of the suite holds.

    They are the first artist's first seed of `identity` under the first ranked attack without a countermeasure and the
    first with one, so that every stage of the harness takes part and no submission does. The choice depends on the plan
    alone.
    """
    plain: list[Cell] = []
    cleaned: list[Cell] = []
    artist = None
    for cell in session.cells:
        is_clean_arm = cell.entry.facts.role is Role.IDENTITY and cell.seed == 0
        if not is_clean_arm or isinstance(cell.attack, ExternalAttack) or not catalogue.is_ranked(cell.attack):
            continue
        artist = artist or cell.artist.name
        if cell.artist.name == artist:
            (cleaned if cell.attack.countermeasures else plain).append(cell)
    return [*plain[:1], *cleaned[:1]]


def rerun(session: Session, report: Reporter | None = None) -> list[Record]:
    """Runs the canaries that the store holds a record of once more and returns the new records.

    Every stage is computed anew in a folder of its own, nothing comes from the store. The new records lie in the store
    under `canaries/`, beside the originals, which stay as they are; `cloakbench_leaderboards.versions.drift` says what
    differs. A canary without a good record in this environment class is left out: it has nothing to be compared with.
    So is one that an infrastructure fault ends, with a warning.
    """
    cells = [cell for cell in choose(session) if _is_good(session.finished(cell))]
    if not cells:
        return []
    torch.set_num_threads(session.environment.threads)
    metrics = weights.find_usable(session.suite.metrics.every)
    records = []
    with tempfile.TemporaryDirectory(prefix="cloakbench-canaries-") as folder:
        fresh = Store(Path(folder))
        work = pipeline.Pipeline(session.planner, fresh, session.environment, metrics, session.device)
        for outcome in InlineExecutor().run(cells, work, report or reporter()):
            record = fresh.read_record(outcome.key, session.environment.env_class)
            if record is not None and record.status.is_retried:
                _log.warning("the canary %s did not run: %s", record.key[:12], record.reason)
            elif record is not None:
                records.append(record)
    for record in records:
        session.store.write_canary(record)
    return records


def _is_good(record: Record | None) -> bool:
    return record is not None and record.status is Status.OK
