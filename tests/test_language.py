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
ALLOWED = {
    "benchmark/cloakbench/models": 2,
    "benchmark/cloakbench/system": 2,
}
"""Vague names that a folder may still hold; a number only ever falls."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yields path and syntax tree of every module of the three trees, tests and build folders left out."""
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if not {"tests", "build", ".venv"} & set(relative.parts) and path.name != "conftest.py":
                yield relative.as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def folder(path: str) -> str:
    """Returns the folder that an allowance is for: at most one level inside a tree.

    Example:
        >>> folder("benchmark/cloakbench/cells/plan.py"), folder("benchmark/cloakbench/pgd.py")
        ('benchmark/cloakbench/cells', 'benchmark/cloakbench')
    """
    depth = next(tree.count("/") + 1 for tree in TREES if path.startswith(f"{tree}/"))
    return "/".join(Path(path).parent.parts[: depth + 1])


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
    names = defaultdict(list)
    for path, module in modules():
        names[folder(path)] += [f"{path}:{line} {name}" for line, name in vague_names(module)]
    over = {where: lines for where, lines in names.items() if len(lines) > ALLOWED.get(where, 0)}
    assert not over, over


@pytest.mark.parametrize("source", ["found = 1", "for each in x: pass", "def f(look): pass", "f = lambda one: one"])
def test_each_way_to_name_a_variable_is_seen(source):
    assert len(list(vague_names(ast.parse(source)))) == 1


if __name__ == "__main__":
    counts = Counter(folder(path) for path, module in modules() for _ in vague_names(module))
    for where, count in sorted(counts.items()):
        print(f'    "{where}": {count},')
