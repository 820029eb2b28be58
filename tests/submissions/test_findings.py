"""Every attempt of the red team is repeated by a test, and every mark names an attempt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from tests.submissions.findings import FINDINGS, Outcome

TESTS = Path(__file__).parents[1]


def marks(module: ast.Module) -> Iterator[str]:
    """Yields the arguments of every `pytest.mark.finding(...)` that marks a test or one of its parameters."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.finding":
            yield from (str(ast.literal_eval(argument)) for argument in node.args)


def test_every_finding_has_a_test_and_every_mark_a_finding() -> None:
    marked = set()
    for path in TESTS.rglob("test_*.py"):
        marked |= set(marks(ast.parse(path.read_text(encoding="utf-8"))))
    assert sorted(FINDINGS.keys() - marked) == []
    assert sorted(marked - FINDINGS.keys()) == []


def test_the_threat_model_counts_what_only_the_kernel_refuses() -> None:
    document = resources.files("cloakbench.submissions").joinpath("SECURITY.md").read_text(encoding="utf-8")
    stated = re.search(r"(\d+) kinds of attempts", document)
    assert stated is not None
    assert int(stated[1]) == sum(row.plain is Outcome.PASSES for row in FINDINGS.values())
    for row in FINDINGS.values():
        assert row.bubblewrap is row.landlock is Outcome.HELD
