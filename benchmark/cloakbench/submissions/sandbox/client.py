"""Runs a submission in a process of its own: a scrubbed environment, limits, a folder of its own, pixels and JSON only.

With bubblewrap the process has no network and sees neither other files nor other processes. Without it, isolation
`process` protects against accidents, not against intent. `SandboxedSubmission.isolation` says which of the two holds.
"""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from cloakbench.datasets.artists import MINI
from cloakbench.errors import InfrastructureError, SubmissionError, UserError
from cloakbench.images import Pixels
from cloakbench.models import registry
from cloakbench.schemas.kinds import Status
from cloakbench.submissions import guard
from cloakbench.submissions.attacking import AttackOrder
from cloakbench.submissions.discovery import EntryKind
from cloakbench.submissions.guard import Order, Protected, SubmissionFault
from cloakbench.submissions.loading import Claims
from cloakbench.submissions.sandbox import bubblewrap, confining, folders, messages, secrecy, visible
from cloakbench.submissions.sandbox.faults import call_error, loading_error
from cloakbench.submissions.sandbox.interpreter import interpreter
from cloakbench.submissions.sandbox.messages import Answer
from cloakbench.submissions.sandbox.running import Limits, RunningWorker
from cloakbench.submissions.sandbox.surrogate import SurrogateChoice

__all__ = ["Limits", "SandboxedSubmission", "SurrogateChoice"]

READY_S = 600.0
"""How long a process may take until the harness's own libraries are imported."""
KEPT_NOTES = 50
_log = logging.getLogger(__name__)


