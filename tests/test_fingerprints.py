from __future__ import annotations

import re

import fingerprints
import pytest
from fingerprints import Fingerprint


def test_no_code_changed_without_its_version():
    assert not (found := fingerprints.faults(fingerprints.committed(), fingerprints.current())), "\n".join(found)


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ({"metric x": (1, "a")}, {"metric x": (1, "b")}, "bump the version of metric x, or, .* refresh"),
        ({"metric x": (1, "a")}, {"metric x": (2, "b")}, "metric x is new or has a new version: refresh"),
        ({}, {"metric x": (1, "a")}, "metric x is new"),
        ({"metric x": (1, "a")}, {}, "metric x is gone"),
    ],
)
def test_a_change_is_told(before, now, message):
    first, second = ({name: Fingerprint(*values) for name, values in state.items()} for state in (before, now))
    [fault] = fingerprints.faults(first, second)
    assert re.search(message, fault)
    assert fingerprints.REFRESH in fault
    assert fingerprints.faults(second, second) == []


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("cloakbench.attacks.mimicry.dreambooth", {"cloakbench.attacks.mimicry.finetune", "cloakbench.models.loader"}),
        ("cloakbench.attacks.countermeasures.jpeg", {"cloakbench.images"}),
        ("cloakbench.metrics.quality", {"cloakbench.models.mini.perceptual", "cloakbench.images"}),
        ("cloakbench.metrics.generations", {"cloakbench.metrics.judge"}),
        ("cloakbench.submissions.guard", {"cloakbench.submissions.state"}),
    ],
)
def test_a_fingerprint_covers_what_the_code_imports(module, needs):
    covered = set(fingerprints.closure(module))
    assert needs | {module} <= covered
    assert not covered & {*fingerprints.LEFT_OUT, "cloakbench.cells.plan"}


def test_a_fingerprint_follows_the_source(tmp_path, monkeypatch):
    before = fingerprints.digest("cloakbench.attacks.mimicry.lora")
    original = fingerprints.path_of

    def changed(module):
        if module != "cloakbench.models.loader":
            return original(module)
        copy = tmp_path / "loader.py"
        copy.write_text(original(module).read_text() + "\nX = 1\n")
        return copy

    monkeypatch.setattr(fingerprints, "path_of", changed)
    assert fingerprints.digest("cloakbench.attacks.mimicry.lora") != before
    untouched = fingerprints.digest("cloakbench.images")
    monkeypatch.undo()
    assert fingerprints.digest("cloakbench.images") == untouched
