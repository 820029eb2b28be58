"""A worker's faults as errors of the harness."""

from __future__ import annotations

from cloakbench.errors import BenchmarkError, SubmissionError, UserError
from cloakbench.schemas.kinds import Status
from cloakbench.submissions.guard import HINTS, SubmissionFault
from cloakbench.submissions.sandbox.messages import Fault


def loading_error(fault: Fault | None) -> BenchmarkError:
    """Returns the error of a protection that can't be loaded: the user's where a name or a parameter is wrong."""
    if fault is None:
        return SubmissionError("expected a protection's claims, got none", HINTS[Status.FAILED])
    kind = UserError if fault.kind == "user" else SubmissionError
    return kind(fault.message, fault.hint)


def call_error(fault: Fault) -> SubmissionFault:
    """Returns the fault of a call; whatever the worker says, it counts against the submission."""
    status = Status(fault.kind) if fault.kind in ("oom", "invalid_output") else Status.FAILED
    return SubmissionFault(status, fault.message, fault.hint or HINTS[status], fault.traceback)