class SandboxedSubmission:
    """One submission's process, started when it is first asked, and again after it has died or left processes behind.

    Use it as a context manager: leaving it ends the process with everything that it has started.

    Attributes:
        claims: What the protection says about itself; asked once, and then the only source of its budget.
        attempts: What its Python code was refused.
        observed: What its Python code did that passes by the audit hook: other programs, native code.
        walls: Which of the kernel's restrictions its process has, as the launcher says: `landlock`, `seccomp`.
        left_behind: How many processes of its own it had not ended.
        peak_bytes: Its memory.
        busy_s: The processor's seconds of the last order, as the system measured them.
    """

    def __init__(
        self,
        spelling: str,
        limits: Limits | None = None,
        threads: int = 1,
        hidden: Sequence[Path] = (),
        kind: EntryKind = EntryKind.PROTECTION,
    ) -> None:
        self.spelling = spelling
        self.kind = kind
        self.limits = limits or Limits()
        self.claims: Claims | None = None
        self.attempts: list[str] = []
        self.observed: list[str] = []
        self.walls: list[str] = []
        self.left_behind = 0
        self.peak_bytes = 0
        self.busy_s = 0.0
        self._threads = threads
        clean = [] if kind is EntryKind.PROTECTION else [MINI]  # no attack may look up the artists' clean images
        self._hidden = [folder.absolute() for folder in (*hidden, *clean)]
        self._python = interpreter(spelling, kind)
        self._running: RunningWorker | None = None
        self._box: folders.ScratchFolder | None = None
        self._shown: list[Path] = []
        self._models: dict[str, Path] = {}
        self._secrecy = ExitStack()
        self._numbers = itertools.count(1)

    @property
    def isolation(self) -> str:
        """`bubblewrap`, or `process` where it is not installed; and whether an environment of its own."""
        return f"{bubblewrap.kind()}, own environment" if self._has_own_environment else bubblewrap.kind()

    @property
    def _has_own_environment(self) -> bool:
        return self._python != Path(sys.executable)

    def __enter__(self) -> SandboxedSubmission:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, with all that it has started, and removes its folder."""
        if self._running is not None:
            self._running.dismiss()
        self._end()

    def load(self) -> Claims:
        """Returns what the protection says about itself, asked once.

        Raises:
            UserError: The name or a parameter is wrong.
            SubmissionError: The protection can't be imported or built.
            InfrastructureError: The process does not start.
        """
        if self.claims is None:
            self.claims = self._start()
        return self.claims

    def protect(
        self,
        originals: Sequence[Pixels],
        order: Order,
        model: SurrogateChoice | None = None,
        further: Sequence[SurrogateChoice] = (),
    ) -> Protected:
        """Returns the protected images, checked here on the pixels that came back.

        Args:
            originals: Images `[H, W, 3]`, uint8.
            order: What is asked for.
            model: The surrogate that the protection gets; None for none.
            further: Further base models that it gets.

        Raises:
            SubmissionFault: The protection fails, breaks its contract, or uses more than its limits.
            UserError: The surrogate's weights are not here.
            InfrastructureError: The process does not start.
        """
        for choice in further:
            self._show(choice.alias)
        message = messages.protect_order(0, originals, order, asdict(model) if model else None, map(asdict, further))
        changed = self._call(message, [*originals, *order.masks, *order.class_images], model, originals)
        return guard.accept(originals, changed, order, self.load().budget)

    def attack(
        self, images: Sequence[Pixels], order: AttackOrder, model: SurrogateChoice | None = None
    ) -> list[Pixels]:
        """Returns the cleaned images, same sizes, or what a mimicry generated per prompt; raises as `protect` does.

        Args:
            images: Images `[H, W, 3]`, uint8.
            order: What is asked for.
            model: The diffusion model that the mimic has; None for none.
        """
        shaped = images
        if self.kind is EntryKind.MIMICRY:
            shaped = [np.empty((order.side, order.side, 3), np.uint8)] * len(order.prompts)
        own, shapes = messages.SurrogateMessage(**asdict(model)) if model else None, messages.shapes(images)
        message = messages.Attack(number=0, model=own, shapes=shapes, **asdict(order))
        return self._call(message, images, model, shaped)

    def _call(
        self,
        message: messages.Protect | messages.Attack,
        images: Sequence[Pixels],
        model: SurrogateChoice | None,
        shaped: Sequence[Pixels],
    ) -> list[Pixels]:
        """Returns the images that come back for an order, of the shapes of `shaped`; raises as `protect`."""
        if model is not None:
            self._show(model.alias)
        self._loaded()
        numbered = message.model_copy(update={"number": next(self._numbers)})  # a start has numbers of its own
        answer, changed = self._exchange(numbered, images, shaped)
        if self._running is not None and not self._running.is_alone():
            self.close()  # whatever it has left could reach into the next call
        if answer.fault is not None:
            raise call_error(answer.fault)
        return changed

    def _loaded(self) -> Claims:
        """Returns the recorded claims, with the protection loaded; a fault of loading counts against it by now."""
        try:
            claims = self.load()
            if self._running is None:
                self._start()
        except SubmissionFault:
            raise
        except (UserError, SubmissionError) as error:
            raise SubmissionFault(Status.FAILED, error.message, error.hint) from error
        return claims

    def _show(self, alias: str) -> None:
        """Makes a model's folder visible to the worker; one that runs without is ended."""
        if alias in self._models:
            return
        folder = registry.folder(alias).absolute()
        self._models[alias] = folder
        if self._running is not None and not any(folder.is_relative_to(shown) for shown in self._shown):
            self.close()

    def _start(self) -> Claims:
        """Starts the worker, loads the protection and returns what it says about itself."""
        self._box = folders.ScratchFolder()
        self._running = self._spawn(self._box.path)
        order = messages.Load(number=next(self._numbers), spelling=self.spelling, entry=self.kind)
        answer, _ = self._exchange(order, [], [])
        if answer.claims is not None:
            return answer.claims
        self._end()
        raise loading_error(answer.fault)

    def _spawn(self, box: Path) -> RunningWorker:
        """Returns a process that has confined itself and imported the harness's libraries."""
        is_walled = bubblewrap.kind() == "bubblewrap"
        inside = bubblewrap.BOX if is_walled else box
        variables = bubblewrap.environment(inside, box.name, self._has_own_environment)
        self._shown = [*visible.folders(self._python, variables), *self._models.values()]
        confined = confining.confinement(inside, self._shown, self._hidden, self.limits.file_bytes)
        if not is_walled:
            (box / "tmp").mkdir()
            self._secrecy.enter_context(secrecy.hidden_from_others())
        try:
            running = RunningWorker(
                lambda *ends: confining.command(confined, self._shown, self._python, ends), box, variables
            )
        except OSError as error:
            raise InfrastructureError(f"expected a process, got {error}", "Run it again.") from error
        running.set_overhead(2 if is_walled else 1)
        order = messages.Start(threads=self._threads, hidden=confined.hidden, writable=confined.writable)
        self._await_ready(running, order)
        return running

    def _await_ready(self, running: RunningWorker, order: messages.Start) -> None:
        limits = replace(self.limits, seconds=READY_S)
        try:
            self.walls = running.walls(limits)
            answer = running.ask(messages.frame(order), [], limits)
            if answer.kind != "ready":
                raise running.no_answer(answer.kind)
        except SubmissionFault as error:
            running.end()
            if self._has_own_environment:
                raise
            hint = "Does it start? cloakbench doctor. What it printed is in the log at level DEBUG."
            _log.debug("%s", error.traceback)
            raise InfrastructureError(f"the submission's process did not start: {error.message}", hint) from error
        except BaseException:  # interrupted
            running.end()
            raise

    def _exchange(
        self,
        order: messages.Load | messages.Protect | messages.Attack,
        images: Sequence[Pixels],
        shaped: Sequence[Pixels],
    ) -> tuple[Answer, list[Pixels]]:
        """Returns the answer to an order and its images, of the shapes of `shaped`; ends the process without one."""
        running = self._running
        assert running is not None
        expected, before = "claims" if isinstance(order, messages.Load) else "images", running.busy_s()
        try:
            answer = running.ask(messages.frame(order), images, self.limits)
            self.busy_s = max(0.0, running.busy_s() - before)
            if answer.number != order.number or answer.kind not in (expected, "fault"):
                raise running.no_answer(f"{answer.kind} {answer.number} in place of {expected} {order.number}")
            received = running.receive_images(shaped) if answer.kind == "images" else []
        except BaseException:  # a fault, or interrupted: nothing of it may go on
            self._end()
            raise
        self.attempts = _merged(self.attempts, answer.attempts)
        self.observed = _merged(self.observed, answer.observed)
        self.peak_bytes = max(answer.peak_bytes, running.most_bytes)
        return answer, received

    def _end(self) -> None:
        if self._running is not None:
            self.left_behind += self._running.end()
            self._running = None
        if self._box is not None:
            self._box.close()
            self._box = None
        self._secrecy.close()


def _merged(former: Sequence[str], latter: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*former, *latter]))[:KEPT_NOTES]
