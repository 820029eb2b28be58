"""What is printed: fit for any terminal, with exit codes that mean one thing, under old names for one version."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cloakbench.cli import GROUPS
from cloakbench.listing import ListItem
from cloakbench.printable import clean, encodable
from cloakbench_leaderboards.versions import references

HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b2J\u202eb\u2066\udce9\r"


def run(*arguments: str, shell: str = "", **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from cloakbench.cli import main; main()", *arguments]
    environment = {**os.environ, **variables}
    if shell:
        command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(command, env=environment, capture_output=True, check=False)


def test_control_and_direction_characters_become_escapes():
    cleaned = clean(HOSTILE)
    assert cleaned.isprintable()
    assert "\\x1b]0;title\\x07" in cleaned
    assert clean("two\nlines\tand \x1b[31mred\x1b[0m é 桜") == "two\nlines\tand \x1b[31mred\x1b[0m é 桜"
    assert encodable("a → b", "latin-1") == "a \\u2192 b"


@pytest.mark.finding("A23")
def test_lists_warnings_and_errors_are_cleaned(cloakbench, monkeypatch, tmp_path):
    monkeypatch.setattr("cloakbench.listing.KINDS", {"protections": lambda: [ListItem("x\ny", "1", "kind", HOSTILE)]})
    plain = cloakbench("list").out
    assert len(plain.splitlines()) == 2  # the head and one item
    assert all(line.isprintable() for line in plain.splitlines())
    assert all(character.isprintable() or character == "\n" for character in cloakbench("list", "--json").out)
    result = cloakbench("protect", "placebo", "--in", f"{HOSTILE}", "--out", tmp_path / "out")
    assert result.code == 2
    assert all(character.isprintable() or character == "\n" for character in result.err)


@pytest.mark.finding("A24")
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"},
        {"COLUMNS": "40", "NO_COLOR": "1"},
        {"COLUMNS": "40", "TERM": "dumb"},
    ],
)
@pytest.mark.parametrize("arguments", [["--help"], ["list", "metrics"], ["run", "--help"]])
def test_any_terminal_can_show_it(variables, arguments):
    done = run(*arguments, **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout


@pytest.mark.finding("C2", "C3")
@pytest.mark.parametrize("shell", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_fault(shell):
    done = run("list", "suites", shell=shell)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


def test_a_full_disk_behind_the_output_ends_with_2():
    done = run("list", "metrics", shell=">/dev/full")
    assert done.returncode == 2
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_version_is_that_of_the_distribution(cloakbench):
    assert cloakbench("--version").out.strip() == version("cloakbench")


def test_completion_of_bash_names_verbs_and_options(cloakbench, tmp_path):
    script = tmp_path / "completion"
    assert cloakbench("--install-completion", "--shell", "bash", "--output", script).code == 0
    lines = [
        f"source {shlex.quote(str(script))}",
        "function=$(complete -p cloakbench | sed 's/.*-F \\([^ ]*\\).*/\\1/')",
        "COMP_WORDS=(cloakbench boa) COMP_CWORD=1; $function; echo ${COMPREPLY[@]}",
        "COMP_WORDS=(cloakbench board --un) COMP_CWORD=2; $function; echo ${COMPREPLY[@]}",
    ]
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["board boards", "--unofficial"]


def test_help_shows_groups_and_exit_codes(cloakbench):
    text = cloakbench("--help").out
    assert all(title in text for title in GROUPS)
    assert "Exit codes:" in text
    assert "│ attack " not in text


def test_former_names_work_for_one_version_with_a_word(cloakbench, tmp_path):
    result = cloakbench("attack", "jpeg", "--in", tmp_path / "none", "--out", tmp_path / "out")
    assert result.code == 2
    assert "`clean`" in result.err
    for arguments in (["board", "--source", "none"], ["regress", "--baseline", "none", "--source=none"]):
        result = cloakbench(*arguments)
        assert result.code == 2
        assert "`--store`" in result.err


@pytest.mark.parametrize("name", ["torch", "json", "cloakbench", "photoguard", "cloakbench-photoguard", "tiny"])
def test_a_name_that_is_taken_is_refused(cloakbench, tmp_path, name):
    result = cloakbench("new", name, "--out", tmp_path)
    assert result.code == 2
    assert "new name" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("verb", ["run", "status", "plan", "refresh", "canaries", "rescore", "doctor"])
def test_images_of_a_suite_that_ships_its_own_are_refused_in_every_verb(cloakbench, tmp_path, verb):
    suite = ["--suite", "mini-quick"] if verb == "doctor" else ["mini-quick"]
    result = cloakbench(verb, *suite, "--images", tmp_path, "--store", tmp_path / "store")
    assert result.code == 2
    assert "no --images for suite" in result.err


def test_the_folder_of_a_new_package_is_no_side_of_a_comparison(tmp_path, monkeypatch):
    """`new my-cloak` makes a folder of that name, and `compare photoguard my-cloak` means the protection."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-cloak").mkdir()
    assert references.parse("my-cloak").folder is None
    (tmp_path / "my-cloak" / "facts.json").write_text("{}")
    assert references.parse("my-cloak").folder == Path("my-cloak")
