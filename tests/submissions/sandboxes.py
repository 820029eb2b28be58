"""What tests of the sandbox share: both isolations, and submissions whose worker is a fake."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cloakbench.submissions.guard import Order, Protected, SubmissionFault
from cloakbench.submissions.sandbox import bubblewrap, confining, launcher
from cloakbench.submissions.sandbox.client import Limits, SandboxedSubmission
from cloakbench.submissions.sandbox.launcher import Confinement

FAKE = Path(__file__).with_name("fake_worker.py")
IMAGE = np.full((16, 24, 3), 120, dtype=np.uint8)
LIMITS = Limits(seconds=600, memory_bytes=1200 << 20, processes=12, file_bytes=64 << 20)
LAUNCH = confining.launch
HAS_BUBBLEWRAP = bubblewrap.kind() == "bubblewrap"
UNRESTRICTED = f"""
import runpy

names = runpy.run_path({str(launcher.FILE)!r})
names["_find_own_modules"]()
from cloakbench.submissions.sandbox import kernel

kernel.restrict_files = lambda *_paths: False
kernel.filter_calls = lambda local_sockets, is_alone: False
names["main"]()
"""
"""The launcher on a kernel that has neither Landlock nor seccomp."""
ISOLATIONS = [
    "process",
    pytest.param("bubblewrap", marks=pytest.mark.skipif(not HAS_BUBBLEWRAP, reason="no bubblewrap that works")),
]


def choose(isolation: str, patch: pytest.MonkeyPatch) -> None:
    """Hides bubblewrap where the isolation is another one; `plain` is one in which the worker restricts nothing."""
    if isolation != "bubblewrap":
        patch.setattr(shutil, "which", lambda _name: None)
    if isolation == "plain":
        patch.setattr(confining, "launch", _launch_unrestricted)
    assert bubblewrap.kind() == ("bubblewrap" if isolation == "bubblewrap" else "process")


def _launch_unrestricted(confined: Confinement, ends: Sequence[int]) -> list[str]:
    """Returns the same arguments behind a launcher that restricts nothing."""
    arguments = LAUNCH(confined, ends)
    return [sys.executable, "-I", "-S", "-c", UNRESTRICTED, *arguments[arguments.index(str(launcher.FILE)) + 1 :]]


MODES = ["plain", *ISOLATIONS]
"""With what the kernel can refuse, and without."""


def order(deed: str, *more: str) -> Order:
    return Order(strength=1.0, budget_255=16, seed=0, class_word="painting", captions=[deed, *more])


def protect(submission: SandboxedSubmission, deed: str, more: str = "") -> Protected:
    """Two images, because the caption of each carries what to do and with what."""
    return submission.protect([IMAGE, IMAGE], order(deed, more))


def fault(submission: SandboxedSubmission, deed: str, more: str = "") -> SubmissionFault:
    with pytest.raises(SubmissionFault) as caught:
        protect(submission, deed, more)
    return caught.value


def fake(patch: pytest.MonkeyPatch, deed: str, text: str = "", limits: Limits = LIMITS) -> SandboxedSubmission:
    """Returns a submission whose worker is `fake_worker.py` with a deed; it starts within 0.1 s."""

    def launch(confined: Confinement, ends: Sequence[int]) -> list[str]:
        # JSON is ASCII, which an argument can be in any locale.
        return [sys.executable, "-S", "-E", str(FAKE), deed, json.dumps(text), *map(str, ends)]

    patch.setattr(confining, "launch", launch)
    return SandboxedSubmission("fake", limits)
