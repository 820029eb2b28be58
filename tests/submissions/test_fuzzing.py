"""Whatever bytes a worker answers, of a protection or of an attack: a fault, or images of the promised shapes."""

from __future__ import annotations

import json
import os
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloakbench.printable import has_hidden
from cloakbench.submissions.guard import SubmissionFault
from cloakbench.submissions.sandbox import messages
from cloakbench.submissions.sandbox.client import Limits, SandboxedSubmission
from cloakbench.submissions.sandbox.messages import Answer
from cloakbench.submissions.sandbox.running import RunningWorker

ORIGINALS = [np.zeros((2, 3, 3), np.uint8)] * 2
PIXELS = bytes(36)
NUMBER = 7
LIMITS = Limits(seconds=60, memory_bytes=1 << 60, processes=1 << 30)
FAULT = {"kind": "failed", "message": "m", "hint": "h", "traceback": "t"}
CLAIMS = {
    "budget": "linf", "needs": [], "title": "t", "paper": "", "licence": "", "deterministic": True, "control": None,
}  # fmt: skip
COSTS = {"attempts": ["a"], "observed": [], "peak_bytes": 1, "busy_s": 0.5}
ANSWERS = [
    {"number": NUMBER, "kind": "images", **COSTS},
    {"number": NUMBER, "kind": "claims", "claims": CLAIMS},
    {"number": NUMBER, "kind": "claims", "claims": {**CLAIMS, "budget": "ready-made", "knowledge": "pairs"}},
    {"number": NUMBER, "kind": "fault", "fault": FAULT},
    {"number": 0, "kind": "ready"},
]
TEXTS = ["", "\x1b[2J\u202e", "\x00", "../../x", "\ud800", "images", "claims", "A" * 3000, "NaN"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(TEXTS),
    st.text(max_size=20),
    st.lists(st.sampled_from(TEXTS), max_size=30),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


class SpeakingWorker(RunningWorker):
    """Pipes without a process, in which an answer lies already; orders go nowhere."""

    def __init__(self, data: bytes) -> None:
        self._process: Any = SimpleNamespace(pid=os.getpid(), poll=lambda: None)
        self._overhead, self._exit_code, self._output = 1, None, deque()
        self._members, self.most_bytes = [psutil.Process()], 0
        self._limits, self._deadline, self._next_look = LIMITS, 0.0, float("inf")
        self._answers, writing = os.pipe()
        self._report, self._alive = os.pipe()
        self._orders = os.open(os.devnull, os.O_WRONLY)
        threading.Thread(target=_write, args=(writing, data)).start()

    def _read_exit_code(self, seconds: float) -> int | None:
        return None

    def end(self) -> int:
        """Closes the pipes; no process is there to be killed."""
        self._close()
        os.close(self._alive)
        return 0


def _write(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        try:
            stream.write(data)
        except BrokenPipeError:  # nobody reads what is too much
            return


@contextmanager
def speaking(data: bytes) -> Iterator[SandboxedSubmission]:
    submission = SandboxedSubmission("fuzzed", LIMITS)
    submission._running = SpeakingWorker(data)
    try:
        yield submission
    finally:
        submission._end()


def protect_order() -> messages.Protect:
    return messages.Protect(
        number=NUMBER, model=None, shapes=[image.shape for image in ORIGINALS], strength=1.0, budget_255=16, seed=0,
        class_word="painting", captions=["a", "b"],
    )  # fmt: skip


def attack_order() -> messages.Attack:
    return messages.Attack(
        number=NUMBER, model=None, shapes=[image.shape for image in ORIGINALS], seed=0, class_word="painting",
        captions=["a", "b"], token="sks", prompts=["a boat", "a house"], side=3,
    )  # fmt: skip


def load_order() -> messages.Load:
    return messages.Load(number=NUMBER, spelling="fuzzed")


AnyOrder = messages.Load | messages.Protect | messages.Attack


def texts_of(answer: Answer) -> Iterator[str]:
    yield from (*answer.attempts, *answer.observed)
    if answer.fault is not None:
        yield from (answer.fault.message, answer.fault.hint, answer.fault.traceback.translate({9: None, 10: None}))
    if answer.claims is not None:
        yield from (answer.claims.title, answer.claims.paper, answer.claims.licence, answer.claims.control or "")


def examine(data: bytes, order: AnyOrder) -> bool:
    """Gives an order to a worker that answers with `data`; returns whether that is an answer."""
    with speaking(data) as submission:
        try:
            answer, images = submission._exchange(order, ORIGINALS, ORIGINALS)
        except SubmissionFault as error:
            return require_clean(error)
    assert [image.shape for image in images] in ([], [image.shape for image in ORIGINALS])
    assert not [text for text in texts_of(answer) if has_hidden(text)]
    return True


def require_clean(fault: SubmissionFault) -> bool:
    assert not has_hidden(fault.message)
    assert len(fault.message) <= messages.MESSAGE
    return False


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of every value of a JSON document."""
    yield path
    if isinstance(document, dict):
        for name, value in document.items():
            yield from places(value, (*path, name))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    return {**document, path[0]: replaced(document[path[0]], path[1:], value)}


def changed_answers(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(ANSWERS))
    for _ in range(data.draw(st.integers(0, 2))):
        if isinstance(document, dict):
            path = data.draw(st.sampled_from(sorted(places(document), key=repr)))
            document = replaced(document, path, data.draw(VALUES))
    body = json.dumps(document).encode()
    pixels = data.draw(st.sampled_from([PIXELS, PIXELS[:-1], b"", PIXELS * 2]))
    for order in (protect_order(), attack_order(), load_order()):
        examine(framed(body) + pixels, order)


def changed_bytes(data: st.DataObject) -> None:
    whole = framed(json.dumps(data.draw(st.sampled_from(ANSWERS))).encode()) + PIXELS
    position = data.draw(st.integers(0, len(whole)))
    changed = whole[:position] + data.draw(st.binary(max_size=12)) + whole[position + data.draw(st.integers(0, 8)) :]
    for order in (protect_order(), attack_order(), load_order()):
        examine(changed, order)


def test_an_honest_answer_is_one() -> None:
    orders = ((0, protect_order()), (0, attack_order()), (1, load_order()), (2, load_order()), (3, attack_order()))
    for number, order in orders:
        assert examine(framed(json.dumps(ANSWERS[number]).encode()) + PIXELS, order)


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.finding("A3", "A14")
@pytest.mark.parametrize("test", [changed_answers, changed_bytes])
def test_any_answer_ends_in_words(test: Callable[..., None]) -> None:
    settings(max_examples=100, suppress_health_check=SLOW, derandomize=True)(given(data=st.data())(test))()


@pytest.mark.long
@pytest.mark.parametrize("test", [changed_answers, changed_bytes])
def test_any_of_many_answers_ends_in_words(test: Callable[..., None]) -> None:
    settings(max_examples=2000, suppress_health_check=SLOW)(given(data=st.data())(test))()
