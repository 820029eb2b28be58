"""The documents: files that they name exist, and links inside the repository resolve."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in (
        "*.md",
        "benchmark/**/*.md",
        "leaderboards/**/*.md",
        "submissions/*.md",
        "submissions/*/*.md",
        "tests/**/*.md",
    )
    for path in ROOT.glob(pattern)
    if ".venv" not in path.parts and "docs" not in path.parts
)


def relative_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def section(path: Path, title: str) -> str:
    """Returns the text of a document from a heading to the next one of its level."""
    return path.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]


def anchors(path: Path) -> set[str]:
    """Returns the fragments of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def test_every_file_of_the_table_where_things_are_exists():
    table = section(ROOT / "benchmark" / "README.md", "Where things are")
    files = re.findall(r"`([\w/.-]+/[\w/.-]+\.py)`", table)
    assert len(files) > 20
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_readme_of_the_tests_names_every_file_with_long_tests():
    tables = section(ROOT / "tests" / "README.md", "The long tests")
    named = set(re.findall(r"^\| `([\w/]+\.py)`", tables, re.MULTILINE))
    files = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        if re.search(r"\.mark\.long\b", path.read_text(encoding="utf-8")):
            files.add(path.relative_to(ROOT / "tests").as_posix())
    assert len(files) > 10
    assert named == files


@pytest.mark.parametrize("topic", ["attack", "metric", "calibration", "worst case", "sandbox", "curve"])
def test_the_table_names_the_file_of_what_a_newcomer_looks_for(topic):
    rows = section(ROOT / "benchmark" / "README.md", "Where things are").splitlines()
    assert any(topic in row.split("|")[1] and ".py" in row for row in rows if row.startswith("| "))


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative_name)
def test_links_inside_the_repository_resolve(document):
    broken = []
    for link in links(document):
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def make_targets(text: str) -> set[str]:
    """Returns the targets that a text makes."""
    return set(re.findall(r"\bmake[\", ]+([a-z-]+)", text))


def test_the_dockerfile_runs_the_readmes_commands():
    lines = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()
    instructions = dict.fromkeys(line.split()[0] for line in lines if line and not line.startswith("#"))
    assert list(instructions) == ["FROM", "RUN", "WORKDIR", "COPY", "ENV", "CMD"]
    [command] = [line for line in lines if line.startswith("CMD ")]
    assert json.loads(command.removeprefix("CMD "))[0] == "make"
    targets = make_targets("\n".join(line for line in lines if line.startswith(("RUN make", "CMD"))))
    assert targets == {"library", "demo"}
    assert targets <= make_targets(section(ROOT / "README.md", "Install"))


def test_the_readme_makes_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md", "tests/README.md"):
        code = re.findall(r"^    make ([a-z-]+)|`make ([a-z-]+)`", (ROOT / document).read_text(), re.MULTILINE)
        assert {first or second for first, second in code} <= targets


def test_the_citation_names_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]


@pytest.mark.parametrize("form", ["fault", "submission"])
def test_the_forms_of_issues_ask_for_something(form):
    content = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml").read_text())
    assert {"name", "description", "body"} <= content.keys()
    assert any(field["validations"]["required"] for field in content["body"] if "validations" in field)
