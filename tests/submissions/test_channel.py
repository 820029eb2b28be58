"""The channel between harness and worker, against a worker that says and does anything.

The fake worker restricts nothing, so that `process` is a kernel without Landlock and seccomp too: the harness itself
refuses what is tried here.
"""

from __future__ import annotations

import json
import resource
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cloakbench.errors import InfrastructureError, SubmissionError, UserError
from cloakbench.schemas.kinds import Status
from cloakbench.submissions import claims as claims_of
from cloakbench.submissions.discovery import Offer
from cloakbench.submissions.guard import SubmissionFault
from cloakbench.submissions.sandbox import running
from cloakbench.submissions.sandbox.client import Limits
from tests import roots
from tests.submissions import sandboxes
from tests.submissions.sandboxes import IMAGE, fake, fault, protect
from tests.waiting import has_ended, wait_until

LONG = Limits(seconds=600.0, memory_bytes=400 << 20, processes=12)
"""For what has to end sooner than by the limit, on a busy machine too."""
SHORT = replace(LONG, seconds=1.0)
SLACK_S = 50.0
"""How much longer than its limit a call may take on a busy machine; what it is told from lasts 60 s."""
FAULT = {"kind": "failed", "message": "m", "hint": "", "traceback": ""}


@pytest.fixture(params=sandboxes.ISOLATIONS, autouse=True)
def isolation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYTHONPATH", roots.PYTHONPATH)
    monkeypatch.setattr(running, "DISMISSED_S", 1.0)
    sandboxes.choose(request.param, monkeypatch)
    return request.param


