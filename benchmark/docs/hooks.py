"""Adds the repository's READMEs and the board's glossary to the documentation site, with links that work there."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cloakbench_leaderboards.board.words import GLOSSARY

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
PAGES = {
    "benchmark/README.md": "benchmark.md",
    "benchmark/API.md": "python.md",
    "benchmark/cloakbench/attacks/README.md": "attacks.md",
    "benchmark/cloakbench/metrics/README.md": "metrics.md",
    "benchmark/cloakbench/models/mini/README.md": "mini.md",
    "benchmark/cloakbench/submissions/SECURITY.md": "security.md",
    "submissions/README.md": "submissions.md",
    "leaderboards/README.md": "leaderboards.md",
    "leaderboards/schedules/README.md": "schedules.md",
    "tests/README.md": "tests.md",
    "tests/benchmarks/README.md": "measurements.md",
    "CHANGELOG.md": "changes.md",
    "README.md": "index.md",
}
"""Pages by the file that they are made of; `index.md` and `python.md` have a part of their own too."""
REFERENCE = """
## Reference

::: cloakbench
    options:
      show_root_heading: false
      show_root_toc_entry: false
      heading_level: 3
      members: [protect, attack, measure, run, scores, compare, board, RunSummary, Protection, Request, Surrogate]
"""
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
_ADDRESS = re.compile(r"^[a-z]+:")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Returns the site's files with a page for each README, the pictures in them, and the glossary."""
    from mkdocs.structure.files import File

    pictures: dict[str, Path] = {}
    for source, page in PAGES.items():
        if page == "index.md":
            continue  # the site has a front page of its own
        text = linked((ROOT / source).read_text(encoding="utf-8"), posixpath.dirname(source), pictures)
        files.append(File.generated(config, page, content=text + (REFERENCE if page == "python.md" else "")))
    for name, path in pictures.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    files.append(File.generated(config, "glossary.md", content=glossary()))
    return files


def linked(text: str, folder: str, pictures: dict[str, Path]) -> str:
    """Returns a README's text with its links to other pages of the site; a link to another file becomes its text.

    Args:
        text: Markdown.
        folder: Where the README lies, relative to the repository.
        pictures: Gets the name on the site and the path of each picture.
    """

    def replace(match: re.Match[str]) -> str:
        is_picture, label, target, anchor = match[1] == "!", match[2], match[3], match[4] or ""
        if _ADDRESS.match(target) or not target:
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if is_picture:
            name = "pictures/" + path.replace("/", "-")
            pictures[name] = ROOT / path
            return f"![{label}]({name})"
        page = PAGES.get(path) or PAGES.get(posixpath.join(path, "README.md"))
        return f"[{label}]({page}{anchor})" if page else label

    return _LINK.sub(replace, text)


def glossary() -> str:
    """Returns the glossary of the board as a page."""
    terms = [f"## {term}\n\n{words}\n" for term, words in GLOSSARY.items()]
    return "\n".join(["# Glossary\n", "The terms of the leaderboard, in the words of its pages.\n", *terms])
