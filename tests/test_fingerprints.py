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
    first, second = ({name: Fingerprint(*values) for name, values in each.items()} for each in (before, now))
    [fault] = fingerprints.faults(first, second)
    assert re.search(message, fault)
    assert fingerprints.REFRESH in fault
    assert fingerprints.faults(second, second) == []


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("benchmark.attacks.mimicry.dreambooth", {"benchmark.attacks.mimicry.finetune", "benchmark.models.loader"}),
        ("benchmark.attacks.countermeasures.jpeg", {"benchmark.images"}),
        ("benchmark.metrics.quality", {"benchmark.models.mini.perceptual", "benchmark.images"}),
        ("benchmark.metrics.protection", {"benchmark.metrics.judge"}),
        ("benchmark.submissions.guard", {"benchmark.submissions.state"}),
    ],
)
def test_a_fingerprint_covers_what_the_code_imports(module, needs):
    covered = set(fingerprints.closure(module))
    assert needs | {module} <= covered
    assert not covered & {*fingerprints.LEFT_OUT, "benchmark.cells.plan"}


def test_a_fingerprint_follows_the_source(tmp_path, monkeypatch):
    before = fingerprints.digest("benchmark.attacks.mimicry.lora")
    original = fingerprints.path_of

    def changed(module):
        if module != "benchmark.models.loader":
            return original(module)
        copy = tmp_path / "loader.py"
        copy.write_text(original(module).read_text() + "\nX = 1\n")
        return copy

    monkeypatch.setattr(fingerprints, "path_of", changed)
    assert fingerprints.digest("benchmark.attacks.mimicry.lora") != before
    untouched = fingerprints.digest("benchmark.images")
    monkeypatch.undo()
    assert fingerprints.digest("benchmark.images") == untouched