@pytest.mark.finding("A1", "A2", "A13")
@pytest.mark.parametrize(
    ("deed", "status"),
    [
        ("trickle", Status.TIMEOUT),
        ("trickle_images", Status.TIMEOUT),
        ("flood", Status.FAILED),
        ("flood_output", Status.TIMEOUT),
        ("half_a_message", Status.TIMEOUT),
        ("half_an_image", Status.TIMEOUT),
        ("closes_answers", Status.FAILED),
        ("exits", Status.FAILED),
        ("child_holds_the_pipe", Status.FAILED),
        ("announces_too_much", Status.FAILED),
        ("long_fault", Status.FAILED),
        ("huge_fault", Status.FAILED),
        ("many_attempts", Status.FAILED),
        ("answers_the_next", Status.FAILED),
        ("claims_again", Status.FAILED),
        ("ready_again", Status.FAILED),
    ],
)
def test_every_wait_ends_at_the_limit_as_a_fault_of_the_entry(
    monkeypatch: pytest.MonkeyPatch, deed: str, status: Status
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with fake(monkeypatch, deed, limits=LONG) as submission:
        submission.load()
        submission.limits = SHORT if status is Status.TIMEOUT else LONG
        start = time.monotonic()
        assert fault(submission, deed).status is status
        assert time.monotonic() - start < SHORT.seconds + SLACK_S
        assert submission._running is None
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 << 10, "KiB that the harness has kept of what it was told"


def test_a_worker_that_stops_itself_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake(monkeypatch, "stops_itself", limits=LONG) as submission:
        submission.load()
        submission.limits = SHORT
        assert fault(submission, "stops_itself").status is Status.TIMEOUT


def test_a_worker_that_never_reads_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    large = IMAGE.repeat(40, 0).repeat(40, 1)  # more than a pipe holds
    with fake(monkeypatch, "never_reads", limits=LONG) as submission:
        submission.load()
        submission.limits = SHORT
        with pytest.raises(SubmissionFault) as caught:
            submission.protect([large, large], sandboxes.order("x", "y"))
        assert caught.value.status is Status.TIMEOUT


@pytest.mark.finding("A2")
def test_memory_is_looked_at_while_it_talks(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = replace(LONG, memory_bytes=200 << 20)
    with fake(monkeypatch, "flood_and_hog", limits=limits) as submission:
        large = IMAGE.repeat(40, 0).repeat(40, 1)
        with pytest.raises(SubmissionFault) as caught:
            submission.protect([large, large], sandboxes.order("x", "y"))
        assert caught.value.status is Status.OOM


@pytest.mark.finding("A3", "A14")
@pytest.mark.parametrize(
    "text",
    [
        "[]", "{}", "null", "not json", "[" * 5000, '"' + "x" * 500, "\xff\xfe",
        '{"number":NUMBER}',
        '{"number":NUMBER,"kind":"fault","fault":[]}',
        '{"number":NUMBER,"kind":"fault","fault":{"message":"m"}}',
        '{"number":NUMBER,"kind":"fault"}',
        '{"number":NUMBER,"kind":"images","busy_s":NaN}',
        '{"number":NUMBER,"kind":"images","busy_s":-1.0}',
        '{"number":NUMBER,"kind":"images","peak_bytes":1e999}',
        '{"number":NUMBER,"kind":"images","peak_bytes":' + "9" * 5000 + "}",
        '{"number":NUMBER,"kind":"images","attempts":["\\ud800"]}',
        '{"number":NUMBER,"kind":"images","attempts":[1]}',
        '{"number":NUMBER,"kind":"images","more":1}',
        '{"number":NUMBER,"kind":"images","kind":"fault"}',
        '{"number":NUMBER.0,"kind":"images"}',
        '{"number":NUMBER,"kind":"images","walls":["landlock","seccomp"]}',
        '{"number":NUMBER,"kind":"images","fault":{"kind":"oom","message":"","hint":"","traceback":""}}',
        '{"number":"NUMBER","kind":"images"}',
        *(
            json.dumps({"number": "N", "kind": "fault", "fault": {**FAULT, **part}}).replace('"N"', "NUMBER")
            for part in ({"kind": ""}, {"kind": "skipped"}, {"kind": "infra_error"}, {"kind": "UserError"}, {"more": 1})
        ),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_a_fault_of_the_entry(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with fake(monkeypatch, "raw", text) as submission:
        assert fault(submission, "raw").status is Status.FAILED


@pytest.mark.finding("A3")
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("user", Status.FAILED),
        ("submission", Status.FAILED),
        ("failed", Status.FAILED),
        ("oom", Status.OOM),
        ("invalid_output", Status.INVALID_OUTPUT),
    ],
)
def test_no_kind_of_fault_ends_the_run_or_excuses_the_entry(
    monkeypatch: pytest.MonkeyPatch, kind: str, status: Status
) -> None:
    with fake(monkeypatch, "fault_of", json.dumps({"kind": kind})) as submission:
        assert fault(submission, "fault_of").status is status
        assert submission._running is not None, "a fault that is told leaves the process as it is"


@pytest.mark.finding("A13", "A23")
def test_texts_are_clean_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"message": "\x1b]0;x\x07\x9b2J\u202e<b>\nline", "traceback": "a\n\tb\x1b[2J\u2066" + "t" * 15_000}
    with fake(monkeypatch, "fault_of", json.dumps(texts)) as submission:
        caught = fault(submission, "fault_of")
    assert not set("\x1b\x07\x9b\u202e\u2066\n") & set(caught.message)
    assert caught.message.endswith("<b> line")
    assert caught.traceback.startswith("a\n\tb\ufffd[2J")
    assert (caught.message + caught.traceback).encode()


@pytest.mark.parametrize(("kind", "error"), [("user", UserError), ("submission", SubmissionError)])
def test_a_fault_at_loading_is_the_users_only_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, kind: str, error: type[Exception]
) -> None:
    text = json.dumps({"kind": kind})
    with fake(monkeypatch, "fault_at_load", text) as submission, pytest.raises(error) as caught:
        submission.load()
    assert type(caught.value) is error
    with fake(monkeypatch, "fault_at_load", text) as submission:
        assert fault(submission, "x").status is Status.FAILED


def test_a_process_that_does_not_start_is_no_fault_of_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake(monkeypatch, "fails_to_start") as submission, pytest.raises(InfrastructureError, match="start"):
        submission.load()


def test_answers_beyond_the_order_reach_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake(monkeypatch, "more_than_images") as submission:
        protect(submission, "more_than_images")
        assert (protect(submission, "fine").images[0] == IMAGE).all(), "what it has sent ahead is its own loss"


@pytest.mark.finding("A15")
def test_the_recorded_claims_decide_and_not_what_is_said_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake(monkeypatch, "recoloured") as submission:
        claims = submission.load()
        assert claims.budget == "linf"
        assert fault(submission, "recoloured").status is Status.INVALID_OUTPUT
        submission.claims = claims.model_copy(update={"budget": "perceptual"})
        assert protect(submission, "recoloured").budgets[0].max_255 == 100


@pytest.mark.finding("A15")
def test_an_entrys_claims_are_asked_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process that runs may say something else than the one that was asked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    offer = Offer("fake", "fake", "1.0", "fake:Fake", "")
    first = fake(monkeypatch, "recoloured")
    claims = claims_of.ask(offer, "fake", "digest", first)
    with fake(monkeypatch, "fault_at_load", "{}") as second:
        assert claims_of.ask(offer, "fake", "digest", second) == second.claims == claims
    with fake(monkeypatch, "recoloured") as third:
        claims_of.ask(offer, "fake", "digest", third)
        assert fault(third, "recoloured").status is Status.INVALID_OUTPUT


@pytest.mark.finding("A1", "A4", "A5", "A6")
@pytest.mark.parametrize("deed", ["prepares_links", "holds_a_link_loop", "replaces_its_folder"])
def test_nothing_outside_follows_a_path_in_the_box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, deed: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim.txt").write_text("as it was")
    with fake(monkeypatch, deed, str(outside)) as submission:
        for _ in range(3):
            assert (protect(submission, deed).images[0] == IMAGE).all()
    assert [path.name for path in outside.iterdir()] == ["victim.txt"]
    assert (outside / "victim.txt").read_text() == "as it was"


@pytest.mark.finding("A22")
def test_a_daemon_is_ended_before_the_next_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, isolation: str
) -> None:
    note = tmp_path / "pid" if isolation == "process" else Path("pid")
    with fake(monkeypatch, "daemon", str(note)) as submission:
        protect(submission, "daemon")
        assert submission.left_behind == 1
        assert submission._running is None, "the next call gets a new box"
        protect(submission, "fine")
    assert submission.left_behind == 1
    if isolation == "process":
        for pid in note.read_text().split():
            wait_until(partial(has_ended, int(pid)), "the end of a daemon")


