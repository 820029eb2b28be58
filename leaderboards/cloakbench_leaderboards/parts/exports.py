"""Files of numbers for further work: tidy CSV and Parquet, a LaTeX table, BibTeX, a badge."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from functools import partial
from importlib import resources

import pandas as pd

from cloakbench.schemas.record import ProtectionFacts
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.tables import exact
from cloakbench_leaderboards.board.view import Board
from cloakbench_leaderboards.parts import project
from cloakbench_leaderboards.parts.page import Asset, Material, slug
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.scores.statistics import Estimate

COLUMNS = {
    "suite": "name of the suite",
    "suite_version": "version of the suite",
    "protection": "name of the protection or reference",
    "protection_version": "version of the protection",
    "attack": "name of the attack; empty for a number over several attacks",
    "strength": "strength of the protection; empty where protections meet at equal visibility",
    "quantity": "`P`, `effect` or the distance at a strength; else the key of a number of the board, such as `mean`",
    "value": "mean over artists, unrounded; empty where there is none",
    "low": "lower end of the 95 % interval over artists; empty where there is none",
    "high": "upper end of the interval",
    "artists": "number of artists behind the value",
    "state": "how the value came about, or why there is none",
    "gate": "quality metric that limited the protection before the matched one; empty where none did",
    "note": "what is missing in the value",
}
"""The columns of `results.csv` and `results.parquet`."""
_ARXIV = re.compile(r"(?<=arxiv\.org/abs/)(\d\d)\d\d\.\d{4,5}")
# BibTeX counts braces, those after a backslash too: a single one would end its field.
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    text.MINUS: "$-$",
}
_SPECIAL = re.compile(r"[\\~^\u2212&%$#_{}]")
# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA = re.compile(r"^[=+@\t\r-]")


def pages(material: Material) -> Iterator[Asset]:
    """Yields the files."""
    yield Asset("data/results.csv", partial(csv, material.evidence))
    yield Asset("data/results.parquet", partial(parquet, material.evidence))
    yield Asset("data/table.tex", partial(latex, material))
    yield Asset("data/references.bib", partial(bibtex, material))
    yield Asset("badge.svg", partial(badge, material))
    yield Asset(
        "board.schema.json", resources.files("cloakbench_leaderboards").joinpath("board.schema.json").read_bytes
    )


def results(evidence: Evidence) -> pd.DataFrame:
    """Returns every number of the board and every operating point, one per row, with the columns `COLUMNS`."""
    rows = []
    for column in evidence.standings.columns.values():
        for name, value, estimate in zip(evidence.standings.names, column.values, column.estimates, strict=True):
            attack = evidence.rank_attack if column.key.startswith("p at ") else ""
            lacks = "; ".join(value.lacks) or value.note
            rows.append((name, attack, math.nan, column.key, *_numbers(estimate), str(value.state), value.gate, lacks))
    for point in evidence.scores.summary.values():
        address = (point.protection, point.attack, point.strength)
        primary = evidence.suite.metrics.primary
        for quantity, estimate in (("P", point.p), ("effect", point.effect), (primary, point.distance)):
            rows.append((*address, quantity, *_numbers(estimate), "measured", "", point.reason))
    columns = ["protection", "attack", "strength", "quantity", "value", "low", "high", "artists"]
    frame = pd.DataFrame(rows, columns=[*columns, "state", "gate", "note"])
    versions = {entry.name: entry.facts.version for entry in evidence.entries}
    frame["suite"], frame["suite_version"] = evidence.suite.name, evidence.suite.version
    frame["protection_version"] = frame["protection"].map(versions)
    for name in ("protection", "protection_version", "attack", "quantity", "note"):
        frame[name] = frame[name].map(text.plain)
    return frame[list(COLUMNS)]


def _numbers(estimate: Estimate) -> tuple[float, float, float, int]:
    return (exact(estimate.value), exact(estimate.low), exact(estimate.high), estimate.n)


def csv(evidence: Evidence) -> bytes:
    """Returns the results as CSV; no cell is taken for a formula by a spreadsheet."""
    frame = results(evidence)
    for column in frame.columns:
        if frame[column].dtype == object:
            frame[column] = frame[column].map(_inert)
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.search(value) else value


def parquet(evidence: Evidence) -> bytes:
    """Returns the results as Parquet."""
    buffer = io.BytesIO()
    results(evidence).to_parquet(buffer, index=False)
    return buffer.getvalue()


def latex(material: Material) -> bytes:
    """Returns the table of all numbers for print, with the package booktabs."""
    table, board = material.board.headline, material.board
    heads = [table.head, *(column.label for column in table.columns)]
    lines = [
        f"% {_latex(table.caption)}; {_latex(board.title)}, version {board.version}, records up to {board.updated}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(map(_latex, heads)) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        words = [row.head]
        for cell in row.cells:
            words.append(f"{cell.text} ({cell.detail})" if cell.low is not None and cell.detail else cell.text)
        lines.append(" & ".join(map(_latex, words)) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""]).encode()


def _latex(words: str) -> str:
    return _SPECIAL.sub(_latex_sign, words)


def _latex_sign(match: re.Match[str]) -> str:
    sign = match[0]
    return _LATEX.get(sign, f"\\{sign}")


def bibtex(material: Material) -> bytes:
    """Returns one reference for the board and one per paper; a key follows from the name and never changes.

    A paper's authors and title are those that the submission states; what it leaves out, the reference lacks.
    """
    references = {"": board_reference(material.board)}
    for entry in material.evidence.entries:
        paper = text.link(entry.facts.paper)
        if paper and paper not in references and not entry.is_control:
            references[paper] = _reference(slug(entry.label), _paper(entry.facts, paper))
    return "\n".join(references.values()).encode()


def board_reference(board: Board) -> str:
    """Returns the reference of a board: suite, version, date of the records, and the address that is configured."""
    address = project.leaderboard()
    fields = {
        "author": "{cloakbench contributors}",
        "title": f"{{{_latex(board.title)}}}",
        "year": board.updated[:4],
        "note": _latex(f"suite {board.suite}, version {board.version}, records up to {board.updated}"),
    }
    if address:
        fields["howpublished"] = _url(address)
    return _reference(f"cloakbench-{slug(board.suite)}-{board.version}", fields)


def _paper(facts: ProtectionFacts, address: str) -> dict[str, str]:
    """Returns the fields of the paper that describes a protection, without those that are not known."""
    title = text.plain(facts.paper_title)
    fields = {
        "author": _authors(text.plain(facts.authors)),
        "title": f"{{{_latex(title)}}}" if title else "",
        "howpublished": _url(address),
        "note": _latex(f"describes {text.plain(facts.title, 120)}"),
        **_eprint(address),
    }
    return {name: value for name, value in fields.items() if value}


def _url(address: str) -> str:
    braces = address.replace("{", "%7B").replace("}", "%7D")
    return rf"\url{{{braces}}}"


def _authors(names: str) -> str:
    """Returns authors' names joined by `and`, each a whole that BibTeX does not take apart unless it has a comma.

    Example:
        >>> _authors("Van Le and others"), _authors("Wu, Xiaoyu")
        ('{Van Le} and others', 'Wu, Xiaoyu')
    """
    spelled = []
    for name in filter(None, names.split(" and ")):
        is_whole = name == "others" or "," in name
        spelled.append(_latex(name) if is_whole else f"{{{_latex(name)}}}")
    return " and ".join(spelled)


def _eprint(paper: str) -> dict[str, str]:
    """Returns the fields of a paper of arXiv, whose number begins with the year and month; none for another address.

    Example:
        >>> _eprint("https://arxiv.org/abs/2403.19254")["year"]
        '2024'
    """
    match = _ARXIV.search(paper)
    return {"eprint": match[0], "archiveprefix": "arXiv", "year": f"20{match[1]}"} if match else {}


def _reference(key: str, fields: dict[str, str]) -> str:
    lines = []
    for name, value in fields.items():
        lines.append(f"  {name} = {{{value}}}")
    listed = ",\n".join(lines)
    return f"@misc{{{key},\n{listed}\n}}\n"


def badge(material: Material) -> bytes:
    """Returns a badge for a README: the suite with its version."""
    words = f"{slug(material.board.suite)} v{material.board.version}"
    width = 86 + 7 * len(words)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" '
        f'aria-label="cloakbench: {words}"><rect width="{width}" height="20" rx="3" fill="#555"/>'
        f'<path d="M78 0h{width - 81}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H78z" fill="#0b63a5"/>'
        '<g fill="#fff" font-family="Verdana,sans-serif" font-size="11">'
        f'<text x="6" y="14">cloakbench</text><text x="83" y="14">{words}</text></g></svg>\n'
    ).encode()
