"""The documentation site builds without a warning, and what its pages tell a reader to type is right."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from cloakbench import Protection, Request, cli
from cloakbench.images import encode
from cloakbench.submissions.discovery import GROUPS
from cloakbench_leaderboards.site import site

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "benchmark" / "docs"
FOLDERS = ("benchmark", "leaderboards", "submissions", "tests", ".github")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
_COMMAND = re.compile(r"^    (cloakbench .+)$", flags=re.MULTILINE)
_FENCE = re.compile(r"^```sh\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def commands_of(path: Path) -> list[str]:
    """Returns the commands of a document's indented and fenced blocks, without their comments."""
    text = path.read_text(encoding="utf-8")
    lines = _COMMAND.findall(text)
    for block in _FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("cloakbench "):
                lines.append(line)
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


def every_command() -> list[object]:
    """Returns each command of the documents once, with the first document that has it."""
    places: dict[str, str] = {}
    for path in DOCUMENTS:
        for command in commands_of(path):
            places.setdefault(command, path.relative_to(ROOT).as_posix())
    return [pytest.param(command, id=f"{line_place}: {command}") for command, line_place in places.items()]


def test_the_site_builds_strictly_and_offline(tmp_path):
    pytest.importorskip("mkdocs", reason="the documentation needs `pip install cloakbench[docs]`")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", DOCS / "mkdocs.yml", "-d", tmp_path / "site"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "site" / "python.html").read_text(encoding="utf-8")
    assert 'id="cloakbench.protect"' in reference
    assert "Coverage" in (tmp_path / "site" / "glossary.html").read_text(encoding="utf-8")
    fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', reference)
    assert not fetched


@pytest.mark.parametrize("command", every_command())
def test_each_command_of_the_documents_has_a_verb_and_options_that_exist(command):
    _, bound, *_ = cli.app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    assert bound.args or bound.kwargs


def test_each_command_of_a_boards_pages_has_a_verb_and_options_that_exist(tmp_path):
    site.build(ROOT / "leaderboards" / "reference" / "folder", tmp_path / "site", unofficial=True)
    commands = set()
    for page in (tmp_path / "site").rglob("*.html"):
        for block in re.findall(r'<pre class="command"[^>]*><code>(.*?)</code>', page.read_text(), flags=re.DOTALL):
            commands |= {line for line in html.unescape(block).splitlines() if line.startswith("cloakbench ")}
    assert {command.split()[1] for command in commands} >= {"new", "run", "board", "protect", "submit"}
    for command in sorted(commands):
        cli.app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


_MODULE = re.compile(r"python -m (tests\.[a-z_.]+|cloakbench[a-z_.]*)")
_TOML = re.compile(r"^```toml\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def test_each_module_that_a_document_runs_exists():
    modules = set()
    for document in DOCUMENTS:
        modules.update(_MODULE.findall(document.read_text(encoding="utf-8")))
    assert len(modules) > 20
    missing = []
    for name in sorted(modules):
        if importlib.util.find_spec(name.rstrip(".")) is None:
            missing.append(name)
    assert missing == []


def test_each_block_of_toml_offers_an_entry_that_its_document_defines():
    offers = 0
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in _TOML.findall(text):
            project = tomllib.loads(block)["project"]
            for group, entries in project["entry-points"].items():
                assert group in GROUPS
                assert list(entries) == [project["name"]]
                assert f"class {entries[project['name']].partition(':')[2]}(" in text
                offers += 1
    assert offers == 2


PYTHON_BLOCKS = {
    "benchmark/API.md": 8,
    "benchmark/cloakbench/attacks/README.md": 3,
    "benchmark/docs/pages/pictures.md": 1,
    "benchmark/docs/pages/protection.md": 1,
    "leaderboards/README.md": 1,
    "submissions/README.md": 1,
}
"""Blocks of Python by document: tests/test_api.py runs the first, tests/attacks/test_attacks_readme.py the second."""


def python_blocks(document: Path) -> list[str]:
    """Returns the blocks of Python in a document."""
    return re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_no_document_has_a_block_of_python_that_no_test_runs():
    counts = {path.relative_to(ROOT).as_posix(): len(python_blocks(path)) for path in DOCUMENTS}
    assert {document: count for document, count in counts.items() if count} == PYTHON_BLOCKS


@pytest.mark.usefixtures("stand_ins")
def test_the_block_of_the_page_on_pictures_runs(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").write_bytes(encode(tiny.picture(0, 64, 80)))
    monkeypatch.chdir(tmp_path)
    [block] = python_blocks(DOCS / "pages" / "pictures.md")
    exec(block, {})
    with Image.open(tmp_path / "protected.png") as image:
        assert image.size == (80, 64)


def test_the_block_of_the_page_on_scores_builds_a_board(tmp_path, monkeypatch):
    (tmp_path / "results").symlink_to(ROOT / "leaderboards" / "reference" / "folder")
    monkeypatch.chdir(tmp_path)
    [block] = python_blocks(ROOT / "leaderboards" / "README.md")
    exec(block.replace('"mini"', '"folder"'), {})
    assert (tmp_path / "site" / "index.html").is_file()


def test_the_ten_lines_of_the_page_on_submissions_are_a_protection():
    [block] = python_blocks(ROOT / "submissions" / "README.md")
    names: dict[str, object] = {
        "my_signs": lambda images, generator: torch.sign(torch.randn(images.shape, generator=generator))
    }
    exec(block, names)
    images = torch.full((2, 3, 16, 16), 0.5)
    changed = names["MyCloak"]().protect(images, Request(strength=1.0, epsilon=8 / 255, surrogate=None))
    assert float((changed - images).abs().max()) == pytest.approx(8 / 255)


PICTURE_COMMANDS = commands_of(DOCS / "pages" / "pictures.md")


def test_the_readme_and_the_page_on_pictures_have_the_same_commands():
    assert set(PICTURE_COMMANDS) <= set(commands_of(ROOT / "README.md"))


def test_the_protection_of_the_tutorial_works():
    [block] = python_blocks(DOCS / "pages" / "protection.md")
    names: dict[str, object] = {}
    exec(block, names)
    kind = names["MyCloak"]
    assert issubclass(kind, Protection)
    images = torch.full((2, 3, 16, 16), 0.5)
    changed = kind().protect(images, Request(strength=1.0, epsilon=8 / 255, surrogate=None))
    assert float((changed - images).abs().max()) == pytest.approx(8 / 255)


def test_the_notebook_runs_and_prints_what_it_shows(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    cells = json.loads((DOCS / "first-steps.ipynb").read_text(encoding="utf-8"))["cells"]
    shown: list[object] = []
    names: dict[str, object] = {"display": shown.append}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]).replace("from IPython.display import display\n", ""), names)
    printed = capsys.readouterr().out.splitlines()
    committed = "".join("".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", []))
    assert printed[0] == committed.splitlines()[0]
    assert [line.partition(":")[0] for line in printed] == [line.partition(":")[0] for line in committed.splitlines()]
    assert shown[0].size == (768, 256)
    assert not names["curve"].empty