def test_a_fork_bomb_is_ended_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake(monkeypatch, "fork_bomb", limits=LONG) as submission:
        submission.load()
        assert submission._box is not None
        family = submission._running
        assert family is not None
        caught = fault(submission, "fork_bomb")
        assert (caught.status, "12 processes" in caught.message) == (Status.FAILED, True)
        wait_until(lambda: not family.family(), "the end of a fork bomb")
        protect(submission, "fine")


def test_a_forged_exit_code_is_a_fault_of_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may reach its supervisor's end of the pipe through /proc."""
    with fake(monkeypatch, "forges_its_exit_code", limits=LONG) as submission:
        assert fault(submission, "forges_its_exit_code").status is Status.FAILED


def test_a_worker_that_kills_its_supervisor_ends_with_it(monkeypatch: pytest.MonkeyPatch, isolation: str) -> None:
    with fake(monkeypatch, "kills_its_parent", limits=LONG) as submission:
        submission.load()
        assert submission._box is not None
        mark = submission._box.path.name
        expected = Status.FAILED
        if isolation == "bubblewrap":  # its parent is process 1 there, and unharmed
            submission.limits, expected = SHORT, Status.TIMEOUT
        assert fault(submission, "kills_its_parent").status is expected
    wait_until(lambda: not running.processes.marked(mark), "the end of a worker without its supervisor")
