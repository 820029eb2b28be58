from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for package in ("benchmark", "leaderboards", "submissions") for path in (ROOT / package).rglob("*.py")
)
LINES, FUNCTION_LINES = 300, 50


def named(path):
    return path.relative_to(ROOT).as_posix()


def functions(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_imports_keep_their_contracts():
    """The contracts are in pyproject.toml: layers, and what must not need the models' libraries."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert f"Contracts: {len(contracts)} kept, 0 broken" in done.stdout


def test_every_module_has_its_layer():
    """A module that no layer names could import anything."""
    [layers] = [
        contract["layers"]
        for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    placed = set()
    for layer in layers:
        for name in layer.split("|"):
            placed.add(name.strip())
    missing = []
    for path in SOURCES:
        folder, *parts = path.relative_to(ROOT).with_suffix("").parts
        if folder == "submissions" or parts[0] == "docs" or parts[-1] == "__init__":
            continue
        names = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
        if not names & placed:
            missing.append(".".join(parts))
    assert missing == []


@pytest.mark.parametrize(
    "module",
    [
        "cloakbench_leaderboards.site.site",
        "cloakbench.listing",
        "cloakbench.submissions",
        "cloakbench.errors",
        "cloakbench.upkeep.archive",
    ],
)
def test_what_must_stay_light_does(python, module):
    printed = python(f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))")
    assert not {"torch", "diffusers", "transformers", "open_clip"} & set(json.loads(printed))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_modules_and_functions_are_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES
    long = {}
    for f in functions(path):
        if f.end_lineno - f.lineno + 1 > FUNCTION_LINES:
            long[f.name] = f.end_lineno - f.lineno + 1
    assert long == {}


def test_every_package_says_what_it_is():
    undocumented = []
    for p in SOURCES:
        if "tests" not in p.parts and not ast.get_docstring(ast.parse(p.read_text())):
            undocumented.append(named(p))
    assert undocumented == []


def test_nobody_seeds_the_whole_process():
    """Outside the training of the embedded models and of forked states, every draw takes a generator."""
    # peft and the initial weights of a module are drawn from the global generator; it is forked around them
    forking = ("mimicry/lora.py", "mimicry/cat.py", "countermeasures/learned_remover.py")
    allowed = {f"benchmark/cloakbench/attacks/{name}" for name in forking}
    for name in allowed:
        assert "fork_rng" in (ROOT / name).read_text(encoding="utf-8")
    seeding = {"torch.manual_seed", "torch.cuda.manual_seed_all", "random.seed", "np.random.seed", "set_seed"}
    names_seen = set()
    for path in SOURCES:
        if "train" not in path.parts and "tests" not in path.parts and path.name != "conftest.py":
            calls = []
            for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(n, ast.Call):
                    calls.append(n)
            names_seen |= {named(path) for call in calls if ast.unparse(call.func) in seeding}
    assert names_seen <= allowed


def test_test_files_have_names_of_their_own():
    """There are no packages of tests, so that two files of one name would hide each other."""
    names = []
    for folder in ("tests", "submissions"):
        for path in (ROOT / folder).rglob("test_*.py"):
            names.append(path.name)
    assert sorted(set(names)) == sorted(names)


def test_text_files_do_not_depend_on_the_locale():
    """Without an encoding Python takes that of the locale, in which a file of UTF-8 is misread or refused."""
    dependent = []
    for path in SOURCES:
        if "tests" not in path.parts:
            calls = []
            for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(n, ast.Call):
                    calls.append(n)
            for call in calls:
                if has_no_encoding(call):
                    dependent.append(f"{named(path)}:{call.lineno}")
    assert dependent == []


def has_no_encoding(call):
    method = getattr(call.func, "attr", "")
    takes_name = method == "read_text" and call.args  # of a distribution's files, or an encoding by position
    is_text = method in {"read_text", "write_text"} and not takes_name
    return is_text and "encoding" not in {keyword.arg for keyword in call.keywords}
