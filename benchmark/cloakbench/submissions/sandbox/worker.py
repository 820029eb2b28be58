"""The process that runs one submission: orders and images come in by one pipe, answers and images go out by another.

Started by `cloakbench.submissions.sandbox.launcher`, which has confined it. It knows no attack, no seed of one, no
other entry and no store. What it answers is taken for a claim: the harness measures the images itself.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cloakbench.errors import BenchmarkError, SubmissionError, UserError
from cloakbench.submissions.sandbox import messages
from cloakbench.submissions.sandbox.audit import AuditHook
from cloakbench.submissions.sandbox.messages import MESSAGE, TRACEBACK, Answer, Fault
from cloakbench.submissions.text import clean_line, clean_lines

if TYPE_CHECKING:
    from cloakbench.images import Pixels

_STATUSES = {"failed", "oom", "invalid_output"}
Reply = tuple[dict[str, Any], list["Pixels"]]
"""Fields of an answer, and the images that follow it."""


def main() -> None:
    """Answers orders until they end; the arguments are the descriptors of orders and answers."""
    orders, answers = map(int, sys.argv[1:3])
    with os.fdopen(orders, "rb") as source, os.fdopen(answers, "wb") as target:
        start = messages.read_order(source)
        if not isinstance(start, messages.Start):
            return
        host = SubmissionHost()
        host.prepare(start)
        target.write(messages.frame(Answer(number=0, kind="ready")))
        target.flush()
        while (order := messages.read_order(source)) is not None:
            _answer(host, order, source, target)


def _answer(host: SubmissionHost, order: Any, source: BinaryIO, target: BinaryIO) -> None:
    before = time.process_time()
    fields, images = _carry_out(host, order, source)
    answer = Answer(
        number=order.number,
        attempts=host.hook.attempts,
        observed=host.hook.observed,
        busy_s=time.process_time() - before,
        peak_bytes=host.peak_bytes(),
        **fields,
    )
    target.write(messages.frame(answer))
    for pixels in images:
        target.write(pixels.tobytes())
    target.flush()


def _carry_out(host: SubmissionHost, order: Any, source: BinaryIO) -> Reply:
    try:
        if isinstance(order, messages.Load):
            return host.load(order)
        images = _read_images(source, order.shapes)
        if isinstance(order, messages.Attack):
            return host.attack(order, images)
        further = [_read_images(source, order.masks), _read_images(source, order.class_images)]
        return host.protect(order, images, *further)
    except UserError as error:
        return _fault("user", error.message, error.hint)
    except SubmissionError as error:
        status = str(getattr(error, "status", "submission"))
        kind = status if status in _STATUSES else "submission"
        return _fault(kind, error.message, error.hint, getattr(error, "traceback", ""))
    except BenchmarkError as error:
        return _fault("failed", error.message, error.hint)
    except Exception as error:
        return _fault("failed", f"{type(error).__name__}: {error}", "", traceback.format_exc())


def _fault(kind: Any, message: str, hint: str, trace: str = "") -> Reply:
    texts = {"message": clean_line(message, MESSAGE), "hint": clean_line(hint, MESSAGE)}
    return {"kind": "fault", "fault": Fault(kind=kind, traceback=clean_lines(trace, TRACEBACK), **texts)}, []


def _read_images(source: BinaryIO, shapes: list[tuple[int, int, int]]) -> list[Pixels]:
    import numpy as np

    images = []
    for height, width, channels in shapes:
        data = source.read(height * width * channels)
        images.append(np.frombuffer(data, np.uint8).reshape(height, width, channels))
    return images


class SubmissionHost:
    """Holds the one protection or attack of this process."""

    def __init__(self) -> None:
        self.hook = AuditHook([])
        self._instance: Any = None
        self._is_mimicry = False

    def prepare(self, start: messages.Start) -> None:
        """Imports the libraries, then installs the audit hook."""
        import torch

        from cloakbench.submissions import attacking, guard  # noqa: F401 - ours, so before the hook
        from cloakbench.system import peak  # noqa: F401 - as above

        torch.set_num_threads(start.threads)
        self.hook = AuditHook([Path.cwd(), *map(Path, start.writable)], list(map(Path, start.hidden)))
        self.hook.install()

    def peak_bytes(self) -> int:
        """Returns the most memory that the process has had."""
        from cloakbench.system import peak

        with self.hook.suspended():
            return peak.most_bytes()

    def load(self, order: messages.Load) -> Reply:
        """Imports and builds the protection or attack; returns what it says about itself."""
        from cloakbench import submissions
        from cloakbench.submissions import package, uncached

        offer = submissions.find(submissions.parse(order.spelling).name, kind=order.entry)
        uncached.read_sources_only(package.importable_names(offer.distribution))
        loaded = submissions.load_entry(order.spelling, order.entry)
        self._instance = loaded.instance
        self._is_mimicry = order.entry is submissions.EntryKind.MIMICRY
        return {"kind": "claims", "claims": loaded.claims()}, []

    def protect(
        self, order: messages.Protect, originals: list[Pixels], masks: list[Pixels], class_images: list[Pixels]
    ) -> Reply:
        """Returns the protected images; raises SubmissionFault.

        Args:
            order: The order.
            originals: Images `[H, W, 3]`.
            masks: One an image, `[H, W, 1]`, or none at all.
            class_images: Pictures of the class, `[H, W, 3]`.
        """
        from cloakbench.submissions import guard

        with self.hook.suspended():
            surrogate = _surrogate(order.model)
            models = {choice.alias: _surrogate(choice) for choice in order.models}
            clip = _clip(order.clip, surrogate.device)
        call = guard.Call(
            surrogate=surrogate,
            models=models,
            clip_model=clip,
            masks=[mask[..., 0] for mask in masks],
            class_images=class_images,
            strength=order.strength,
            budget_255=order.budget_255,
            seed=order.seed,
            class_word=order.class_word,
            captions=order.captions,
        )
        return {"kind": "images"}, guard.protect(self._instance, originals, call)

    def attack(self, order: messages.Attack, images: list[Pixels]) -> Reply:
        """Returns the cleaned or the generated images; raises SubmissionFault."""
        from cloakbench.submissions import attacking

        with self.hook.suspended():
            model = _surrogate(order.model)
        values = order.model_dump(exclude={"do", "number", "model", "shapes"})
        run = attacking.imitate if self._is_mimicry else attacking.clean
        return {"kind": "images"}, run(self._instance, images, attacking.AttackOrder(**values), model)


def _surrogate(model: messages.SurrogateMessage | None) -> Any:
    import torch

    from cloakbench.contract import Surrogate

    if model is None:
        return Surrogate("none", None, None, None, None, None, _no_distance, torch.device("cpu"), torch.float32)
    from cloakbench.system import imports

    with imports.unused_skipped():
        from cloakbench.metrics import perceptual
        from cloakbench.models import loader

    base = loader.load(model.alias, model.device, getattr(torch, model.dtype))
    return base.surrogate(perceptual.distance(model.perceptual, model.device))


def _clip(name: str, device: Any) -> Any:
    if not name:
        return None
    from cloakbench.metrics import clips

    return clips.load(name, device)


def _no_distance(_x: Any, _y: Any) -> Any:
    raise RuntimeError("expected a surrogate, this call has none")


if __name__ == "__main__":
    main()
