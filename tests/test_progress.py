"""What long work says while it runs."""

from __future__ import annotations

import itertools

from cloakbench import progress
from cloakbench.store.running import is_running, running


def test_nothing_is_said_unless_progress_is_shown(capsys):
    progress.say("loading")
    assert list(progress.track("ab", 2, "letters")) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_lines_name_count_and_time_left_after_the_first_and_the_last_item(capsys, monkeypatch):
    clock = itertools.count(step=2)  # two seconds pass between looks
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.shown():
        progress.say("loading")
        assert list(progress.track("abcd", 4, "letters")) == ["a", "b", "c", "d"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "loading"
    assert lines[1] == "1 of 4 letters, 6 s left"
    assert lines[-1] == "4 of 4 letters, 0 s left"


def test_a_run_is_known_to_be_on_while_it_writes_to_the_store(tmp_path):
    assert not is_running(tmp_path)
    with running(tmp_path), running(tmp_path):
        assert is_running(tmp_path)
    assert not is_running(tmp_path)


def test_work_within_work_is_named_every_few_seconds_only(capsys, monkeypatch):
    clock = itertools.count(step=2)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.shown():
        for _ in progress.track("ab", 2, "images"):
            assert list(progress.track(range(4), 4, "steps")) == [0, 1, 2, 3]
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "images" in line][-1] == "2 of 2 images, 0 s left"
    steps = [line for line in lines if "steps" in line]
    assert 0 < len(steps) < 4


def test_hidden_work_says_nothing(capsys):
    with progress.shown(), progress.hidden():
        progress.say("loading")
        assert list(progress.track("ab", 2, "letters")) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_one_bar_within_another(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with progress.shown():
        for _ in progress.track("ab", 2, "images"):
            assert list(progress.track("cd", 2, "steps")) == ["c", "d"]
        assert list(progress.track("ef", 2, "letters")) == ["e", "f"]
    assert "2/2" in capsys.readouterr().err
