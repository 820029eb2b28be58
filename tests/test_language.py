"""Names: no public class name stands for two classes, and variables are named by what they hold."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREES = ("benchmark/cloakbench", "leaderboards/cloakbench_leaderboards", "submissions")
VAGUE = {"found", "each", "told", "one", "made", "look", "place"}
"""Names that say nothing about what a variable holds."""
SHARED: set[str] = set()
"""Public class names that two classes may share: none."""
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yields path and syntax tree of every module of the three trees, tests and build folders left out."""
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if not {"tests", "build", ".venv"} & set(relative.parts) and path.name != "conftest.py":
                yield relative.as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def vague_names(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields line and name of every parameter and assigned variable with a vague name."""
    for node in ast.walk(module):
        if isinstance(node, ast.arg) and node.arg in VAGUE:
            yield node.lineno, node.arg
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE:
            yield node.lineno, node.id


def test_no_public_class_name_stands_for_two_classes():
    classes = defaultdict(list)
    for path, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name].append(f"{path}:{node.lineno}")
    shared = {name: places for name, places in classes.items() if len(places) > 1}
    assert shared.keys() <= SHARED, shared


def test_variables_are_named_by_what_they_hold():
    places = []
    for path, module in modules():
        places += [f"{path}:{line} {name}" for line, name in vague_names(module)]
    assert places == []


def folded(module: ast.Module) -> Iterator[int]:
    """Yields the line of every comprehension with a second loop, another comprehension or a conditional inside."""
    for node in ast.walk(module):
        if isinstance(node, COMPREHENSIONS):
            inner = [part for part in ast.walk(node) if part is not node]
            if len(node.generators) > 1 or any(isinstance(part, (*COMPREHENSIONS, ast.IfExp)) for part in inner):
                yield node.lineno


def test_a_comprehension_is_one_loop_over_one_expression():
    places = []
    for path, module in modules():
        places += [f"{path}:{line}" for line in folded(module)]
    assert places == []


@pytest.mark.parametrize(
    "source", ["[x for y in z for x in y]", "[[x for x in y] for y in z]", "[a if x else b for x in y]"]
)
def test_each_way_to_fold_code_is_seen(source):
    assert list(folded(ast.parse(source))) != []


def test_comprehensions_are_rare():
    lines, count = Counter(), Counter()
    for path, module in modules():
        tree = path.split("/")[0]
        lines[tree] += (ROOT / path).read_text(encoding="utf-8").count("\n")
        count[tree] += sum(isinstance(node, COMPREHENSIONS) for node in ast.walk(module))
    per_hundred = {tree: round(100 * count[tree] / lines[tree], 2) for tree in lines}
    assert max(per_hundred.values()) <= 2, per_hundred


@pytest.mark.parametrize("source", ["found = 1", "for each in x: pass", "def f(look): pass", "f = lambda one: one"])
def test_each_way_to_name_a_variable_is_seen(source):
    assert len(list(vague_names(ast.parse(source)))) == 1
