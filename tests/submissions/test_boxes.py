"""What a killed harness leaves behind is removed at the next start, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cloakbench.submissions.sandbox import folders, processes
from cloakbench.submissions.sandbox.folders import ScratchFolder
from tests.waiting import has_ended, wait_until

HARNESS = """
import os, subprocess, sys, time
from cloakbench.submissions.sandbox.folders import ScratchFolder
box = ScratchFolder()
child = subprocess.Popen(["sleep", "600"], env={**os.environ, "CLOAKBENCH_BOX": box.path.name}, start_new_session=True)
print(box.path, child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(folders, "SETTLED_S", 0.0)
    folders.sweep.cache_clear()
    yield tmp_path
    folders.sweep.cache_clear()


def swept() -> int:
    folders.sweep.cache_clear()
    return folders.sweep()


def test_a_killed_harness_leaves_a_folder_and_a_process_that_the_next_start_removes(here: Path) -> None:
    harness = subprocess.Popen([sys.executable, "-c", HARNESS], stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    folder, child = harness.stdout.readline().rsplit(maxsplit=1)
    assert swept() == 0, "its maker is alive"
    assert Path(folder).is_dir()
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    assert psutil.pid_exists(int(child))
    folders.sweep.cache_clear()
    with ScratchFolder() as mine:
        assert not Path(folder).exists()
        wait_until(lambda: has_ended(int(child)), "the end of what a killed harness has left")
        assert swept() == 0
        assert mine.path.is_dir()
    assert not mine.path.exists()


def test_young_folders_links_files_and_others_names_stay(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "cloakbench-box-file").write_text("")
    (here / "cloakbench-other").mkdir()
    (here / "cloakbench-box-link").symlink_to(here / "cloakbench-other")
    assert swept() == 0
    (here / "cloakbench-box-young").mkdir()
    monkeypatch.setattr(folders, "SETTLED_S", 60.0)
    assert swept() == 0
    assert len(list(here.iterdir())) == 4


def test_another_users_folder_stays(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "cloakbench-box-theirs").mkdir()
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert swept() == 0
    monkeypatch.undo()


def test_ending_by_mark_alone_ends_nobody_else(here: Path) -> None:
    assert processes.marked(f"no-such-mark-{time.time()}") == []
