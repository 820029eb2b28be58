"""The README's two ways to add an attack, executed as they stand there."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

import cloakbench
from cloakbench.attacks import catalogue
from cloakbench.attacks.stage import countermeasure
from cloakbench.contract import Surrogate
from cloakbench.submissions import EntryKind, load_entry
from cloakbench.submissions.attacking import AttackOrder, clean

README = Path(cloakbench.__file__).parent / "attacks" / "README.md"
NOTHING = Surrogate("none", None, None, None, None, None, None, torch.device("cpu"), torch.float32)
PICTURES = [tiny.picture(n, 24, 32) for n in range(2)]


def section(title: str) -> str:
    text = README.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert 10 < len(text.splitlines()) <= 45
    return text


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("title", ["A new attack", "A new attack as a package"])
def test_it_takes_under_thirty_lines(title: str) -> None:
    code = [*blocks(section(title), "python"), *blocks(section(title), "toml")]
    assert len("".join(code).splitlines()) < 30


def test_one_file_and_one_entry_are_an_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    code, entry = blocks(section("A new attack"), "python")
    name = "cloakbench.attacks.countermeasures.posterise"
    module = type(sys)(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(code, name, "exec"), module.__dict__)
    added = eval(entry, {"countermeasure": countermeasure})
    monkeypatch.setattr(catalogue, "STAGES", (*catalogue.STAGES, added))
    cleaned = catalogue.find("countermeasure", "posterise").build({"bits": 3}).apply(PICTURES, None)
    assert np.array_equal(cleaned, np.array(PICTURES) // 32 * 32)


def test_one_package_is_an_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = section("A new attack as a package")
    (code,), (toml,) = blocks(text, "python"), blocks(text, "toml")
    project = tomllib.loads(toml)["project"]
    group = EntryKind.COUNTERMEASURE.group
    (entry,) = project["entry-points"][group].items()
    (tmp_path / "my_attack.py").write_text(code)
    facts = tmp_path / "my_attack-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (facts / "entry_points.txt").write_text(f"[{group}]\n{entry[0]} = {entry[1]}\n")
    (facts / "RECORD").write_text("my_attack.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = load_entry("my-attack", EntryKind.COUNTERMEASURE, lambda: metadata.distributions(path=[str(tmp_path)]))
    order = AttackOrder(seed=0, class_word="painting", captions=[""] * 2)
    cleaned = clean(loaded.instance, PICTURES, order, NOTHING)
    expected = np.rint(np.rint(np.array(PICTURES) / 255 * 31) / 31 * 255)
    assert np.abs(np.array(cleaned) - expected).max() <= 1
    assert loaded.claims().knowledge == "oblivious"
