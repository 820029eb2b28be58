"""How a stage runs: its device, its precision, its time limit, its log, and the files that it goes on from."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch

TRIALS = 3


@dataclass(slots=True)
class Casting:
    """The precision of forward passes: bfloat16 where `measure` finds it faster, single precision elsewhere."""

    device: str = "cpu"
    reduced: bool = False

    def __call__(self) -> AbstractContextManager[object]:
        """Returns the context in which a forward pass runs."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.reduced)

    def measure(self, trial: Callable[[], None]) -> dict[str, float]:
        """Runs `trial` a few times in both precisions, keeps the quicker; returns the seconds each took."""
        seconds = {}
        for name, reduced in (("float32", False), ("bfloat16", True)):
            self.reduced = reduced
            trial()
            began = time.perf_counter()
            for _ in range(TRIALS):
                trial()
            if self.device == "cuda":
                torch.cuda.synchronize()
            seconds[name] = round((time.perf_counter() - began) / TRIALS, 4)
        self.reduced = seconds["bfloat16"] < seconds["float32"]
        return seconds


@dataclass(slots=True)
class Run:
    """One stage on one device: it stops, resumable, after `minutes` or when the process is asked to end."""

    stage: str
    work: Path
    """Folder of the full checkpoint and of the log."""
    weights: Path
    """The committed half-precision weights: where the stage begins without a checkpoint, and what it leaves behind."""
    minutes: float = 120.0
    device: str = "cpu"
    origin: Path | None = None
    """Weights of an earlier stage that this one begins with, at its own step 0."""
    casting: Casting = field(init=False)
    _until: float = field(default=0.0, init=False)
    _asked: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.casting = Casting(self.device)

    @property
    def checkpoint(self) -> Path:
        """Where weights, moving average and optimisers are kept between two stops."""
        return self.work / f"{self.stage}.pt"

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Starts the clock; inside, a request to end the process is a request to stop after the step."""
        self._until, self._asked = time.monotonic() + 60 * self.minutes, False
        before = signal.signal(signal.SIGTERM, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    @property
    def over(self) -> bool:
        """Whether the stage is to stop now."""
        return self._asked or time.monotonic() > self._until

    def log(self, **facts: object) -> None:
        """Appends one line of JSON to the log next to the committed weights."""
        path = self.weights.with_suffix(".jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"stage": self.stage, **facts}) + "\n")
