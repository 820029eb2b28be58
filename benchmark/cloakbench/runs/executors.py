"""The choice of an executor from the command line's options and the machine's devices."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cloakbench.errors import UserError
from cloakbench.system import cpu

if TYPE_CHECKING:
    from cloakbench.execute.inline import Executor
    from cloakbench.runs.session import Session

Kind = Literal["inline", "local", "ray"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """The user's options; readable without torch. Raises UserError where they contradict each other."""

    kind: Kind | None = None
    """None: `local` where there is more than one worker, else `inline`."""
    workers: int | None = None
    """None: as many as there are devices for."""
    address: str | None = None
    """Of a Ray cluster; None: a Ray of its own on this machine."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            hint = "One for every free core or GPU is a good number."
            raise UserError(f"expected --workers of 1 or more, got {self.workers}", hint)
        if self.kind == "inline" and self.workers not in (None, 1):
            raise UserError(f"expected one worker inline, got {self.workers}", "Use --executor local or ray.")
        if self.address is not None and self.kind != "ray":
            raise UserError(f"expected --executor ray with --address, got {self.kind or 'none'}", "Add it.")


def choose(options: ExecutorOptions, session: Session, keep_images: bool = False) -> Executor:
    """Returns the executor for a session's cells; raises UserError where Ray is asked for and not installed."""
    from cloakbench.execute.inline import InlineExecutor
    from cloakbench.execute.local import LocalExecutor
    from cloakbench.execute.ray import RayExecutor
    from cloakbench.runs.planned_job import PlannedJob

    devices = _devices(session)
    is_single = options.workers == 1 if options.workers is not None else len(devices) < 2
    if options.kind == "inline" or (options.kind is None and is_single):
        return InlineExecutor()
    job, root = PlannedJob.of(session, keep_images), session.store.root
    if options.kind == "ray":
        return RayExecutor(job, root, options.workers, options.address)
    count = options.workers or len(devices) or max(1, cpu.cores() // session.environment.threads)
    _warn_of_threads(session, count)
    return LocalExecutor(job, root, count, devices)


def _devices(session: Session) -> list[str]:
    """Returns the names of the GPUs that processes can be lent; none on a CPU."""
    if session.device == "cpu":
        return []
    import torch

    from cloakbench.execute.leases import names

    kinds = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return names(kinds, os.environ)


def _warn_of_threads(session: Session, count: int) -> None:
    threads, cores = session.environment.threads * count, cpu.cores()
    if session.device == "cpu" and threads > cores:
        _log.warning("%d threads on %d cores: fewer workers will be faster", threads, cores)
