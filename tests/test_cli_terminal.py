"""What is printed: fit for any terminal, with exit codes that mean one thing, under old names for one version."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cloakbench.cli import GROUPS
from cloakbench.listing import ListItem
from cloakbench.printable import clean, encodable
from cloakbench_leaderboards.versions import references
from tests.submissions import hostile

HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b2J\u202eb\u2066\udce9\r"


IN_THE_LOCALE = "import locale; locale.setlocale(locale.LC_ALL, ''); assert locale.localeconv()['decimal_point'] == ','"
"""As a library may, and as Python does not on its own: all of the locale holds, not only its letters."""


def run(*arguments: str, shell: str = "", setup: str = "pass", **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", f"{setup}; from cloakbench.cli import main; main()", *arguments]
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
    for line in plain.splitlines():
        assert line.isprintable()
    for character in cloakbench("list", "--json").out:
        assert character.isprintable() or character == "\n"
    result = cloakbench("protect", "placebo", "--in", f"{HOSTILE}", "--out", tmp_path / "out")
    assert result.code == 2
    for character in result.err:
        assert character.isprintable() or character == "\n"


@pytest.mark.finding("A24")
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
    ],
)
@pytest.mark.parametrize("arguments", [["--help"], ["list", "metrics"], ["run", "--help"]])
def test_any_terminal_can_show_it(variables, arguments):
    done = run(*arguments, **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_is_as_narrow_as_the_terminal_and_says_the_same(arguments):
    narrow, wide = (run(*arguments, COLUMNS=columns, NO_COLOR="1").stdout.decode() for columns in ("40", "200"))
    assert max(map(len, narrow.splitlines())) == 40
    assert max(map(len, wide.splitlines())) == 200
    assert option_names(narrow) == option_names(wide)


def option_names(text):
    """The verbs of a help text, and those of its options that fit into the first column of the narrowest one."""
    return set(re.findall(r"(?<=[ │])--[a-z-]{1,11}(?= )|(?<=│ )[a-z]+(?=  )", text))


def test_a_row_of_a_list_stays_a_line_at_any_width():
    narrow, wide = (run("list", "metrics", COLUMNS=columns).stdout for columns in ("40", "200"))
    assert narrow == wide


@pytest.fixture(scope="module")
def turkish(tmp_path_factory):
    """Variables of a Turkish locale, in which programs of C write 0,5 and fold I to a dotless i."""
    tool = shutil.which("localedef")
    folder = tmp_path_factory.mktemp("locales")
    if tool is None or subprocess.run([tool, "-i", "tr_TR", "-f", "UTF-8", folder / "tr_TR.UTF-8"]).returncode:
        pytest.skip("no localedef, or no source of tr_TR: apt-get install locales")
    return {"LOCPATH": str(folder), "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}


@pytest.mark.parametrize("arguments", [["--help"], ["list", "metrics"], ["list", "protections"], ["plan", "--help"]])
def test_a_turkish_locale_changes_no_word(turkish, arguments):
    done = run(*arguments, setup=IN_THE_LOCALE, **turkish)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == run(*arguments).stdout


def test_a_turkish_locale_folds_names_as_any_other(turkish, tmp_path):
    """The name of a distribution is found in any case: `I` stays the capital of `i`."""
    packages = tmp_path / "Ink-PAINTING" / "lib" / "python3.11" / "site-packages"
    hostile.install(packages, "INK-painting", "")
    words = "import sys; from cloakbench.submissions import environments; print(environments.folder(sys.argv[1]))"
    command = [sys.executable, "-c", f"{IN_THE_LOCALE}; {words}", "INK_painting"]
    environment = {**os.environ, **turkish, "CLOAKBENCH_ENVIRONMENTS": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'Ink-PAINTING'}\n"


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
    for title in GROUPS:
        assert title in text
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
